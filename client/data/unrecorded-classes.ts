/**
 * Core classes of ComfyUI 0.3.64 that the recorded `/object_info` lacks, because the recorded server did without the library that their modules need
 * (kornia). Interfaces only, as the others.
 */

const image = ['IMAGE'];

function imageClass(input: Readonly<Record<string, unknown>>, outputNames: readonly string[], displayName?: string) {
  return {
    input: { required: input },
    input_order: { required: Object.keys(input) },
    output: outputNames.map(() => 'IMAGE'),
    output_name: outputNames,
    ...(displayName !== undefined && { display_name: displayName }),
    output_node: false,
  };
}

function threshold(value: number) {
  return ['FLOAT', { default: value, min: 0.01, max: 0.99, step: 0.01 }];
}

const operations = ['erode', 'dilate', 'open', 'close', 'gradient', 'bottom_hat', 'top_hat'];

/** Declarations by class, in the form of `/object_info`. */
export const unrecordedClasses: Readonly<Record<string, unknown>> = {
  Canny: imageClass({ image, low_threshold: threshold(0.4), high_threshold: threshold(0.8) }, ['IMAGE']),
  Morphology: imageClass(
    {
      image,
      operation: ['COMBO', { multiselect: false, options: operations }],
      kernel_size: ['INT', { default: 3, min: 3, max: 999, step: 1 }],
    },
    ['IMAGE'],
    'ImageMorphology',
  ),
  ImageRGBToYUV: imageClass({ image }, ['Y', 'U', 'V']),
  ImageYUVToRGB: imageClass({ Y: image, U: image, V: image }, ['IMAGE']),
};
