// Numbers as Python knows them. ComfyUI is a Python program: `1` and `1.0` are different values in its JSON answers and in
// its error texts, and integers have no upper limit (a seed may be 18446744073709551615). Neighbours: python-json.ts reads
// and writes them, python-repr.ts prints them, validation/coerce.ts makes them.
// Rule: a Python int is a JS number (safe range) or bigint; a Python float is always a PyFloat. A bare JS number that is
// not an integer is treated as a float too, so plain objects written by hand keep working.

/** A Python `float`. Needed wherever `1.0` must not turn into `1`. */
export class PyFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A Python `int`: a number within the safe range, else a bigint. */
export type PyInt = number | bigint;

/** Shorthand for `new PyFloat(value)`. */
export function pyFloat(value: number): PyFloat {
  return new PyFloat(value);
}

/** Turns a decimal integer literal or a bigint into the smallest fitting representation. */
export function pyInt(value: string | bigint): PyInt {
  const big = BigInt(value);
  return big >= BigInt(Number.MIN_SAFE_INTEGER) && big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : big;
}

/** Python's `repr` of a float: `1.0`, `1e-07`, `1e+16`, `nan`, `inf`. */
export function formatPyFloat(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude >= 1e16 || magnitude < 1e-4)) {
    const [mantissa = '0', exponent = '+0'] = value.toExponential().split('e');
    const sign = exponent.startsWith('-') ? '-' : '+';
    return `${mantissa}e${sign}${exponent.slice(1).padStart(2, '0')}`;
  }
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
