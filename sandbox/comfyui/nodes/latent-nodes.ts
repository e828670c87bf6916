// Latents and models, as far as a machine without a GPU can have them: empty latents, saving them, and the one VAE that
// needs no file. Source: ComfyUI protocol notes §3.3 (`latents`).
import { type NodeDefinition, NodeError } from '../node-definition.ts';
import { latentAndVideoDeclarations } from './declarations/latent-and-video.ts';
import { numberInput, textInput } from './inputs.ts';
import { emptyLatent, encodeLatentFile, isLatent, type Latent } from './latent.ts';
import { metadataTexts } from './metadata.ts';
import { counterText, writeOutput } from './save-image.ts';
import { newTensor, pyRound } from './tensor.ts';

function latentInput(value: unknown): Latent {
  if (!isLatent(value)) throw new NodeError('TypeError', 'samples is not a LATENT');
  return value;
}

/** `EmptyLatentImage`: four channels at an eighth of the size. */
export const emptyLatentImageNode: NodeDefinition = {
  classType: 'EmptyLatentImage',
  declaration: latentAndVideoDeclarations.EmptyLatentImage,
  execute: async (inputs) => {
    const batch = inputs['batch_size'] === undefined ? 1 : numberInput(inputs, 'batch_size');
    const side = (name: string): number => Math.floor(numberInput(inputs, name) / 8);
    return { outputs: [emptyLatent([batch, 4, side('height'), side('width')])] };
  },
};

/** `EmptyLatentAudio`: 64 channels; one step is 2048 samples at 44.1 kHz, always an even number of them. */
export const emptyLatentAudioNode: NodeDefinition = {
  classType: 'EmptyLatentAudio',
  declaration: latentAndVideoDeclarations.EmptyLatentAudio,
  execute: async (inputs) => {
    const steps = pyRound((numberInput(inputs, 'seconds') * 44100) / 2048 / 2) * 2;
    return { outputs: [emptyLatent([numberInput(inputs, 'batch_size'), 64, steps], 'audio')] };
  },
};

/** `SaveLatent`. */
export const saveLatentNode: NodeDefinition = {
  classType: 'SaveLatent',
  declaration: latentAndVideoDeclarations.SaveLatent,
  execute: async (inputs, context) => {
    const latent = latentInput(inputs['samples']);
    const prefix = inputs['filename_prefix'] === undefined ? 'ComfyUI' : textInput(inputs, 'filename_prefix');
    const place = await context.getSavePath(prefix, context.folders.output);
    const filename = `${place.filename}_${counterText(place.counter)}_.latent`;
    await writeOutput(place.folder, filename, encodeLatentFile(latent, metadataTexts(context)));
    return { outputs: [], ui: { latents: [{ filename, subfolder: place.subfolder, type: 'output' }] } };
  },
};

/** What VAELoader hands on. */
interface PixelSpaceVae {
  readonly kind: 'VAE';
}

/** `VAELoader`: only `pixel_space`, which is no file: latents are pictures. */
export const vaeLoaderNode: NodeDefinition = {
  classType: 'VAELoader',
  declaration: latentAndVideoDeclarations.VAELoader,
  execute: async (): Promise<{ outputs: readonly [PixelSpaceVae] }> => ({ outputs: [{ kind: 'VAE' }] }),
};

/** `VAEDecode` in pixel space: channels go last, -1..1 becomes 0..1. */
export const vaeDecodeNode: NodeDefinition = {
  classType: 'VAEDecode',
  declaration: latentAndVideoDeclarations.VAEDecode,
  execute: async (inputs) => {
    const latent = latentInput(inputs['samples']);
    const [batch = 1, channels = 1, height = 1, width = 1] = latent.shape;
    const image = newTensor({ kind: 'IMAGE', batch, height, width, channels });
    const plane = height * width;
    for (let i = 0; i < image.data.length; i++) {
      const channel = i % channels;
      const pixel = Math.floor(i / channels);
      const item = Math.floor(pixel / plane);
      const value = latent.data[(item * channels + channel) * plane + (pixel % plane)] ?? 0;
      image.data[i] = Math.max(0, Math.min(1, (value + 1) / 2));
    }
    return { outputs: [image] };
  },
};

/** `CheckpointLoaderSimple`: declared with an empty list, so validation refuses every name; running it is an error too. */
export const checkpointLoaderNode: NodeDefinition = {
  classType: 'CheckpointLoaderSimple',
  declaration: latentAndVideoDeclarations.CheckpointLoaderSimple,
  execute: async (inputs) => {
    const name = textInput(inputs, 'ckpt_name');
    throw new NodeError('FileNotFoundError', `Model in folder 'checkpoints' with filename '${name}' not found.`);
  },
};
