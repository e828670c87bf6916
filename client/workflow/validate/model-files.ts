/** Which values of a workflow name model files, and which folder of ComfyUI they are looked for in. Pure. */

/** File endings of models. A text that ends so in a combo is a file that the node loads. */
const modelEnding = /\.(safetensors|sft|ckpt|pt|pt2|pth|bin|pkl|gguf|onnx|engine|yaml)$/i;

/** True for the name of a model file. */
export function isModelFile(value: unknown): value is string {
  return typeof value === 'string' && modelEnding.test(value);
}

/** Folder names of ComfyUI by input, where a class does not say otherwise. Older and newer names of a folder share their files. */
const foldersByInput: Readonly<Record<string, readonly string[]>> = {
  ckpt_name: ['checkpoints'],
  config_name: ['configs'],
  lora_name: ['loras'],
  vae_name: ['vae', 'vae_approx'],
  control_net_name: ['controlnet', 't2i_adapter'],
  unet_name: ['diffusion_models', 'unet', 'unet_gguf'],
  clip_name: ['text_encoders', 'clip', 'clip_gguf'],
  clip_name1: ['text_encoders', 'clip', 'clip_gguf'],
  clip_name2: ['text_encoders', 'clip', 'clip_gguf'],
  clip_name3: ['text_encoders', 'clip', 'clip_gguf'],
  clip_name4: ['text_encoders', 'clip', 'clip_gguf'],
  style_model_name: ['style_models'],
  gligen_name: ['gligen'],
  hypernetwork_name: ['hypernetworks'],
  photomaker_model_name: ['photomaker'],
  audio_encoder_name: ['audio_encoders'],
};

const foldersByClass: Readonly<Record<string, readonly string[]>> = {
  'CLIPVisionLoader.clip_name': ['clip_vision'],
  'UpscaleModelLoader.model_name': ['upscale_models'],
  'ModelPatchLoader.name': ['model_patches'],
};

/** Files that a worker has for an input, or undefined when it is not known which folder counts or none of them was told. */
export function modelsFor(
  classType: string,
  input: string,
  models: Readonly<Record<string, readonly string[]>>,
): readonly string[] | undefined {
  const key = `${classType}.${input}`;
  const folders = Object.hasOwn(foldersByClass, key)
    ? foldersByClass[key]
    : Object.hasOwn(foldersByInput, input)
      ? foldersByInput[input]
      : undefined;
  const told = folders?.filter((folder) => Object.hasOwn(models, folder)) ?? [];
  return told.length === 0 ? undefined : told.flatMap((folder) => models[folder] ?? []);
}
