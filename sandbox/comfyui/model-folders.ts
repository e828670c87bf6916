// The model folders a server scans (ComfyUI protocol notes §4.3). The stand-in has no models unless a test puts files there.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { ExtraModelPaths } from './extra-model-paths.ts';

/** Folder types in the order `/models` lists them. */
export const MODEL_FOLDER_TYPES = [
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
  'custom_nodes',
  'hypernetworks',
  'photomaker',
  'classifiers',
  'model_patches',
  'audio_encoders',
] as const;

const MODEL_EXTENSION = /\.(ckpt|pt|pt2|bin|pth|safetensors|pkl|sft)$/i;
const SECOND_FOLDER: Readonly<Record<string, readonly string[]>> = {
  text_encoders: ['text_encoders', 'clip'],
  diffusion_models: ['unet', 'diffusion_models'],
  controlnet: ['controlnet', 't2i_adapter'],
};
const ALSO_IN_OUTPUT: Readonly<Record<string, string>> = {
  checkpoints: 'checkpoints',
  loras: 'loras',
  vae: 'vae',
  text_encoders: 'clip',
  diffusion_models: 'diffusion_models',
};

/** Where models may lie. */
export interface ModelRoots {
  readonly models: string;
  readonly output: string;
  /** Of `--extra-model-paths-config`. */
  readonly extraModels?: ExtraModelPaths;
}

/** The absolute folders of a type. */
export function modelFolders(type: string, { models, output, extraModels }: ModelRoots): string[] {
  if (type === 'custom_nodes') return [path.join(path.dirname(models), 'custom_nodes')];
  const folders = (SECOND_FOLDER[type] ?? [type]).map((name) => path.join(models, name));
  const extra = ALSO_IN_OUTPUT[type];
  return [...folders, ...(extra === undefined ? [] : [path.join(output, extra)]), ...(extraModels?.[type] ?? [])];
}

/** Relative paths of the models of a type, sorted; links are followed. */
export async function listModels(type: string, roots: ModelRoots): Promise<string[]> {
  const found = new Set<string>();
  for (const folder of modelFolders(type, roots)) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const wanted = type === 'configs' ? entry.name.endsWith('.yaml') : MODEL_EXTENSION.test(entry.name);
      if (wanted && !entry.isDirectory()) found.add(path.relative(folder, path.join(entry.parentPath, entry.name)));
    }
  }
  return [...found].sort();
}

/** Whether the server knows the type. */
export function isModelFolderType(type: string): boolean {
  return (MODEL_FOLDER_TYPES as readonly string[]).includes(type);
}
