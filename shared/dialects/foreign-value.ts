/** Reading values of unknown shape, and the two ways to answer what can't be honoured: a refusal or a warning. Neither repeats a value. */
import { ComfyRunpodError } from '../error.ts';
import type { ErrorCode } from '../error-codes.ts';
import { parseTolerantJson } from '../util/tolerant-json.ts';

/** True for a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name of the caller's (key, node id, class) as it may stand in a message: quoted and at most 60 characters. */
export function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 60));
}

/** True for what many callers send in place of leaving a field out: null, empty text, list or object, or an object of only such values. */
export function isBlank(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return (
    isRecord(value) && Object.values(value).every((inner) => inner === null || inner === '' || inner === undefined)
  );
}

/** The error for a field that can't be honoured. `INPUT_INVALID` unless told otherwise. */
export function fieldRefusal(
  field: string,
  reason: string,
  nextStep?: string,
  code: ErrorCode = 'INPUT_INVALID',
): ComfyRunpodError {
  return new ComfyRunpodError(code, `${field}: ${reason}.`, {
    issues: [{ field, message: reason }],
    ...(nextStep !== undefined && { nextStep }),
  });
}

/** Throws when any of these fields is given: the table says why and what to do instead. */
export function refuseFields(
  input: Readonly<Record<string, unknown>>,
  table: Readonly<Record<string, readonly [reason: string, nextStep: string]>>,
): void {
  for (const [field, [reason, nextStep]] of Object.entries(table)) {
    if (Object.hasOwn(input, field) && !isBlank(input[field])) throw fieldRefusal(field, reason, nextStep);
  }
}

/** True for an http(s) address. */
export function isHttpUrl(value: unknown): value is string {
  return typeof value === 'string' && /^https?:\/\//i.test(value);
}

/** The next step for a file that was given as an address where the caller's contract has none. */
export const sendBytesInstead =
  "Send the bytes as base64 in place of the address. In this worker's own contract files may be given by address: files: [{name, url}].";

/** Parses a text that has to be JSON. The text is not repeated in the error. */
export function parseJsonField(text: string, field: string, code: ErrorCode = 'WORKFLOW_NOT_JSON'): unknown {
  try {
    return parseTolerantJson(text);
  } catch {
    throw fieldRefusal(field, 'the text is not valid JSON', undefined, code);
  }
}

/** A boolean field, or undefined when it is left out. Anything else is refused. */
export function booleanField(input: Readonly<Record<string, unknown>>, field: string): boolean | undefined {
  const value = input[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'boolean') throw fieldRefusal(field, 'expected true or false');
  return value;
}

/** An object field, or undefined when it is left out. Anything else is refused. */
export function recordField(
  input: Readonly<Record<string, unknown>>,
  field: string,
): Record<string, unknown> | undefined {
  const value = input[field];
  if (value === undefined || value === null) return undefined;
  if (!isRecord(value)) throw fieldRefusal(field, 'expected an object');
  return value;
}
