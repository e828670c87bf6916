/** What a node class asks of its inputs, read from `/object_info` with what ComfyUI's own check goes by (ComfyUI protocol notes §1.3.5, §1.10). */
import { isObject, type JsonObject, listOf, own, textOf } from '../convert/json-values.ts';
import { perClass } from '../convert/per-class.ts';

/** One declared input. */
export interface InputContract {
  readonly name: string;
  readonly required: boolean;
  /** As declared: a type, or the values of a combo of the first kind. */
  readonly declared: unknown;
  /** The type as one text; `COMBO` for both kinds of combo. */
  readonly type: string;
  readonly options: JsonObject;
  /** Values of a combo; undefined for other types, and for combos whose values come from somewhere else. */
  readonly choices: readonly unknown[] | undefined;
  /** True for a combo whose list ComfyUI 0.3 checks; those of the newer kind (`["COMBO", {options}]`) it lets pass. */
  readonly listed: boolean;
  /** True where the class checks the value itself, as loaders of uploaded files do: lists and bounds don't count then. */
  readonly checkedByClass: boolean;
  /** True for types whose inputs are made at run time (`COMFY_…_V3`): nothing can be said about them. */
  readonly dynamic: boolean;
}

/** One declared class. */
export interface ClassContract {
  readonly name: string;
  readonly inputs: readonly InputContract[];
  /** Types of the outputs as declared; a list for a combo. */
  readonly outputs: readonly unknown[];
  readonly isOutput: boolean;
  /** True for a class of a custom-node pack: it may check its inputs by rules of its own, or have outputs that it does not declare. */
  readonly custom: boolean;
  /** True for a class that looks at the types of its links itself: ComfyUI does not, then. */
  readonly checksTypes: boolean;
}

/** Core classes with a check of their own for inputs that don't say so by an upload flag. Source: ComfyUI protocol notes §3.5, ComfyUI 0.3.64. */
const checkedByClass: Readonly<Record<string, readonly string[]>> = {
  LoadLatent: ['latent'],
  KlingCameraControls: ['horizontal_movement', 'vertical_movement', 'pan', 'tilt', 'roll', 'zoom'],
};

/** Core classes whose own check takes the types of the links. Source: ComfyUI 0.3.64. */
const checksTypes: ReadonlySet<string> = new Set(['TripoConversionNode']);

const uploadFlags = [
  'image_upload',
  'video_upload',
  'audio_upload',
  'file_upload',
  'mesh_upload',
  'animated_image_upload',
];

/** Lists that the editor fills from elsewhere: what is declared says nothing. */
const remoteFlags = ['remote', 'remote_combo'];

function readInput(
  className: string,
  name: string,
  declaration: unknown,
  required: boolean,
): InputContract | undefined {
  const [declared, rawOptions] = listOf(declaration);
  const options = isObject(rawOptions) ? rawOptions : {};
  const listed = Array.isArray(declared);
  if (!listed && typeof declared !== 'string') return undefined;
  const remote = remoteFlags.some((flag) => own(options, flag) !== undefined);
  const choices = listed ? declared : declared === 'COMBO' ? own(options, 'options') : undefined;
  const uploaded = uploadFlags.some((flag) => options[flag] === true);
  return {
    name,
    required,
    declared,
    type: listed ? 'COMBO' : declared,
    options,
    choices: Array.isArray(choices) && !remote ? choices : undefined,
    listed,
    checkedByClass: uploaded || listOf(own(checkedByClass, className)).includes(name),
    dynamic: !listed && declared.startsWith('COMFY_'),
  };
}

function readClass(name: string, raw: unknown): ClassContract | undefined {
  if (!isObject(raw)) return undefined;
  const inputs = (['required', 'optional'] as const).flatMap((section) => {
    const block = own(raw['input'], section);
    if (!isObject(block)) return [];
    return Object.entries(block).flatMap(([input, spec]) => readInput(name, input, spec, section === 'required') ?? []);
  });
  return {
    name,
    // An input that is declared twice counts as required, as ComfyUI looks there first.
    inputs: [...new Map(inputs.toReversed().map((input) => [input.name, input])).values()].toReversed(),
    outputs: listOf(raw['output']),
    isOutput: raw['output_node'] === true,
    custom: textOf(raw['python_module'])?.startsWith('custom_nodes') === true,
    checksTypes: checksTypes.has(name),
  };
}

/** Looks a class up, read once per object and class. */
export const classContract = perClass(readClass);
