// What a ComfyUI 0.3.64 answers on /object_info for loaders and savers of pictures: data only, entry by entry.
// File lists of loaders are empty here; the node fills them from the input folder.
import type { NodeDeclaration } from '../../node-definition.ts';
import { pyFloat } from '../../python-number.ts';

/** `/object_info` entries by class name. */
export const loadAndSaveDeclarations = {
  LoadImage: {
    input: { required: { image: [[], { image_upload: true }] } },
    input_order: { required: ['image'] },
    output: ['IMAGE', 'MASK'],
    output_is_list: [false, false],
    output_name: ['IMAGE', 'MASK'],
    name: 'LoadImage',
    display_name: 'Load Image',
    description: '',
    python_module: 'nodes',
    category: 'image',
    output_node: false,
  },
  LoadImageMask: {
    input: { required: { image: [[], { image_upload: true }], channel: [['alpha', 'red', 'green', 'blue']] } },
    input_order: { required: ['image', 'channel'] },
    output: ['MASK'],
    output_is_list: [false],
    output_name: ['MASK'],
    name: 'LoadImageMask',
    display_name: 'Load Image (as Mask)',
    description: '',
    python_module: 'nodes',
    category: 'mask',
    output_node: false,
  },
  LoadImageOutput: {
    input: {
      required: {
        image: [
          'COMBO',
          {
            image_upload: true,
            image_folder: 'output',
            remote: { route: '/internal/files/output', refresh_button: true, control_after_refresh: 'first' },
          },
        ],
      },
    },
    input_order: { required: ['image'] },
    output: ['IMAGE', 'MASK'],
    output_is_list: [false, false],
    output_name: ['IMAGE', 'MASK'],
    name: 'LoadImageOutput',
    display_name: 'Load Image (from Outputs)',
    description:
      'Load an image from the output folder. When the refresh button is clicked, the node will update the image list and automatically select the first image, allowing for easy iteration.',
    python_module: 'nodes',
    category: 'image',
    output_node: false,
    experimental: true,
  },
  SaveImage: {
    input: {
      required: {
        images: ['IMAGE', { tooltip: 'The images to save.' }],
        filename_prefix: [
          'STRING',
          {
            default: 'ComfyUI',
            tooltip:
              'The prefix for the file to save. This may include formatting information such as %date:yyyy-MM-dd% or %Empty Latent Image.width% to include values from nodes.',
          },
        ],
      },
      hidden: { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' },
    },
    input_order: { required: ['images', 'filename_prefix'], hidden: ['prompt', 'extra_pnginfo'] },
    output: [],
    output_is_list: [],
    output_name: [],
    name: 'SaveImage',
    display_name: 'Save Image',
    description: 'Saves the input images to your ComfyUI output directory.',
    python_module: 'nodes',
    category: 'image',
    output_node: true,
  },
  PreviewImage: {
    input: { required: { images: ['IMAGE'] }, hidden: { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' } },
    input_order: { required: ['images'], hidden: ['prompt', 'extra_pnginfo'] },
    output: [],
    output_is_list: [],
    output_name: [],
    name: 'PreviewImage',
    display_name: 'Preview Image',
    description: 'Saves the input images to your ComfyUI output directory.',
    python_module: 'nodes',
    category: 'image',
    output_node: true,
  },
  SaveAnimatedWEBP: {
    input: {
      required: {
        images: ['IMAGE'],
        filename_prefix: ['STRING', { default: 'ComfyUI' }],
        fps: ['FLOAT', { default: pyFloat(6), min: pyFloat(0.01), max: pyFloat(1000), step: pyFloat(0.01) }],
        lossless: ['BOOLEAN', { default: true }],
        quality: ['INT', { default: 80, min: 0, max: 100 }],
        method: [['default', 'fastest', 'slowest']],
      },
      hidden: { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' },
    },
    input_order: {
      required: ['images', 'filename_prefix', 'fps', 'lossless', 'quality', 'method'],
      hidden: ['prompt', 'extra_pnginfo'],
    },
    output: [],
    output_is_list: [],
    output_name: [],
    name: 'SaveAnimatedWEBP',
    display_name: 'SaveAnimatedWEBP',
    description: '',
    python_module: 'comfy_extras.nodes_images',
    category: 'image/animation',
    output_node: true,
  },
  SaveAnimatedPNG: {
    input: {
      required: {
        images: ['IMAGE'],
        filename_prefix: ['STRING', { default: 'ComfyUI' }],
        fps: ['FLOAT', { default: pyFloat(6), min: pyFloat(0.01), max: pyFloat(1000), step: pyFloat(0.01) }],
        compress_level: ['INT', { default: 4, min: 0, max: 9 }],
      },
      hidden: { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' },
    },
    input_order: {
      required: ['images', 'filename_prefix', 'fps', 'compress_level'],
      hidden: ['prompt', 'extra_pnginfo'],
    },
    output: [],
    output_is_list: [],
    output_name: [],
    name: 'SaveAnimatedPNG',
    display_name: 'SaveAnimatedPNG',
    description: '',
    python_module: 'comfy_extras.nodes_images',
    category: 'image/animation',
    output_node: true,
  },
  PreviewAny: {
    input: { required: { source: ['*', {}] } },
    input_order: { required: ['source'] },
    output: [],
    output_is_list: [],
    output_name: [],
    name: 'PreviewAny',
    display_name: 'Preview Any',
    description: '',
    python_module: 'comfy_extras.nodes_preview_any',
    category: 'utils',
    output_node: true,
  },
} as const satisfies Readonly<Record<string, NodeDeclaration>>;
