// ImageScale and ImageScaleBy. The work is in resample/.
import type { NodeDefinition } from '../node-definition.ts';
import { imageTransformDeclarations } from './declarations/image-transform.ts';
import { imageInput, numberInput, textInput } from './inputs.ts';
import { commonUpscale } from './resample/common-upscale.ts';
import { pyRound } from './tensor.ts';

/** `ImageScale`. A side of 0 follows the other one in proportion; both 0 leave the picture as it is. */
export const imageScaleNode: NodeDefinition = {
  classType: 'ImageScale',
  declaration: imageTransformDeclarations.ImageScale,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    let width = numberInput(inputs, 'width');
    let height = numberInput(inputs, 'height');
    if (width === 0 && height === 0) return { outputs: [image] };
    if (width === 0) width = Math.max(1, pyRound((image.width * height) / image.height));
    else if (height === 0) height = Math.max(1, pyRound((image.height * width) / image.width));
    const method = textInput(inputs, 'upscale_method');
    return { outputs: [await commonUpscale(image, width, height, method, textInput(inputs, 'crop'))] };
  },
};

/** `ImageScaleBy`. */
export const imageScaleByNode: NodeDefinition = {
  classType: 'ImageScaleBy',
  declaration: imageTransformDeclarations.ImageScaleBy,
  execute: async (inputs) => {
    const image = imageInput(inputs, 'image');
    const factor = numberInput(inputs, 'scale_by');
    const [width, height] = [pyRound(image.width * factor), pyRound(image.height * factor)];
    const method = textInput(inputs, 'upscale_method');
    return { outputs: [await commonUpscale(image, width, height, method, 'disabled')] };
  },
};
