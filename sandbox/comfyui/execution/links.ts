// Links as the engine reads them; stricter than validation, which takes any two-element array for one.

/** `[nodeId, slot]`. */
export type Link = readonly [string, number];

/** The link, or undefined for a constant. */
export function asLink(value: unknown): Link | undefined {
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== 'string') return undefined;
  const slot: unknown = value[1];
  if (typeof slot === 'number') return [value[0], slot];
  return typeof slot === 'boolean' ? [value[0], Number(slot)] : undefined;
}
