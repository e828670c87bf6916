// Large results pass through the emulator as the bytes they came in: a body is parsed once to check it, and its
// top-level members are kept as slices of the original text. Neighbours: job-view.ts writes the slices back out.

/** JSON text as UTF-8 bytes, already known to be valid. */
export type RawJson = Buffer;

/** A JSON object: its parsed value, and the original text of each top-level member. */
export interface RawObject {
  readonly value: Readonly<Record<string, unknown>>;
  readonly members: ReadonlyMap<string, RawJson>;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COMMA = 0x2c;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses a body as one JSON object. Answers `undefined` for anything else: broken JSON (bare `NaN` included), broken
 * UTF-8, an array, a scalar.
 */
export function parseRawObject(body: Buffer): RawObject | undefined {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(body));
  } catch {
    return undefined;
  }
  if (!isJsonObject(value)) return undefined;
  return { value, members: topLevelMembers(body) };
}

/** Whether a parsed JSON value is an object (not an array, not null). */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The members of a JSON object text that is known to be valid. A repeated key keeps its last value, as JSON.parse does. */
function topLevelMembers(text: Buffer): Map<string, RawJson> {
  const members = new Map<string, RawJson>();
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text[at] === QUOTE) {
    const keyEnd = endOfString(text, at);
    const key = String(JSON.parse(text.toString('utf8', at, keyEnd)));
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const valueEnd = endOfValue(text, valueStart);
    members.set(key, text.subarray(valueStart, valueEnd));
    at = skipSpace(text, valueEnd);
    if (text[at] === COMMA) at = skipSpace(text, at + 1);
  }
  return members;
}

function skipSpace(text: Buffer, from: number): number {
  let at = from;
  for (let byte = text[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = text[at]) at += 1;
  return at;
}

/** Index after the closing quote of the string that opens at `from`. */
function endOfString(text: Buffer, from: number): number {
  let quote = text.indexOf(QUOTE, from + 1);
  while (quote !== -1) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    quote = text.indexOf(QUOTE, quote + 1);
  }
  return text.length;
}

function endOfValue(text: Buffer, from: number): number {
  const first = text[from];
  if (first === QUOTE) return endOfString(text, from);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return endOfContainer(text, from);
  let at = from;
  while (at < text.length && !endsScalar(text[at])) at += 1;
  return at;
}

function endsScalar(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte === undefined || byte <= 0x20;
}

function endOfContainer(text: Buffer, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const byte = text[at];
    if (byte === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1;
    at += 1;
    if (depth === 0) return at;
  }
  return at;
}
