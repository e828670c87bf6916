// Python's int(), float(), str() and bool() applied to constants, as validation does (ComfyUI protocol notes §1.3.5 step 4).
import type { PyValue } from '../python-json.ts';
import { PyFloat, pyInt } from '../python-number.ts';
import { pyRepr, pyStr, pyTruth, pyTypeName } from '../python-repr.ts';

/** A constant Python could not convert; the message is Python's own. */
export class CoercionError extends Error {
  override readonly name = 'CoercionError';
}

const INT_TEXT = /^[+-]?\d(?:_?\d)*$/;
const FLOAT_TEXT = /^[+-]?(?:(?:\d(?:_?\d)*)?\.\d(?:_?\d)*|\d(?:_?\d)*\.?)(?:[eE][+-]?\d+)?$/;
const FLOAT_WORD = /^([+-]?)(nan|inf|infinity)$/i;

function toInt(value: PyValue): PyValue {
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number' || typeof value === 'bigint') return value;
  if (value instanceof PyFloat) {
    if (Number.isNaN(value.value)) throw new CoercionError('cannot convert float NaN to integer');
    if (!Number.isFinite(value.value)) throw new CoercionError('cannot convert float infinity to integer');
    return pyInt(BigInt(Math.trunc(value.value)));
  }
  if (typeof value === 'string') {
    const text = value.trim();
    if (!INT_TEXT.test(text)) throw new CoercionError(`invalid literal for int() with base 10: ${pyRepr(value)}`);
    const digits = text.replaceAll('_', '');
    return pyInt(digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(digits.replace(/^\+/, '')));
  }
  throw new CoercionError(
    `int() argument must be a string, a bytes-like object or a real number, not '${pyTypeName(value)}'`,
  );
}

function toFloat(value: PyValue): PyValue {
  if (value instanceof PyFloat) return value;
  if (typeof value === 'boolean') return new PyFloat(value ? 1 : 0);
  if (typeof value === 'number' || typeof value === 'bigint') return new PyFloat(Number(value));
  if (typeof value === 'string') {
    const text = value.trim();
    const word = FLOAT_WORD.exec(text);
    if (word !== null) {
      const size = word[2]?.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
      return new PyFloat(word[1] === '-' ? -size : size);
    }
    if (FLOAT_TEXT.test(text)) return new PyFloat(Number(text.replaceAll('_', '')));
    throw new CoercionError(`could not convert string to float: ${pyRepr(value)}`);
  }
  throw new CoercionError(`float() argument must be a string or a real number, not '${pyTypeName(value)}'`);
}

/** Converts a constant to its declared type; other types are left alone. Throws CoercionError. */
export function coerceConstant(value: PyValue, type: unknown): PyValue {
  if (type === 'INT') return toInt(value);
  if (type === 'FLOAT') return toFloat(value);
  if (type === 'STRING') return pyStr(value);
  return type === 'BOOLEAN' ? pyTruth(value) : value;
}
