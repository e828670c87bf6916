// Nodes that move pixels without changing them: crop, flip, rotate. Source: ComfyUI's node classes of the same name.
import type { NodeDefinition } from '../node-definition.ts';
import { copyRegion } from './copy-region.ts';
import { imageTransformDeclarations } from './declarations/image-transform.ts';
import { imageInput, numberInput, textInput } from './inputs.ts';
import { Pacer } from './pacer.ts';
import { itemData, newTensor, type Tensor } from './tensor.ts';

/** Where the pixel at x, y of the result comes from, as a pixel number in the source. */
type PixelMap = (x: number, y: number, source: Tensor) => number;

async function mapPixels(source: Tensor, width: number, height: number, from: PixelMap): Promise<Tensor> {
  const result = newTensor({ ...source, width, height });
  const channels = source.channels;
  const pacer = new Pacer();
  for (let b = 0; b < source.batch; b++) {
    const input = itemData(source, b);
    const output = itemData(result, b);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const read = from(x, y, source) * channels;
        const write = (y * width + x) * channels;
        for (let c = 0; c < channels; c++) output[write + c] = input[read + c] ?? 0;
      }
      if (pacer.due()) await pacer.turn();
    }
  }
  return result;
}

/** `ImageCrop`. The corner is moved into the picture; what lies outside is cut off, so the result can be smaller. */
export const imageCropNode: NodeDefinition = {
  classType: 'ImageCrop',
  declaration: imageTransformDeclarations.ImageCrop,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const x = Math.min(numberInput(inputs, 'x'), image.width - 1);
    const y = Math.min(numberInput(inputs, 'y'), image.height - 1);
    const width = Math.min(numberInput(inputs, 'width'), image.width - x);
    const height = Math.min(numberInput(inputs, 'height'), image.height - y);
    return { outputs: [copyRegion(image, { x, y, width, height })] };
  },
};

const flips: readonly { readonly start: string; readonly map: PixelMap }[] = [
  { start: 'x', map: (x, y, { width, height }) => (height - 1 - y) * width + x },
  { start: 'y', map: (x, y, { width }) => y * width + (width - 1 - x) },
];

/** `ImageFlip`: around the x axis (upside down) or the y axis (mirrored). */
export const imageFlipNode: NodeDefinition = {
  classType: 'ImageFlip',
  declaration: imageTransformDeclarations.ImageFlip,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const method = textInput(inputs, 'flip_method');
    const flip = flips.find(({ start }) => method.startsWith(start));
    return { outputs: [flip === undefined ? image : await mapPixels(image, image.width, image.height, flip.map)] };
  },
};

const rotations: readonly { readonly start: string; readonly swapsSides: boolean; readonly map: PixelMap }[] = [
  { start: '90', swapsSides: true, map: (x, y, { width, height }) => (height - 1 - x) * width + y },
  { start: '180', swapsSides: false, map: (x, y, { width, height }) => (height - 1 - y) * width + (width - 1 - x) },
  { start: '270', swapsSides: true, map: (x, y, { width }) => x * width + (width - 1 - y) },
];

/** `ImageRotate`: clockwise by quarter turns. */
export const imageRotateNode: NodeDefinition = {
  classType: 'ImageRotate',
  declaration: imageTransformDeclarations.ImageRotate,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const wanted = textInput(inputs, 'rotation');
    const rotation = rotations.find(({ start }) => wanted.startsWith(start));
    if (rotation === undefined) return { outputs: [image] };
    const [width, height] = rotation.swapsSides ? [image.height, image.width] : [image.width, image.height];
    return { outputs: [await mapPixels(image, width, height, rotation.map)] };
  },
};
