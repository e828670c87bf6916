// ImageBlur and ImageSharpen. The work is in gaussian-blur.ts.
import type { NodeDefinition } from '../node-definition.ts';
import { imageTransformDeclarations } from './declarations/image-transform.ts';
import { gaussianBlur } from './gaussian-blur.ts';
import { imageInput, numberInput } from './inputs.ts';
import { newTensor } from './tensor.ts';

/** `ImageBlur`. */
export const imageBlurNode: NodeDefinition = {
  classType: 'ImageBlur',
  declaration: imageTransformDeclarations.ImageBlur,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const radius = numberInput(inputs, 'blur_radius');
    if (radius === 0) return { outputs: [image] };
    return { outputs: [await gaussianBlur(image, radius, numberInput(inputs, 'sigma'))] };
  },
};

/** `ImageSharpen`: adds ten times `alpha` of what a blur would take away; the result is clipped to 0..1. */
export const imageSharpenNode: NodeDefinition = {
  classType: 'ImageSharpen',
  declaration: imageTransformDeclarations.ImageSharpen,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const radius = numberInput(inputs, 'sharpen_radius');
    if (radius === 0) return { outputs: [image] };
    const blurred = await gaussianBlur(image, radius, numberInput(inputs, 'sigma'));
    const strength = numberInput(inputs, 'alpha') * 10;
    const result = newTensor(image);
    for (let i = 0; i < result.data.length; i++) {
      const value = image.data[i] ?? 0;
      result.data[i] = Math.max(0, Math.min(1, value + strength * (value - (blurred.data[i] ?? 0))));
    }
    return { outputs: [result] };
  },
};
