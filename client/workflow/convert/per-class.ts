/** What is worked out about a node class, kept for as long as the declarations are that it was read from. */

import { own } from './json-values.ts';
import type { ObjectInfo } from './object-info.ts';

/** Makes a lookup by class name that reads each class once per object; undefined for a class that is not declared or not readable. */
export function perClass<T>(
  read: (name: string, raw: unknown) => T | undefined,
): (objectInfo: ObjectInfo, name: string) => T | undefined {
  const tables = new WeakMap<ObjectInfo, Map<string, T>>();
  return (objectInfo, name) => {
    const table = tables.get(objectInfo) ?? new Map<string, T>();
    tables.set(objectInfo, table);
    const known = table.get(name);
    if (known) return known;
    const found = read(name, own(objectInfo, name));
    // Unknown names are not remembered: they come from the file and are without bound.
    if (found) table.set(name, found);
    return found;
  };
}
