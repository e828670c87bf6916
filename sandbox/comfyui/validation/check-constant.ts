// Checks of one constant: unwrap, coerce, range, list (ComfyUI protocol notes §1.3.5 step 4). Writes the coerced value back.
import type { ComfyProfile, DeclarationValue } from '../node-definition.ts';
import type { DeclaredInput } from '../node-registry.ts';
import { asNumber, compareNumbers, type PyDict, type PyValue, pyEquals } from '../python-json.ts';
import { pyRepr, pyStr } from '../python-repr.ts';
import { CoercionError, coerceConstant } from './coerce.ts';
import { invalidInputType, outOfRange, valueNotInList } from './input-errors.ts';
import type { ValidationError } from './types.ts';

function unwrap(value: PyValue): PyValue {
  return value instanceof Map && value.has('__value__') ? (value.get('__value__') ?? null) : value;
}

function beyond(value: PyValue, limit: DeclarationValue | undefined, direction: -1 | 1): boolean {
  const left = asNumber(value);
  const right = asNumber(limit as PyValue);
  return left !== undefined && right !== undefined && compareNumbers(left, right) === direction;
}

function inOptions(value: PyValue, options: readonly unknown[]): boolean {
  return options.some((option) => pyEquals(value, option as PyValue));
}

function checkCombo(name: string, input: DeclaredInput, value: PyValue, profile: ComfyProfile): ValidationError | null {
  if (Array.isArray(input.type)) {
    return inOptions(value, input.type) ? null : valueNotInList(name, input, value, input.type, `'${pyStr(value)}'`);
  }
  const options = input.options['options'];
  if (profile !== 'late-2026' || input.type !== 'COMBO' || !Array.isArray(options)) return null;
  if (input.options['remote_combo'] !== undefined) return null;
  const values = input.options['multiselect'] === true && Array.isArray(value) ? value : [value];
  const bad = values.filter((item) => !inOptions(item, options));
  return bad.length === 0 ? null : valueNotInList(name, input, value, options, bad.map(pyRepr).join(', '));
}

/** Checks and coerces the constant `name` of `inputs`. `ownValidator`: the class's validator takes over range and list checks. */
export function checkConstant(
  name: string,
  input: DeclaredInput,
  inputs: PyDict,
  profile: ComfyProfile,
  ownValidator: boolean,
): ValidationError | null {
  const posted = inputs.get(name) ?? null;
  let value = unwrap(posted);
  if (value !== posted) inputs.set(name, value);
  try {
    const coerced = coerceConstant(value, input.type);
    if (coerced !== value) inputs.set(name, coerced);
    value = coerced;
  } catch (error) {
    if (!(error instanceof CoercionError)) throw error;
    return invalidInputType(name, input, value, error.message);
  }
  if (ownValidator) return null;
  if (beyond(value, input.options['min'], -1)) return outOfRange(name, input, value, 'min');
  if (beyond(value, input.options['max'], 1)) return outOfRange(name, input, value, 'max');
  return checkCombo(name, input, value, profile);
}
