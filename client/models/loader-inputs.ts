/** Which inputs of which nodes name model files, and of what kind. Source: ComfyUI's own loaders, and the names that custom nodes share. Pure. */

/** Inputs of classes whose name alone does not tell the kind. */
const byClass: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  CLIPVisionLoader: { clip_name: 'clip_vision' },
  UpscaleModelLoader: { model_name: 'upscale_models' },
  LatentUpscaleModelLoader: { model_name: 'latent_upscale_models' },
  ModelPatchLoader: { name: 'model_patches' },
  CheckpointLoader: { ckpt_name: 'checkpoints', config_name: 'configs' },
  CreateHookModelAsLora: { ckpt_name: 'checkpoints' },
  CreateHookModelAsLoraModelOnly: { ckpt_name: 'checkpoints' },
  LTXVAudioVAELoader: { ckpt_name: 'checkpoints' },
  LTXAVTextEncoderLoader: { ckpt_name: 'checkpoints', text_encoder: 'text_encoders' },
  IPAdapterModelLoader: { ipadapter_file: 'ipadapter' },
  UltralyticsDetectorProvider: { model_name: 'ultralytics' },
  SAMLoader: { model_name: 'sams' },
  InstantIDModelLoader: { instantid_file: 'instantid' },
  UnetLoaderGGUF: { unet_name: 'diffusion_models' },
  CLIPLoaderGGUF: { clip_name: 'text_encoders' },
};

/** Inputs that mean the same in whatever class they are. */
const byInput: readonly (readonly [RegExp, string])[] = [
  [/^ckpt_name(_?\d+)?$/, 'checkpoints'],
  [/^(lora_name|lora)(_?\d+)?$/, 'loras'],
  [/^vae_name$/, 'vae'],
  [/^unet_name$/, 'diffusion_models'],
  [/^diffusion_model(_name)?$/, 'diffusion_models'],
  [/^clip_name(_?\d+)?$/, 'text_encoders'],
  [/^text_encoder(_name)?(_?\d+)?$/, 'text_encoders'],
  [/^(control_net_name|controlnet_name|control_net)$/, 'controlnet'],
  [/^style_model_name$/, 'style_models'],
  [/^gligen_name$/, 'gligen'],
  [/^hypernetwork_name$/, 'hypernetworks'],
  [/^photomaker_model_name$/, 'photomaker'],
  [/^audio_encoder_name$/, 'audio_encoders'],
  [/^upscale_model(_name)?$/, 'upscale_models'],
];

/** The folder type that an input's model files are in, or undefined when that is not known. */
export function modelFolderOf(classType: string, input: string): string | undefined {
  return byClass[classType]?.[input] ?? byInput.find(([pattern]) => pattern.test(input))?.[1];
}
