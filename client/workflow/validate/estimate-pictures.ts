/** How large the pictures of a save node will be, followed back along its links as far as the sizes stand in the workflow. Pure. */
import type { ApiNode, Workflow } from '../../../shared/index.ts';
import type { ClassContract } from './class-contract.ts';
import { linkSource } from './graph-walk.ts';

/** Size and number of pictures. */
export interface PictureEstimate {
  readonly width: number;
  readonly height: number;
  readonly count: number;
}

/** What the estimate reads. */
export interface EstimateContext {
  readonly workflow: Workflow;
  readonly contractOf: (classType: string) => ClassContract | undefined;
}

/** Nodes followed at most: more than any real chain has. */
const longestChain = 500;

/** Classes whose `width` and `height` are what comes out of them. */
const sizing = /^Empty|Scale|Resize|^LatentUpscale$|^ImageCrop$|^LatentCrop$|^SolidMask$/;

/** Sides of a picture that can be believed. */
const largestSide = 65_536;

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 && value <= largestSide ? value : undefined;
}

/** Estimates what the node `id` is given to save; undefined when the sizes are not in the workflow (an uploaded picture, an unknown node). */
export function estimatePictures(id: string, context: EstimateContext): PictureEstimate | undefined {
  let at = id;
  let scale = 1;
  let count = 1;
  for (let step = 0; step < longestChain; step++) {
    const node = context.workflow[at];
    if (!node) return undefined;
    const { inputs } = node;
    const [width, height] = [positive(inputs['width']), positive(inputs['height'])];
    const batch = positive(inputs['batch_size']) ?? positive(inputs['amount']) ?? 1;
    if (width !== undefined && height !== undefined && sizing.test(node.class_type)) {
      const pictures = /^Empty|^SolidMask$/.test(node.class_type) ? batch : countBehind(node, context);
      return {
        width: Math.round(width * scale),
        height: Math.round(height * scale),
        count: Math.round(count * pictures),
      };
    }
    if (/Repeat/.test(node.class_type)) count *= batch;
    scale *= scaleOf(node, context);
    const next = pictureSource(node, context);
    if (next === undefined) return undefined;
    at = next;
  }
  return undefined;
}

/** The number of pictures that a resizing node is given. */
function countBehind(node: ApiNode, context: EstimateContext): number {
  let at = pictureSource(node, context);
  let count = 1;
  for (let step = 0; at !== undefined && step < longestChain; step++) {
    const behind = context.workflow[at];
    if (!behind) break;
    const batch = positive(behind.inputs['batch_size']) ?? positive(behind.inputs['amount']);
    if (batch !== undefined && /Empty|Repeat/.test(behind.class_type)) count *= batch;
    at = pictureSource(behind, context);
  }
  return count;
}

/** How much larger each side becomes in this node. */
function scaleOf({ class_type: classType, inputs }: ApiNode, { workflow }: EstimateContext): number {
  if (/ScaleBy$|UpscaleBy$/.test(classType)) return positive(inputs['scale_by']) ?? 1;
  if (classType !== 'ImageUpscaleWithModel') return 1;
  const loader = workflow[linkSource(inputs['upscale_model']) ?? ''];
  // Such models carry their factor in their names: 4x-UltraSharp, RealESRGAN_x2.
  const factor = /(?:^|[^\d])([2348])x|x([2348])(?:[^\d]|$)/i.exec(String(loader?.inputs['model_name'] ?? ''));
  return Number(factor?.[1] ?? factor?.[2] ?? 1);
}

/** Inputs that carry the picture, in the order in which they count. */
const carriers = ['images', 'image', 'samples', 'latent_image', 'latent', 'pixels', 'destination', 'image1'];

/** The node whose pictures or latents this one works on. */
function pictureSource(node: ApiNode, { contractOf }: EstimateContext): string | undefined {
  for (const name of carriers) {
    const source = linkSource(node.inputs[name]);
    if (source !== undefined) return source;
  }
  const contract = contractOf(node.class_type);
  const declared = contract?.inputs.find(
    ({ name, type }) => /^(IMAGE|LATENT)$/.test(type) && linkSource(node.inputs[name]) !== undefined,
  );
  return declared && linkSource(node.inputs[declared.name]);
}
