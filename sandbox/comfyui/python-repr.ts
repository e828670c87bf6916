// How Python prints values: `repr` and `str`, needed word for word in validation messages (ComfyUI protocol notes §1.3.6).
import { asNumber, type PyValue } from './python-json.ts';
import { formatPyFloat, PyFloat } from './python-number.ts';

function reprString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let body = '';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (char === '\\' || char === quote) body += `\\${char}`;
    else if (char === '\n') body += '\\n';
    else if (char === '\r') body += '\\r';
    else if (char === '\t') body += '\\t';
    else if (code < 0x20 || (code >= 0x7f && code <= 0xa0) || code === 0xad) {
      body += `\\x${code.toString(16).padStart(2, '0')}`;
    } else body += char;
  }
  return quote + body + quote;
}

/** Python's `repr(value)`. Plain JS objects and numbers print as the dict and number they stand for. */
export function pyRepr(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return reprString(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : formatPyFloat(value);
  if (value instanceof PyFloat) return formatPyFloat(value.value);
  if (Array.isArray(value)) return `[${value.map(pyRepr).join(', ')}]`;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return `{${entries.map(([key, item]) => `${pyRepr(key)}: ${pyRepr(item)}`).join(', ')}}`;
}

/** Python's `str(value)`: like repr, except that a string is itself. */
export function pyStr(value: unknown): string {
  return typeof value === 'string' ? value : pyRepr(value);
}

/** The name of a value's Python type. */
export function pyTypeName(value: PyValue | undefined): string {
  if (value === null || value === undefined) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return 'str';
  if (value instanceof PyFloat) return 'float';
  if (Array.isArray(value)) return 'list';
  return value instanceof Map ? 'dict' : 'int';
}

/** Python's truth of a value. */
export function pyTruth(value: PyValue | undefined): boolean {
  if (value === null || value === undefined || value === '') return false;
  const number = asNumber(value);
  if (number !== undefined) return Number(number) !== 0;
  if (Array.isArray(value)) return value.length > 0;
  return value instanceof Map ? value.size > 0 : true;
}
