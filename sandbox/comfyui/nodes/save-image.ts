// SaveImage and PreviewImage: one PNG per batch item, numbered on; SaveImageWebsocket sends them instead. Source: ComfyUI protocol notes
// §2.5, §3.3 and §3.4.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeContext, NodeDefinition } from '../node-definition.ts';
import { loadAndSaveDeclarations } from './declarations/load-and-save.ts';
import { imageInput, textInput } from './inputs.ts';
import { metadataTexts } from './metadata.ts';
import { encodePicture, toPicture } from './picture-files/encode-picture.ts';
import { pythonOsError } from './read-file.ts';
import type { Tensor } from './tensor.ts';

/** What a node reports of a file it wrote. */
export interface FileEntry {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: 'output' | 'temp';
}

/** Writes a saver's file; errors of the operating system come out as Python's. */
export async function writeOutput(folder: string, filename: string, bytes: Uint8Array): Promise<void> {
  const path = join(folder, filename);
  try {
    await writeFile(path, bytes);
  } catch (error) {
    throw pythonOsError(error, path);
  }
}

/** A counter as file names hold it. */
export function counterText(counter: number): string {
  return String(counter).padStart(5, '0');
}

interface SaveOptions {
  readonly prefix: string;
  readonly type: 'output' | 'temp';
  readonly compressLevel: number;
}

async function saveImages(images: Tensor, options: SaveOptions, context: NodeContext): Promise<readonly FileEntry[]> {
  const base = context.folders[options.type];
  const place = await context.getSavePath(options.prefix, base, images.width, images.height);
  const texts = metadataTexts(context);
  const entries: FileEntry[] = [];
  for (let index = 0; index < images.batch; index++) {
    const name = place.filename.replaceAll('%batch_num%', String(index));
    const filename = `${name}_${counterText(place.counter + index)}_.png`;
    await writeOutput(
      place.folder,
      filename,
      await encodePicture(toPicture(images, index), options.compressLevel, texts),
    );
    entries.push({ filename, subfolder: place.subfolder, type: options.type });
  }
  return entries;
}

/** `SaveImage`. */
export const saveImageNode: NodeDefinition = {
  classType: 'SaveImage',
  declaration: loadAndSaveDeclarations.SaveImage,
  execute: async (inputs, context) => {
    const prefix = inputs['filename_prefix'] === undefined ? 'ComfyUI' : textInput(inputs, 'filename_prefix');
    const options = { prefix, type: 'output', compressLevel: 4 } as const;
    return { outputs: [], ui: { images: await saveImages(imageInput(inputs, 'images'), options, context) } };
  },
};

/** The letters of a preview's random name; `p` twice and no `w`, as in ComfyUI. */
const PREVIEW_LETTERS = 'abcdefghijklmnopqrstupvxyz';

/** The suffix of a node instance, made once: later runs of the same node go on under the same name. */
function previewSuffix(state: Map<string, unknown>): string {
  const kept = state.get('prefixAppend');
  if (typeof kept === 'string') return kept;
  const letters = Array.from({ length: 5 }, () => PREVIEW_LETTERS[Math.floor(Math.random() * PREVIEW_LETTERS.length)]);
  const suffix = `_temp_${letters.join('')}`;
  state.set('prefixAppend', suffix);
  return suffix;
}

/** `PreviewImage`. */
export const previewImageNode: NodeDefinition = {
  classType: 'PreviewImage',
  declaration: loadAndSaveDeclarations.PreviewImage,
  execute: async (inputs, context) => {
    const options = { prefix: `ComfyUI${previewSuffix(context.state)}`, type: 'temp', compressLevel: 1 } as const;
    return { outputs: [], ui: { images: await saveImages(imageInput(inputs, 'images'), options, context) } };
  },
};

/** `SaveImageWebsocket`: each picture is a preview frame of full size; nothing is written and nothing is put out. Never cached. */
export const saveImageWebsocketNode: NodeDefinition = {
  classType: 'SaveImageWebsocket',
  declaration: loadAndSaveDeclarations.SaveImageWebsocket,
  isChanged: () => performance.now(),
  execute: async (inputs, context) => {
    const images = imageInput(inputs, 'images');
    for (let index = 0; index < images.batch; index++) {
      const data = await encodePicture(toPicture(images, index), 1, new Map());
      await context.progress(index, images.batch, { type: 'image/png', data });
    }
    return { outputs: [], ui: {} };
  },
};
