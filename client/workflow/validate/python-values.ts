/** Python's conversions, as ComfyUI applies them to constants before it checks them (ComfyUI protocol notes §1.3.5 step 4). Pure. */
import { isObject } from '../convert/json-values.ts';

/** A converted value, or Python's words for why there is none. */
export type Converted = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly why: string };

/** A list would be taken for a link, so it travels in an object. */
export function unwrapValue(value: unknown): unknown {
  return isObject(value) && Object.hasOwn(value, '__value__') ? value['__value__'] : value;
}

/** Converts to a declared type; types other than INT, FLOAT, STRING and BOOLEAN take anything. */
export function convertConstant(value: unknown, type: string): Converted {
  if (type === 'INT') return toInt(value);
  if (type === 'FLOAT') return toFloat(value);
  // str() and bool() take anything; texts and truth have no bounds to check.
  return { ok: true, value };
}

function typeName(value: unknown): string {
  if (value === null) return 'NoneType';
  return Array.isArray(value) ? 'list' : 'dict';
}

const integerText = /^\s*[+-]?\d+(_\d+)*\s*$/;
const floatText = /^\s*[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?\s*$/i;
const specialFloat = /^\s*[+-]?(nan|inf(inity)?)\s*$/i;

function toInt(value: unknown): Converted {
  if (typeof value === 'boolean') return { ok: true, value: Number(value) };
  if (typeof value === 'number') return { ok: true, value: Math.trunc(value) };
  if (typeof value === 'string') {
    if (integerText.test(value)) return { ok: true, value: Number(value.replaceAll('_', '')) };
    return { ok: false, why: `invalid literal for int() with base 10: ${pythonRepr(value)}` };
  }
  const wanted = 'a string, a bytes-like object or a real number';
  return { ok: false, why: `int() argument must be ${wanted}, not '${typeName(value)}'` };
}

function toFloat(value: unknown): Converted {
  if (typeof value === 'boolean') return { ok: true, value: Number(value) };
  if (typeof value === 'number') return { ok: true, value };
  if (typeof value === 'string') {
    if (floatText.test(value)) return { ok: true, value: Number(value.replaceAll('_', '')) };
    if (specialFloat.test(value)) return { ok: true, value: /nan/i.test(value) ? Number.NaN : infinite(value) };
    return { ok: false, why: `could not convert string to float: ${pythonRepr(value)}` };
  }
  return { ok: false, why: `float() argument must be a string or a real number, not '${typeName(value)}'` };
}

function infinite(text: string): number {
  return text.trim().startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Python's `==` for JSON: true equals 1, lists and objects are compared by content. */
export function pythonEquals(a: unknown, b: unknown): boolean {
  const left = typeof a === 'boolean' ? Number(a) : a;
  const right = typeof b === 'boolean' ? Number(b) : b;
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  return JSON.stringify(left) === JSON.stringify(right);
}

/** Python's `repr` of a JSON value, as ComfyUI shows lists. */
export function pythonRepr(value: unknown): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') {
    const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
    const body = value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t').replaceAll('\r', '\\r');
    return quote + (quote === "'" ? body.replaceAll("'", "\\'") : body) + quote;
  }
  if (Array.isArray(value)) return `[${value.map(pythonRepr).join(', ')}]`;
  if (isObject(value)) {
    return `{${Object.entries(value)
      .map(([key, entry]) => `${pythonRepr(key)}: ${pythonRepr(entry)}`)
      .join(', ')}}`;
  }
  return String(value).replace('Infinity', 'inf').replace('NaN', 'nan');
}

/** Python's `str` of a JSON value. */
export function pythonText(value: unknown): string {
  return typeof value === 'string' ? value : pythonRepr(value);
}
