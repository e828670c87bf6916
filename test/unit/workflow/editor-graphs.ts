/** Builds small workflows in the editor's save format, and a small `/object_info` to convert them with. */
import {
  type Conversion,
  type ConvertOptions,
  convertWorkflow,
} from '../../../client/workflow/convert/convert-workflow.ts';
import type { ObjectInfo } from '../../../client/workflow/convert/object-info.ts';

type Json = Record<string, unknown>;

/** A class per kind of input, named for what it does. */
export const classes: ObjectInfo = {
  Load: declare({ name: [['a.safetensors', 'Sub/B.safetensors'], {}] }, ['MODEL', 'CLIP', 'VAE']),
  Tweak: declare({ model: ['MODEL'], strength: ['FLOAT', { default: 1 }] }, ['MODEL']),
  Both: declare({ model: ['MODEL'], clip: ['CLIP'] }, ['MODEL', 'CLIP']),
  Encode: declare({ text: ['STRING', { multiline: true, dynamicPrompts: true }], clip: ['CLIP'] }, ['CONDITIONING']),
  Sample: declare(
    {
      model: ['MODEL'],
      seed: ['INT', { default: 0, control_after_generate: true }],
      steps: ['INT', { default: 20 }],
      sampler: [['euler', 'fixed'], {}],
      positive: ['CONDITIONING'],
    },
    ['LATENT'],
    { denoise: ['FLOAT', { default: 1 }] },
  ),
  OldSeed: declare({ noise_seed: ['INT', { default: 0 }], enabled: ['BOOLEAN', { default: true }] }, ['INT']),
  Save: { ...declare({ images: ['*'], filename_prefix: ['STRING', { default: 'ComfyUI' }] }, []), output_node: true },
  Picture: declare({ image: [['x.png'], { image_upload: true }] }, ['IMAGE'], {
    mode: ['COMBO', { options: ['fit', 'fill'] }],
  }),
  Forced: declare({ amount: ['INT', { forceInput: true }], label: ['STRING', { default: 'none' }] }, ['INT']),
  Number: declare({ value: ['INT', { default: 7 }] }, ['INT']),
  Dynamic: declare(
    {
      model: [
        'COMFY_DYNAMICCOMBO_V3',
        {
          options: [
            { key: 'small', inputs: { required: { size: ['INT', { default: 1 }] } } },
            {
              key: 'large',
              inputs: {
                required: {
                  image: ['IMAGE', {}],
                  quality: ['COMBO', { options: ['low', 'high'] }],
                  seed: ['INT', { default: 3, control_after_generate: true }],
                },
              },
            },
          ],
        },
      ],
      tail: ['STRING', { default: '' }],
    },
    ['IMAGE'],
  ),
  Grow: declare(
    {
      images: [
        'COMFY_AUTOGROW_V3',
        { template: { input: { required: { image: ['IMAGE', {}] } }, prefix: 'image', min: 1 } },
      ],
      tail: ['INT', { default: 4 }],
    },
    ['IMAGE'],
  ),
  Live: declare({ image: ['WEBCAM', {}], width: ['INT', { default: 0 }] }, ['IMAGE']),
};

function declare(required: Json, output: string[], optional?: Json): Json {
  const input_order = { required: Object.keys(required), ...(optional && { optional: Object.keys(optional) }) };
  return {
    input: { required, ...(optional && { optional }) },
    input_order,
    output,
    output_name: output,
    output_node: false,
  };
}

/** A node; `inputs` are `[name, type, link?, widget?]`, `outputs` are types. */
export interface NodeSketch {
  readonly inputs?: readonly (readonly [name: string, type: string, link?: number | null, widget?: boolean])[];
  readonly outputs?: readonly string[];
  readonly values?: unknown;
  readonly mode?: number;
  readonly title?: string;
  readonly properties?: Json;
  readonly more?: Json;
}

/** One node of the save format. */
export function node(id: number | string, type: string, sketch: NodeSketch = {}): Json {
  const inputs = (sketch.inputs ?? []).map(([name, slotType, link, widget]) => ({
    name,
    type: slotType,
    link: link ?? null,
    ...(widget === true && { widget: { name } }),
  }));
  return {
    id,
    type,
    mode: sketch.mode ?? 0,
    inputs,
    outputs: (sketch.outputs ?? []).map((output) => ({ name: output, type: output, links: [] })),
    properties: sketch.properties ?? {},
    ...(sketch.values !== undefined && { widgets_values: sketch.values }),
    ...(sketch.title !== undefined && { title: sketch.title }),
    ...sketch.more,
  };
}

/** A link of version 0.4: id, origin, slot, target, slot. */
export type LinkSketch = readonly [
  id: number,
  origin: number | string,
  slot: number,
  target: number | string,
  targetSlot: number,
];

/** A whole workflow. */
export function graph(nodes: readonly Json[], links: readonly LinkSketch[] = [], more: Json = {}): Json {
  return { nodes, links: links.map((link) => [...link, '*']), version: 0.4, extra: {}, ...more };
}

/** A link as an object, as subgraphs hold them. */
export function objectLink([id, origin, slot, target, targetSlot]: LinkSketch): Json {
  return { id, origin_id: origin, origin_slot: slot, target_id: target, target_slot: targetSlot, type: '*' };
}

/** A subgraph definition; `inputs` and `outputs` give the ids of the links inside. */
export function subgraph(
  id: string,
  nodes: readonly Json[],
  links: readonly LinkSketch[],
  inputs: Record<string, readonly number[]>,
  outputs: Record<string, readonly number[]>,
): Json {
  const slots = (sides: Record<string, readonly number[]>) =>
    Object.entries(sides).map(([name, linkIds]) => ({ name, type: '*', linkIds }));
  return {
    id,
    name: `subgraph ${id}`,
    nodes,
    links: links.map(objectLink),
    inputs: slots(inputs),
    outputs: slots(outputs),
  };
}

/** Converts with the classes above. */
export function convert(editor: unknown, options?: ConvertOptions): Conversion {
  return convertWorkflow(editor, classes, options);
}

/** The inputs of every converted node. */
export function inputsOf(editor: unknown, options?: ConvertOptions): Record<string, Record<string, unknown>> {
  return Object.fromEntries(Object.entries(convert(editor, options).workflow).map(([id, { inputs }]) => [id, inputs]));
}
