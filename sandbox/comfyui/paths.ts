// Path rules of uploads and `/view` (ComfyUI protocol notes §1.8, §1.9, §5.3). Python's os.path on POSIX.
import path from 'node:path';
import { isInside } from './execution/save-path.ts';
import type { ComfyFolders } from './node-definition.ts';

/** The three bases a file entry's `type` names. */
export type FolderType = 'input' | 'output' | 'temp';

/** The folder of a type name; undefined for anything else. */
export function folderOf(folders: ComfyFolders, type: string): string | undefined {
  return type === 'input' || type === 'output' || type === 'temp' ? folders[type] : undefined;
}

/** Splits `name [output]` into name and folder; without the suffix the folder is undefined. */
export function splitAnnotation(name: string, folders: ComfyFolders): { name: string; folder: string | undefined } {
  for (const type of ['output', 'input', 'temp'] as const) {
    const suffix = `[${type}]`;
    if (name.endsWith(suffix)) return { name: name.slice(0, -suffix.length - 1), folder: folders[type] };
  }
  return { name, folder: undefined };
}

/** `os.path.join` then `abspath`; undefined when it leaves `base`. */
export function joinInside(base: string, ...parts: readonly string[]): string | undefined {
  const full = path.resolve(base, ...parts.filter((part) => part !== ''));
  return isInside(full, base) ? full : undefined;
}

/** Whether `/view` refuses a file name at once. */
export function isForbiddenName(name: string): boolean {
  return name.startsWith('/') || name.includes('..');
}
