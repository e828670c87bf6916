/** ComfyUI's kinds of model folders and of model files. Source: ComfyUI protocol notes §4.3. Pure. */

/** Folder types of every ComfyUI of the last years, then those that late versions add. `custom_nodes` holds code and is none of them. */
export const modelFolderTypes = [
  'checkpoints',
  'configs',
  'loras',
  'vae',
  'text_encoders',
  'diffusion_models',
  'clip_vision',
  'style_models',
  'embeddings',
  'diffusers',
  'vae_approx',
  'controlnet',
  'gligen',
  'upscale_models',
  'hypernetworks',
  'photomaker',
  'classifiers',
  'model_patches',
  'audio_encoders',
  'latent_upscale_models',
  'background_removal',
  'frame_interpolation',
  'geometry_estimation',
  'optical_flow',
  'detection',
] as const;

/** Folders on disk of a type, where they are not only the one of its name; ComfyUI searches them in this order. */
const foldersOnDisk: Readonly<Record<string, readonly string[]>> = {
  text_encoders: ['text_encoders', 'clip'],
  diffusion_models: ['diffusion_models', 'unet'],
  controlnet: ['controlnet', 't2i_adapter'],
};

/** Names of folders on disk in which a type's files may lie. An unknown type has one: its own name. */
export function foldersOfType(type: string): readonly string[] {
  return foldersOnDisk[type] ?? [type];
}

const aliases: Readonly<Record<string, string>> = {
  clip: 'text_encoders',
  unet: 'diffusion_models',
  t2i_adapter: 'controlnet',
};

/** The type that a folder name stands for: `clip` is `text_encoders`. A path below a folder counts by its first part. */
export function modelFolderType(folder: string): string {
  const first = folder.split('/')[0] ?? folder;
  return aliases[first] ?? first;
}

/** Endings of files that come as models, longest use first; ComfyUI itself lists the first eight. */
const modelEndings =
  /\.(safetensors|sft|ckpt|pt|pt2|bin|pth|pkl|gguf|onnx|engine|trt|yaml|yml|json|txt|model|msgpack|npz|torchscript|task|tflite|h5)$/i;

/** True when a name ends like a model file, or like a file that lies beside one. */
export function hasModelEnding(name: string): boolean {
  return modelEndings.test(name);
}

/** Formats that are Python pickles, or may be: loading one can run code that its maker chose. */
const pickleEndings = /\.(ckpt|pt|pt2|pth|bin|pkl|pickle)$/i;

/** True for a file whose format can carry code. */
export function isPickle(name: string): boolean {
  return pickleEndings.test(name);
}
