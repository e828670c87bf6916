// ImageStitch: two pictures side by side, with a coloured gap. Neighbours: resample/ for matching sizes.
import type { NodeDefinition } from '../node-definition.ts';
import { pasteInto } from './copy-region.ts';
import { imageTransformDeclarations } from './declarations/image-transform.ts';
import { flagInput, imageInput, numberInput, textInput } from './inputs.ts';
import { commonUpscale } from './resample/common-upscale.ts';
import { itemData, newTensor, type Tensor } from './tensor.ts';

const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  white: [1, 1, 1],
  black: [0, 0, 0],
  red: [1, 0, 0],
  green: [0, 1, 0],
  blue: [0, 0, 1],
};

/** Repeats the last picture until the batch is long enough. */
function stretchBatch(image: Tensor, batch: number): Tensor {
  if (image.batch === batch) return image;
  const result = newTensor({ ...image, batch });
  for (let b = 0; b < batch; b++) itemData(result, b).set(itemData(image, Math.min(b, image.batch - 1)));
  return result;
}

/** Adds opaque channels. */
function stretchChannels(image: Tensor, channels: number): Tensor {
  if (image.channels === channels) return image;
  const result = newTensor({ ...image, channels });
  result.data.fill(1);
  for (let i = 0; i < image.data.length; i++) {
    result.data[Math.floor(i / image.channels) * channels + (i % image.channels)] = image.data[i] ?? 0;
  }
  return result;
}

/** Scales the second picture so that the sides that will touch are equally long. */
async function matchSize(first: Tensor, second: Tensor, isHorizontal: boolean): Promise<Tensor> {
  const aspect = second.width / second.height;
  const width = isHorizontal ? Math.trunc(first.height * aspect) : first.width;
  const height = isHorizontal ? first.height : Math.trunc(first.width / aspect);
  return commonUpscale(second, width, height, 'lanczos', 'disabled');
}

/** Centres a picture across the direction of stitching; the strips beside it take one value in every channel. */
function padAcross(image: Tensor, length: number, isHorizontal: boolean, value: number): Tensor {
  const missing = length - (isHorizontal ? image.height : image.width);
  if (missing === 0) return image;
  const size = isHorizontal ? { height: length } : { width: length };
  const result = newTensor({ ...image, ...size });
  result.data.fill(value);
  const before = Math.floor(missing / 2);
  pasteInto(result, image, isHorizontal ? 0 : before, isHorizontal ? before : 0);
  return result;
}

/** A canvas in one colour, opaque. */
function canvas(like: Tensor, width: number, height: number, colour: readonly number[]): Tensor {
  const result = newTensor({ ...like, width, height });
  for (let i = 0; i < result.data.length; i++) result.data[i] = colour[i % like.channels] ?? 1;
  return result;
}

interface Stitching {
  readonly isHorizontal: boolean;
  readonly isReversed: boolean;
  readonly gap: number;
  readonly colour: readonly [number, number, number];
  /** What fills beside a smaller picture; colours other than grey count as black there. */
  readonly padding: number;
}

function stitch(first: Tensor, second: Tensor, how: Stitching): Tensor {
  const { isHorizontal, gap } = how;
  const across = isHorizontal ? Math.max(first.height, second.height) : Math.max(first.width, second.width);
  const channels = Math.max(first.channels, second.channels);
  const level = (image: Tensor): Tensor =>
    stretchChannels(padAcross(image, across, isHorizontal, how.padding), channels);
  const [left, right] = how.isReversed ? [level(second), level(first)] : [level(first), level(second)];
  const length = isHorizontal ? left.width + gap + right.width : left.height + gap + right.height;
  const result = canvas(left, isHorizontal ? length : across, isHorizontal ? across : length, how.colour);
  pasteInto(result, left, 0, 0);
  if (isHorizontal) pasteInto(result, right, left.width + gap, 0);
  else pasteInto(result, right, 0, left.height + gap);
  return result;
}

/** `ImageStitch`. Without a second picture the first one comes out unchanged. */
export const imageStitchNode: NodeDefinition = {
  classType: 'ImageStitch',
  declaration: imageTransformDeclarations.ImageStitch,
  execute: async (inputs) => {
    const image1 = imageInput(inputs, 'image1');
    if (inputs['image2'] === undefined || inputs['image2'] === null) return { outputs: [image1] };
    const image2 = imageInput(inputs, 'image2');
    const batch = Math.max(image1.batch, image2.batch);
    const direction = textInput(inputs, 'direction');
    const isHorizontal = direction === 'left' || direction === 'right';
    const first = stretchBatch(image1, batch);
    const given = stretchBatch(image2, batch);
    const second = flagInput(inputs, 'match_image_size') ? await matchSize(first, given, isHorizontal) : given;
    const spacing = numberInput(inputs, 'spacing_width');
    const colourName = textInput(inputs, 'spacing_color');
    const how = {
      isHorizontal,
      isReversed: direction === 'left' || direction === 'up',
      gap: spacing + (spacing % 2),
      colour: colours[colourName] ?? [0, 0, 0],
      padding: colourName === 'white' ? 1 : 0,
    } as const;
    return { outputs: [stitch(first, second, how)] };
  },
};
