/** Small readers for JSON of unknown shape. Workflow files come from anywhere: nothing in them is taken on trust. */

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** True for a JSON object: no array, no null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value when it is an array, else an empty one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The entries of `value` that are objects. */
export function objectsOf(value: unknown): JsonObject[] {
  return listOf(value).filter(isObject);
}

/** An own property, so that `__proto__` and `constructor` in a file mean nothing. */
export function own(object: unknown, key: string): unknown {
  return isObject(object) && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The value when it is a text, else undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Ids are numbers or texts in the file; here they are texts. */
export function idOf(value: unknown): string | undefined {
  if (typeof value === 'string' && value !== '') return value;
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

/** A slot number: a whole number from 0. Old files hold some as text. */
export function slotOf(value: unknown): number | undefined {
  const slot = typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value;
  return typeof slot === 'number' && Number.isInteger(slot) && slot >= 0 ? slot : undefined;
}
