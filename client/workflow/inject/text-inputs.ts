/**
 * Which inputs of a node hold the text of a prompt. Known encoders by name; any other node by its declaration (multiline STRING), and where there is
 * none, by the names that such inputs have.
 */
import type { ApiNode } from '../../../shared/index.ts';
import { findClass, type ObjectInfo } from '../convert/object-info.ts';

/** Encoders whose inputs are known: all of them are the same prompt. */
const encoders: Readonly<Record<string, readonly string[]>> = {
  CLIPTextEncode: ['text'],
  CLIPTextEncodeSDXL: ['text_g', 'text_l'],
  CLIPTextEncodeSDXLRefiner: ['text'],
  CLIPTextEncodeFlux: ['clip_l', 't5xxl'],
  CLIPTextEncodeSD3: ['clip_l', 'clip_g', 't5xxl'],
  CLIPTextEncodeHiDream: ['clip_l', 'clip_g', 't5xxl', 'llama'],
  CLIPTextEncodeHunyuanDiT: ['bert', 'mt5xl'],
  CLIPTextEncodePixArtAlpha: ['text'],
  CLIPTextEncodeLumina2: ['user_prompt'],
  CLIPTextEncodeControlnet: ['text'],
  CLIPTextEncodeKandinsky5: ['clip_l', 'qwen25_7b'],
  TextEncodeQwenImageEdit: ['prompt'],
  TextEncodeQwenImageEditPlus: ['prompt'],
  TextEncodeHunyuanVideo_ImageToVideo: ['prompt'],
  TextEncodeAceStepAudio: ['tags'],
};

/** Their own text is not the prompt: a box of GLIGEN, lyrics. */
const passThrough: ReadonlySet<string> = new Set(['GLIGENTextBoxApply', 'ConditioningZeroOut']);

const usualNames = [
  'text',
  'prompt',
  'text_positive',
  'positive_prompt',
  'populated_text',
  'wildcard_text',
  'string',
  'value',
];

/** Which prompt is looked for. */
export type PromptRole = 'positive' | 'negative';

/** The text inputs of a node for a role, in order; empty when it has none. */
export function textInputs(node: ApiNode, role: PromptRole, objectInfo: ObjectInfo | undefined): string[] {
  const { class_type: classType, inputs } = node;
  if (passThrough.has(classType)) return [];
  const known = Object.hasOwn(encoders, classType) ? encoders[classType] : undefined;
  if (known) return known.filter((name) => Object.hasOwn(inputs, name));
  const declared = objectInfo && findClass(objectInfo, classType);
  const texts = declared
    ? declared.inputs
        .filter(({ widget, options }) => widget === 'string' && options['multiline'] === true)
        .map(({ name }) => name)
        .filter((name) => Object.hasOwn(inputs, name))
    : usualNames
        .concat('negative_prompt', 'text_negative', 'negative')
        .filter((name) => typeof inputs[name] === 'string');
  return ofRole(texts, role);
}

/** Nodes that hold both prompts name them so: the other one is never taken. */
function ofRole(names: readonly string[], role: PromptRole): string[] {
  const negative = names.filter((name) => /neg/i.test(name));
  const rest = names.filter((name) => !negative.includes(name));
  const positive = rest.filter((name) => /pos/i.test(name));
  if (role === 'positive') return positive.length > 0 ? positive : rest;
  // An encoder of some pack with a text of no role is negative where it is wired so.
  return negative.length > 0 || positive.length > 0 ? negative : rest;
}

/** Inputs of a node that makes text for others: a primitive, a text box. Inputs that are glue (delimiters, modes) are left out. */
export function sourceTextInputs(node: ApiNode, objectInfo: ObjectInfo | undefined): string[] {
  const declared = objectInfo && findClass(objectInfo, node.class_type);
  const texts = declared
    ? declared.inputs.filter(({ type }) => type === 'STRING').map(({ name }) => name)
    : Object.keys(node.inputs).filter((name) => /text|prompt|string|value/i.test(name));
  return texts.filter(
    (name) => Object.hasOwn(node.inputs, name) && !/delimiter|separator|mode|regex|replace|find/i.test(name),
  );
}
