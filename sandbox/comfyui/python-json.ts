// Python's JSON dialect: what ComfyUI's server reads and writes (ComfyUI protocol notes §1.1 "JSON dialect").
// Neighbours: python-number.ts for ints and floats; http/ and websocket/ call encodePyJson for everything they send.
// Invariants: 1. objects are Maps, because a JS object would reorder the numeric node ids whose order matters (§1.3.5).
// 2. `1` and `1.0`, and integers of any size, survive a round trip. 3. NaN and Infinity are accepted and written bare.
// 4. Output is byte for byte what json.dumps with default settings gives: `, ` and `: `, non-ASCII escaped.
import { formatPyFloat, PyFloat, type PyInt, pyInt } from './python-number.ts';

/** A value as Python's json module would hold it. */
export type PyValue = null | boolean | PyInt | PyFloat | string | PyValue[] | PyDict;

/** A Python dict with string keys, in insertion order. */
export type PyDict = Map<string, PyValue>;

/** Raised for text that json.loads refuses. */
export class PyJsonError extends Error {
  override readonly name = 'PyJsonError';
}

const SPACE = new Set([' ', '\t', '\n', '\r']);
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
const WORDS: readonly (readonly [string, PyValue])[] = [
  ['null', null],
  ['true', true],
  ['false', false],
  ['NaN', new PyFloat(Number.NaN)],
  ['Infinity', new PyFloat(Number.POSITIVE_INFINITY)],
  ['-Infinity', new PyFloat(Number.NEGATIVE_INFINITY)],
];

class Reader {
  private at = 0;
  private readonly text: string;
  constructor(text: string) {
    this.text = text;
  }

  document(): PyValue {
    const value = this.value();
    this.skipSpace();
    if (this.at !== this.text.length) throw this.fail('Extra data');
    return value;
  }

  private fail(what: string): PyJsonError {
    return new PyJsonError(`${what}: char ${this.at}`);
  }

  private skipSpace(): void {
    while (SPACE.has(this.text[this.at] ?? '')) this.at += 1;
  }

  private value(): PyValue {
    this.skipSpace();
    const first = this.text[this.at];
    if (first === '{') return this.object();
    if (first === '[') return this.array();
    if (first === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  private number(): PyValue {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) throw this.fail('Expecting value');
    this.at += match[0].length;
    const isFloat = match[1] !== undefined || match[2] !== undefined;
    return isFloat ? new PyFloat(Number(match[0])) : pyInt(match[0]);
  }

  private string(): string {
    const start = this.at + 1;
    let plain = start;
    for (;;) {
      const char = this.text[plain];
      if (char === '"') {
        this.at = plain + 1;
        return this.text.slice(start, plain);
      }
      if (char === '\\') break;
      if (char === undefined || char < ' ') throw this.fail('Invalid control character or unterminated string');
      plain += 1;
    }
    let out = this.text.slice(start, plain);
    this.at = plain;
    for (;;) {
      const char = this.text[this.at];
      if (char === undefined || char < ' ') throw this.fail('Invalid control character or unterminated string');
      this.at += 1;
      if (char === '"') return out;
      out += char === '\\' ? this.escape() : char;
    }
  }

  private escape(): string {
    const char = this.text[this.at] ?? '';
    this.at += 1;
    if (char === 'u') {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.fail('Invalid \\uXXXX escape');
      this.at += 4;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = ESCAPES[char];
    if (plain === undefined) throw this.fail('Invalid \\escape');
    return plain;
  }

  private array(): PyValue[] {
    this.at += 1;
    const out: PyValue[] = [];
    this.skipSpace();
    if (this.text[this.at] === ']') {
      this.at += 1;
      return out;
    }
    for (;;) {
      out.push(this.value());
      this.skipSpace();
      const char = this.text[this.at];
      this.at += 1;
      if (char === ']') return out;
      if (char !== ',') throw this.fail("Expecting ',' delimiter");
    }
  }

  private object(): PyDict {
    this.at += 1;
    const out: PyDict = new Map();
    this.skipSpace();
    if (this.text[this.at] === '}') {
      this.at += 1;
      return out;
    }
    for (;;) {
      this.skipSpace();
      if (this.text[this.at] !== '"') throw this.fail('Expecting property name enclosed in double quotes');
      const key = this.string();
      this.skipSpace();
      if (this.text[this.at] !== ':') throw this.fail("Expecting ':' delimiter");
      this.at += 1;
      out.set(key, this.value());
      this.skipSpace();
      const char = this.text[this.at];
      this.at += 1;
      if (char === '}') return out;
      if (char !== ',') throw this.fail("Expecting ',' delimiter");
    }
  }
}

/** `json.loads`. Throws PyJsonError. */
export function decodePyJson(text: string): PyValue {
  return new Reader(text).document();
}

const NEEDS_ESCAPE = /[^\x20-\x7e]|["\\]/g;
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function encodeString(text: string): string {
  const body = text.replace(
    NEEDS_ESCAPE,
    (char) => SHORT_ESCAPES[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${body}"`;
}

function encodeFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Number.POSITIVE_INFINITY) return 'Infinity';
  if (value === Number.NEGATIVE_INFINITY) return '-Infinity';
  return formatPyFloat(value);
}

function encodeEntries(entries: Iterable<readonly [string, unknown]>): string {
  const parts: string[] = [];
  for (const [key, value] of entries) {
    if (value !== undefined) parts.push(`${encodeString(key)}: ${encodePyJson(value)}`);
  }
  return `{${parts.join(', ')}}`;
}

/**
 * `json.dumps`. Takes Python values and plain JS ones alike (`undefined` properties are left out). Throws a TypeError for
 * what Python could not serialise either: bytes, functions, class instances (§6.6).
 */
export function encodePyJson(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return encodeString(value);
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : encodeFloat(value);
  if (value instanceof PyFloat) return encodeFloat(value.value);
  if (Array.isArray(value)) return `[${value.map((item) => encodePyJson(item)).join(', ')}]`;
  if (value instanceof Map) return encodeEntries(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof value === 'object' && (prototype === Object.prototype || prototype === null)) {
    return encodeEntries(Object.entries(value));
  }
  throw new TypeError(`Object of type ${value.constructor.name} is not JSON serializable`);
}

/** The value as ordinary JS: Maps become objects, floats numbers; integers beyond 2^53 stay bigints. */
export function toPlain(value: PyValue): unknown {
  if (value instanceof PyFloat) return value.value;
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Map) {
    const out: Record<string, unknown> = {};
    for (const [key, item] of value) {
      Object.defineProperty(out, key, { value: toPlain(item), enumerable: true, writable: true, configurable: true });
    }
    return out;
  }
  return value;
}

/** `copy.deepcopy` for JSON values; floats are shared because they never change. */
export function deepCopy<T extends PyValue>(value: T): T;
export function deepCopy(value: PyValue): PyValue {
  if (Array.isArray(value)) return value.map((item) => deepCopy(item));
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, deepCopy(item)]));
  return value;
}

/** Python's `==` for JSON values: numbers compare by value whatever their type, dicts without order. */
export function pyEquals(a: PyValue, b: PyValue): boolean {
  if (a === b) return true;
  const left = asNumber(a);
  const right = asNumber(b);
  if (left !== undefined && right !== undefined) return compareNumbers(left, right) === 0;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => pyEquals(item, b[index] ?? null));
  }
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    for (const [key, item] of a) {
      const other = b.get(key);
      if (other === undefined || !pyEquals(item, other)) return false;
    }
    return true;
  }
  return false;
}

/** The numeric value of an int, float or bool; undefined for anything else. */
export function asNumber(value: PyValue): number | bigint | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  return value instanceof PyFloat ? value.value : undefined;
}

/** -1, 0 or 1; NaN compares as neither (2), like Python where every comparison with NaN is false. */
export function compareNumbers(a: number | bigint, b: number | bigint): -1 | 0 | 1 | 2 {
  if (a < b) return -1;
  if (a > b) return 1;
  return Number.isNaN(Number(a)) || Number.isNaN(Number(b)) ? 2 : 0;
}
