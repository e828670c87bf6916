// The errors a single input can have, worded as ComfyUI words them (ComfyUI protocol notes §1.3.6).
import type { DeclaredInput } from '../node-registry.ts';
import type { PyValue } from '../python-json.ts';
import { pyRepr, pyStr } from '../python-repr.ts';
import type { ValidationError } from './types.ts';

const LONGEST_LISTED = 20;

/** `[type, options]` as `/object_info` shows it. */
export function inputConfig(input: DeclaredInput): readonly [unknown, unknown] {
  return [input.type, input.options];
}

/** A required input is absent. */
export function requiredInputMissing(name: string): ValidationError {
  return {
    type: 'required_input_missing',
    message: 'Required input is missing',
    details: name,
    extra_info: { input_name: name },
  };
}

/** An array that is not `[nodeId, slot]`. */
export function badLinkedInput(name: string, input: DeclaredInput, value: PyValue): ValidationError {
  return {
    type: 'bad_linked_input',
    message: 'Bad linked input, must be a length-2 list of [node_id, slot_index]',
    details: name,
    extra_info: { input_name: name, input_config: inputConfig(input), received_value: value },
  };
}

/** The linked output has another type. */
export function returnTypeMismatch(
  name: string,
  input: DeclaredInput,
  received: unknown,
  link: PyValue,
): ValidationError {
  return {
    type: 'return_type_mismatch',
    message: 'Return type mismatch between linked nodes',
    details: `${name}, received_type(${pyStr(received)}) mismatch input_type(${pyStr(input.type)})`,
    extra_info: {
      input_name: name,
      input_config: inputConfig(input),
      received_type: received,
      linked_node: link,
    },
  };
}

/** A constant that cannot be converted. */
export function invalidInputType(
  name: string,
  input: DeclaredInput,
  value: PyValue,
  exception: string,
): ValidationError {
  return {
    type: 'invalid_input_type',
    message: `Failed to convert an input value to a ${pyStr(input.type)} value`,
    details: `${name}, ${pyStr(value)}, ${exception}`,
    extra_info: {
      input_name: name,
      input_config: inputConfig(input),
      received_value: value,
      exception_message: exception,
    },
  };
}

/** A number below `min` or above `max`. */
export function outOfRange(name: string, input: DeclaredInput, value: PyValue, side: 'min' | 'max'): ValidationError {
  const limit = pyStr(input.options[side]);
  return {
    type: side === 'min' ? 'value_smaller_than_min' : 'value_bigger_than_max',
    message:
      side === 'min'
        ? `Value ${pyStr(value)} smaller than min of ${limit}`
        : `Value ${pyStr(value)} bigger than max of ${limit}`,
    details: name,
    extra_info: { input_name: name, input_config: inputConfig(input), received_value: value },
  };
}

/** A value outside its list of options; long lists are not repeated. `bad` are the offending values as printed. */
export function valueNotInList(
  name: string,
  input: DeclaredInput,
  value: PyValue,
  options: readonly unknown[],
  bad: string,
): ValidationError {
  const long = options.length > LONGEST_LISTED;
  return {
    type: 'value_not_in_list',
    message: 'Value not in list',
    details: `${name}: ${bad} not in ${long ? `(list of length ${options.length})` : pyRepr(options)}`,
    extra_info: { input_name: name, input_config: long ? null : inputConfig(input), received_value: value },
  };
}

/** The class's own validator refused; one such error per input passed to it. */
export function customValidationFailed(name: string, answer: boolean | string): ValidationError {
  return {
    type: 'custom_validation_failed',
    message: 'Custom validation failed for node',
    details: answer === false ? name : `${name} - ${pyStr(answer)}`,
    extra_info: { input_name: name },
  };
}
