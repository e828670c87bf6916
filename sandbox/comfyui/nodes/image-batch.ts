// Nodes that make, invert, count out and join pictures.
import { type NodeDefinition, NodeError } from '../node-definition.ts';
import { imageBatchDeclarations } from './declarations/image-batch.ts';
import { imageInput, numberInput } from './inputs.ts';
import { Pacer } from './pacer.ts';
import { commonUpscale } from './resample/common-upscale.ts';
import { itemLength, newTensor, requireMemory, type Tensor } from './tensor.ts';

/** Numbers worked on between two looks at the clock. */
const STRETCH = 1 << 18;

/** 1 - x of every number, out-of-range ones included. */
export async function invertTensor(source: Tensor): Promise<Tensor> {
  const result = newTensor(source);
  const pacer = new Pacer();
  for (let start = 0; start < source.data.length; start += STRETCH) {
    const end = Math.min(start + STRETCH, source.data.length);
    for (let i = start; i < end; i++) result.data[i] = 1 - (source.data[i] ?? 0);
    if (pacer.due()) await pacer.turn();
  }
  return result;
}

/** Joins batches of one size. Raises torch's error for different numbers of channels. */
export function joinBatches(first: Tensor, second: Tensor): Tensor {
  if (first.channels !== second.channels) {
    throw new NodeError(
      'RuntimeError',
      `Sizes of tensors must match except in dimension 0. Expected size ${first.channels} but got size ${second.channels} for tensor number 1 in the list.`,
    );
  }
  const result = newTensor({ ...first, batch: first.batch + second.batch });
  result.data.set(first.data, 0);
  result.data.set(second.data, first.data.length);
  return result;
}

/** `ImageInvert`. */
export const imageInvertNode: NodeDefinition = {
  classType: 'ImageInvert',
  declaration: imageBatchDeclarations.ImageInvert,
  execute: async (inputs) => ({ outputs: [await invertTensor(imageInput(inputs, 'image'))] }),
};

/** `EmptyImage`: one colour, given as 0xRRGGBB. */
export const emptyImageNode: NodeDefinition = {
  classType: 'EmptyImage',
  declaration: imageBatchDeclarations.EmptyImage,
  execute: async (inputs) => {
    const colour = inputs['color'] === undefined ? 0 : numberInput(inputs, 'color');
    const batch = inputs['batch_size'] === undefined ? 1 : numberInput(inputs, 'batch_size');
    const size = { height: numberInput(inputs, 'height'), width: numberInput(inputs, 'width') };
    // The real node makes one plane per colour before it joins them: the first one is what fails.
    requireMemory(batch * size.height * size.width);
    const image = newTensor({ kind: 'IMAGE', batch, ...size, channels: 3 });
    const parts = [(colour >> 16) & 0xff, (colour >> 8) & 0xff, colour & 0xff].map((part) => part / 0xff);
    image.data.set(parts);
    // Doubling what is already written is the fastest fill with a pattern.
    for (let done = 3; done < image.data.length; done *= 2) {
      image.data.copyWithin(done, 0, Math.min(done, image.data.length - done));
    }
    return { outputs: [image] };
  },
};

/** `ImageBatch`: the second picture takes the first one's size. */
export const imageBatchNode: NodeDefinition = {
  classType: 'ImageBatch',
  declaration: imageBatchDeclarations.ImageBatch,
  execute: async (inputs) => {
    const first = imageInput(inputs, 'image1');
    const second = imageInput(inputs, 'image2');
    const sameSize = first.width === second.width && first.height === second.height;
    const fitted = sameSize ? second : await commonUpscale(second, first.width, first.height, 'bilinear', 'center');
    return { outputs: [joinBatches(first, fitted)] };
  },
};

/** `RepeatImageBatch`: the whole batch, `amount` times. */
export const repeatImageBatchNode: NodeDefinition = {
  classType: 'RepeatImageBatch',
  declaration: imageBatchDeclarations.RepeatImageBatch,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const amount = numberInput(inputs, 'amount');
    const result = newTensor({ ...image, batch: image.batch * amount });
    for (let i = 0; i < amount; i++) result.data.set(image.data, i * image.data.length);
    return { outputs: [result] };
  },
};

/** `ImageFromBatch`: a stretch of the batch; start and length are cut to what is there. */
export const imageFromBatchNode: NodeDefinition = {
  classType: 'ImageFromBatch',
  declaration: imageBatchDeclarations.ImageFromBatch,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const start = Math.min(image.batch - 1, numberInput(inputs, 'batch_index'));
    const batch = Math.min(image.batch - start, numberInput(inputs, 'length'));
    const result = newTensor({ ...image, batch });
    const length = itemLength(image);
    result.data.set(image.data.subarray(start * length, (start + batch) * length));
    return { outputs: [result] };
  },
};
