// Masks: made, inverted, taken from pictures and shown as pictures; and alpha channels, which are inverted masks.
import { type NodeDefinition, NodeError } from '../node-definition.ts';
import { maskDeclarations } from './declarations/mask.ts';
import { invertTensor } from './image-batch.ts';
import { imageInput, maskInput, numberInput, textInput } from './inputs.ts';
import { interpolate } from './resample/interpolate.ts';
import { newTensor, type Tensor } from './tensor.ts';

/** One channel of every pixel as a mask. */
function channelAsMask(image: Tensor, channel: number): Tensor {
  const mask = newTensor({ ...image, kind: 'MASK', channels: 1 });
  for (let i = 0; i < mask.data.length; i++) mask.data[i] = image.data[i * image.channels + channel] ?? 0;
  return mask;
}

/** `MaskToImage`: grey pictures. */
export const maskToImageNode: NodeDefinition = {
  classType: 'MaskToImage',
  declaration: maskDeclarations.MaskToImage,
  execute: async (inputs) => {
    const mask = maskInput(inputs, 'mask');
    const image = newTensor({ ...mask, kind: 'IMAGE', channels: 3 });
    for (let i = 0; i < image.data.length; i++) image.data[i] = mask.data[Math.floor(i / 3)] ?? 0;
    return { outputs: [image] };
  },
};

const channelNames = ['red', 'green', 'blue', 'alpha'];

/** `ImageToMask`: one channel. Raises IndexError for a channel the picture does not have. */
export const imageToMaskNode: NodeDefinition = {
  classType: 'ImageToMask',
  declaration: maskDeclarations.ImageToMask,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const channel = channelNames.indexOf(textInput(inputs, 'channel'));
    if (channel >= image.channels) {
      throw new NodeError(
        'IndexError',
        `index ${channel} is out of bounds for dimension 3 with size ${image.channels}`,
      );
    }
    return { outputs: [channelAsMask(image, channel)] };
  },
};

/** `InvertMask`. */
export const invertMaskNode: NodeDefinition = {
  classType: 'InvertMask',
  declaration: maskDeclarations.InvertMask,
  execute: async (inputs) => ({ outputs: [await invertTensor(maskInput(inputs, 'mask'))] }),
};

/** `SolidMask`. */
export const solidMaskNode: NodeDefinition = {
  classType: 'SolidMask',
  declaration: maskDeclarations.SolidMask,
  execute: async (inputs) => {
    const size = { height: numberInput(inputs, 'height'), width: numberInput(inputs, 'width') };
    const mask = newTensor({ kind: 'MASK', batch: 1, ...size, channels: 1 });
    mask.data.fill(numberInput(inputs, 'value'));
    return { outputs: [mask] };
  },
};

/** `JoinImageWithAlpha`: RGBA with alpha = 1 - mask, the mask scaled to the picture; as many items as the shorter has. */
export const joinImageWithAlphaNode: NodeDefinition = {
  classType: 'JoinImageWithAlpha',
  declaration: maskDeclarations.JoinImageWithAlpha,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const given = maskInput(inputs, 'alpha');
    const batch = Math.min(image.batch, given.batch);
    const mask = await interpolate(given, image.width, image.height, 'bilinear');
    const result = newTensor({ ...image, batch, channels: 4 });
    for (let pixel = 0; pixel < result.data.length / 4; pixel++) {
      for (let c = 0; c < 3; c++) result.data[pixel * 4 + c] = image.data[pixel * image.channels + c] ?? 0;
      result.data[pixel * 4 + 3] = 1 - (mask.data[pixel] ?? 0);
    }
    return { outputs: [result] };
  },
};

/** `SplitImageWithAlpha`: RGB, and 1 - alpha as mask; a picture without alpha counts as opaque. */
export const splitImageWithAlphaNode: NodeDefinition = {
  classType: 'SplitImageWithAlpha',
  declaration: maskDeclarations.SplitImageWithAlpha,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const channels = Math.min(3, image.channels);
    const colours = newTensor({ ...image, channels });
    for (let i = 0; i < colours.data.length; i++) {
      colours.data[i] = image.data[Math.floor(i / channels) * image.channels + (i % channels)] ?? 0;
    }
    const mask =
      image.channels > 3
        ? await invertTensor(channelAsMask(image, 3))
        : newTensor({ ...image, kind: 'MASK', channels: 1 });
    return { outputs: [colours, mask] };
  },
};
