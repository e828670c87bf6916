/** The check of a constant: conversion, bounds, lists (ComfyUI protocol notes §1.3.5 step 4). */

import type { InputContract } from './class-contract.ts';
import { isModelFile, modelsFor } from './model-files.ts';
import { nearestNames } from './nearest-names.ts';
import { inputConfig, type NodeCheck, place, where } from './node-check.ts';
import { convertConstant, pythonEquals, pythonRepr, pythonText, unwrapValue } from './python-values.ts';

/** Lists longer than this are not repeated in an error. */
const repeatedChoices = 20;

/** Types whose values are written on the node. Others come over a link, unless a pack has a widget for them. */
const widgetTypes = /^(INT|FLOAT|STRING|BOOLEAN|COMBO|\*)$|[a-z,]/;

/** Checks a constant value of an input. */
export function checkConstant(check: NodeCheck, input: InputContract, raw: unknown): void {
  const value = unwrapValue(raw);
  const converted = convertConstant(value, input.type);
  if (!converted.ok) {
    check.findings.error({
      ...place(check, input.name),
      type: 'invalid_input_type',
      message: `Failed to convert an input value to a ${input.type} value`,
      details: `${input.name}, ${pythonText(value)}, ${converted.why}`,
      extra_info: {
        input_name: input.name,
        input_config: inputConfig(input),
        received_value: value,
        exception_message: converted.why,
      },
      summary: `${input.name} takes ${input.type}, and its value can't be read as one`,
    });
    return;
  }
  if (input.checkedByClass) return;
  if (checkBounds(check, input, converted.value)) return;
  if (input.type === 'COMBO') checkList(check, input, converted.value);
  else adviseOnLink(check, input, value);
}

/** True when a bound is broken. */
function checkBounds(check: NodeCheck, input: InputContract, value: unknown): boolean {
  if (typeof value !== 'number') return false;
  const { min, max } = input.options;
  const small = typeof min === 'number' && value < min;
  const big = !small && typeof max === 'number' && value > max;
  if (!small && !big) return false;
  const [bound, than] = small ? [min, 'smaller than min'] : [max, 'bigger than max'];
  const summary = `${input.name} is ${value}, ${small ? 'below' : 'above'} ${String(bound)}`;
  if (check.contract.custom) {
    check.findings.advise('value_doubtful', [check.id], `${where(check)}: ${summary}`);
    return true;
  }
  check.findings.error({
    ...place(check, input.name),
    type: small ? 'value_smaller_than_min' : 'value_bigger_than_max',
    message: `Value ${pythonText(value)} ${than} of ${String(bound)}`,
    details: input.name,
    extra_info: { input_name: input.name, input_config: inputConfig(input), received_value: value },
    summary,
  });
  return true;
}

function checkList(check: NodeCheck, input: InputContract, value: unknown): void {
  const { choices } = input;
  // Declarations that ship have no lists of files; a worker may have told its files all the same.
  const told = check.exact ? undefined : modelsFor(check.contract.name, input.name, check.models);
  const model = isModelFile(value);
  if (told !== undefined && model) {
    if (!told.includes(value)) reportNotInList(check, input, value, told);
    return;
  }
  if (choices === undefined || choices.some((choice) => pythonEquals(choice, value))) return;
  if (input.options['multiselect'] === true && Array.isArray(value)) return;
  if (check.exact && (model || (input.listed && !check.contract.custom))) {
    reportNotInList(check, input, value, choices);
    return;
  }
  const nearest =
    typeof value === 'string'
      ? nearestNames(
          value,
          choices.filter((one) => typeof one === 'string'),
        )
      : [];
  // Declarations that ship list no files at all: that is said once for all of them.
  if (model && choices.length === 0) return;
  const kind = model ? 'model_unknown' : 'value_doubtful';
  const summary = model
    ? `${value} is on no list of models that is known here`
    : `${shown(value)} is not in the list of ${input.name}`;
  check.findings.advise(kind, [check.id], `${where(check)}: ${summary}`, nearest);
}

/** Longest value that a sentence shows. */
const shownValue = 60;

/** Values of lists are names of files and modes; a long one may be a prompt that has slipped, and is not repeated. */
function shown(value: unknown): string {
  const text = pythonRepr(value);
  return text.length <= shownValue && !text.includes('\\n') ? text : 'its value';
}

function reportNotInList(check: NodeCheck, input: InputContract, value: unknown, choices: readonly unknown[]): void {
  const long = choices.length > repeatedChoices;
  const list = long ? `(list of length ${choices.length})` : pythonRepr(choices);
  const names = choices.filter((one) => typeof one === 'string');
  const nearest = typeof value === 'string' ? nearestNames(value, names) : [];
  const what = isModelFile(value)
    ? `the model ${value.slice(0, 120)} is not there`
    : `${shown(value)} is not in the list of ${input.name}`;
  check.findings.error({
    ...place(check, input.name),
    type: 'value_not_in_list',
    message: 'Value not in list',
    details: `${input.name}: '${pythonText(value)}' not in ${list}`,
    extra_info: {
      input_name: input.name,
      input_config: long ? null : [choices, input.options],
      received_value: value,
    },
    summary: what,
    ...(nearest.length > 0 && { nearest }),
  });
}

/** A constant where only a node can deliver passes ComfyUI's check and fails the run. */
function adviseOnLink(check: NodeCheck, input: InputContract, value: unknown): void {
  if (widgetTypes.test(input.type) || check.contract.custom) return;
  if (value === null && !input.required) return;
  if (!linkTypes.has(input.type)) return;
  const text = `${where(check)}: ${input.name} takes ${input.type} from another node, but holds a value; the run will fail there`;
  check.findings.advise('link_expected', [check.id], text);
}

/** Types of which no value can be written down. */
const linkTypes: ReadonlySet<string> = new Set([
  'MODEL',
  'CLIP',
  'VAE',
  'CONDITIONING',
  'LATENT',
  'IMAGE',
  'MASK',
  'CONTROL_NET',
  'CLIP_VISION',
  'CLIP_VISION_OUTPUT',
  'STYLE_MODEL',
  'UPSCALE_MODEL',
  'SAMPLER',
  'SIGMAS',
  'NOISE',
  'GUIDER',
  'AUDIO',
  'VIDEO',
]);
