// LoadImage, LoadImageMask, LoadImageOutput: a file of the input, output or temp folder as IMAGE and MASK.
// Source: ComfyUI protocol notes §3.7. Neighbours: annotated-path.ts (values), decode-image.ts (pixels).
import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Constants,
  type DeclarationContext,
  type NodeDeclaration,
  type NodeDefinition,
  NodeError,
} from '../node-definition.ts';
import { annotatedPath, validateImageFile } from './annotated-path.ts';
import { loadAndSaveDeclarations } from './declarations/load-and-save.ts';
import { hasImageExtension } from './image-extensions.ts';
import { textInput } from './inputs.ts';
import { decodeImage, type Frame } from './picture-files/decode-image.ts';
import { pythonOsError, readWholeFile } from './read-file.ts';
import { bytesToFloats, itemLength, newTensor, type Tensor } from './tensor.ts';

/** Side of the mask that stands for "this picture has no alpha". */
const EMPTY_MASK_SIDE = 64;

async function leadsToFile(link: string): Promise<boolean> {
  return stat(link).then(
    (target) => target.isFile(),
    () => false,
  );
}

async function listInputFiles(context: DeclarationContext): Promise<readonly string[]> {
  const folder = context.folders.input;
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
    for (const { name } of entries.filter((entry) => entry.isSymbolicLink())) {
      if (await leadsToFile(join(folder, name))) names.push(name);
    }
    return names.sort();
  } catch (error) {
    throw pythonOsError(error, folder);
  }
}

/** Puts the file list in the place of the empty one in the recorded declaration. */
function withFileList(
  declaration: NodeDeclaration,
  pick: (name: string) => boolean,
): (context: DeclarationContext) => Promise<NodeDeclaration> {
  return async (context) => {
    const files = (await listInputFiles(context)).filter(pick);
    const required = declaration.input.required ?? {};
    const options = required['image']?.[1] ?? {};
    return { ...declaration, input: { ...declaration.input, required: { ...required, image: [files, options] } } };
  };
}

async function hashFile(constants: Constants, context: DeclarationContext): Promise<string> {
  const path = annotatedPath(textInput(constants, 'image'), context.folders);
  return createHash('sha256')
    .update(await readWholeFile(path))
    .digest('hex');
}

function emptyMask(batch: number): Tensor {
  return newTensor({ kind: 'MASK', batch, height: EMPTY_MASK_SIDE, width: EMPTY_MASK_SIDE, channels: 1 });
}

function framesToImage(frames: readonly Frame[], width: number, height: number): Tensor {
  const image = newTensor({ kind: 'IMAGE', batch: frames.length, height, width, channels: 3 });
  frames.forEach((frame, index) => {
    bytesToFloats(frame.rgb, image.data, index * itemLength(image));
  });
  return image;
}

function invertedAlpha(alpha: Uint8Array, target: Float32Array, offset: number): void {
  for (let i = 0; i < alpha.length; i++) target[offset + i] = 1 - Math.fround((alpha[i] ?? 0) / 255);
}

/** 1 - alpha of every frame. Frames with and without alpha in one file can't be joined, in torch neither. */
function framesToMask(frames: readonly Frame[], width: number, height: number): Tensor {
  if (frames.every((frame) => frame.alpha === undefined)) return emptyMask(frames.length);
  const mask = newTensor({ kind: 'MASK', batch: frames.length, height, width, channels: 1 });
  frames.forEach((frame, index) => {
    if (frame.alpha !== undefined) {
      invertedAlpha(frame.alpha, mask.data, index * itemLength(mask));
    } else if (width !== EMPTY_MASK_SIDE || height !== EMPTY_MASK_SIDE) {
      throw new NodeError(
        'RuntimeError',
        `Sizes of tensors must match except in dimension 0. Expected size ${height} but got size ${EMPTY_MASK_SIDE} for tensor number ${index} in the list.`,
      );
    }
  });
  return mask;
}

async function loadImage(inputs: Constants, context: DeclarationContext): Promise<readonly [Tensor, Tensor]> {
  const frames = await decodeImage(annotatedPath(textInput(inputs, 'image'), context.folders));
  const first = frames[0];
  if (first === undefined) throw new NodeError('IndexError', 'list index out of range');
  const { width, height } = first;
  const fitting = frames.filter((frame) => frame.width === width && frame.height === height);
  return [framesToImage(fitting, width, height), framesToMask(fitting, width, height)];
}

const validateInputs: NonNullable<NodeDefinition['validateInputs']> = {
  names: ['image'],
  validate: (constants, context) => validateImageFile(constants['image'], context),
};

/** `LoadImage`. */
export const loadImageNode: NodeDefinition = {
  classType: 'LoadImage',
  declaration: withFileList(loadAndSaveDeclarations.LoadImage, hasImageExtension),
  validateInputs,
  isChanged: hashFile,
  execute: async (inputs, context) => ({ outputs: await loadImage(inputs, context) }),
};

/** `LoadImageOutput`: the same with a list the front end fetches; its values carry ` [output]`. */
export const loadImageOutputNode: NodeDefinition = {
  ...loadImageNode,
  classType: 'LoadImageOutput',
  declaration: loadAndSaveDeclarations.LoadImageOutput,
};

const colourChannels: Readonly<Record<string, number>> = { red: 0, green: 1, blue: 2 };

/** One channel of the first frame. Without alpha in the file the alpha channel counts as opaque, at the picture's size. */
async function loadMask(inputs: Constants, context: DeclarationContext): Promise<Tensor> {
  const frames = await decodeImage(annotatedPath(textInput(inputs, 'image'), context.folders));
  const frame = frames[0];
  if (frame === undefined) throw new NodeError('IndexError', 'list index out of range');
  const mask = newTensor({ kind: 'MASK', batch: 1, height: frame.height, width: frame.width, channels: 1 });
  const channel = colourChannels[textInput(inputs, 'channel')];
  if (channel === undefined) {
    if (frame.alpha !== undefined) invertedAlpha(frame.alpha, mask.data, 0);
    return mask;
  }
  for (let i = 0; i < mask.data.length; i++) mask.data[i] = (frame.rgb[i * 3 + channel] ?? 0) / 255;
  return mask;
}

/** `LoadImageMask`. */
export const loadImageMaskNode: NodeDefinition = {
  classType: 'LoadImageMask',
  declaration: withFileList(loadAndSaveDeclarations.LoadImageMask, () => true),
  validateInputs,
  isChanged: hashFile,
  execute: async (inputs, context) => ({ outputs: [await loadMask(inputs, context)] }),
};
