// ImagePadForOutpaint: a grey border and the mask that tells an inpainting model where to paint.
import type { NodeDefinition } from '../node-definition.ts';
import { pasteInto } from './copy-region.ts';
import { imageTransformDeclarations } from './declarations/image-transform.ts';
import { imageInput, numberInput } from './inputs.ts';
import { newTensor, type Tensor } from './tensor.ts';

interface Border {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** What to keep of the original: 0 inside, rising towards those edges that get a border. Opposite edges never overlap. */
function featheredMask(width: number, height: number, border: Border, feathering: number): Tensor {
  const mask = newTensor({ kind: 'MASK', batch: 1, height, width, channels: 1 });
  if (feathering <= 0 || feathering * 2 >= height || feathering * 2 >= width) return mask;
  for (let y = 0; y < height; y++) {
    const vertical = Math.min(border.top === 0 ? height : y, border.bottom === 0 ? height : height - y);
    for (let x = 0; x < width; x++) {
      const horizontal = Math.min(border.left === 0 ? width : x, border.right === 0 ? width : width - x);
      const nearness = (feathering - Math.min(vertical, horizontal)) / feathering;
      if (nearness > 0) mask.data[y * width + x] = nearness * nearness;
    }
  }
  return mask;
}

/** `ImagePadForOutpaint`. The mask has one item, however many pictures there are. */
export const imagePadForOutpaintNode: NodeDefinition = {
  classType: 'ImagePadForOutpaint',
  declaration: imageTransformDeclarations.ImagePadForOutpaint,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const side = (name: string): number => numberInput(inputs, name);
    const border: Border = { left: side('left'), top: side('top'), right: side('right'), bottom: side('bottom') };
    const width = image.width + border.left + border.right;
    const height = image.height + border.top + border.bottom;
    const padded = newTensor({ ...image, width, height });
    padded.data.fill(0.5);
    pasteInto(padded, image, border.left, border.top);
    const mask = newTensor({ kind: 'MASK', batch: 1, height, width, channels: 1 });
    mask.data.fill(1);
    const feathered = featheredMask(image.width, image.height, border, numberInput(inputs, 'feathering'));
    pasteInto(mask, feathered, border.left, border.top);
    return { outputs: [padded, mask] };
  },
};
