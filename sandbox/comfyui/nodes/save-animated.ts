// SaveAnimatedWEBP and SaveAnimatedPNG: a whole batch in one file. Source: ComfyUI protocol notes §3.3 and §3.5.
import type { NodeContext, NodeDefinition } from '../node-definition.ts';
import { loadAndSaveDeclarations } from './declarations/load-and-save.ts';
import { flagInput, imageInput, numberInput, textInput } from './inputs.ts';
import { metadataTexts } from './metadata.ts';
import { encodeAnimatedPng } from './picture-files/animated-png.ts';
import { type Picture, toPicture } from './picture-files/encode-picture.ts';
import { encodeExif } from './picture-files/exif.ts';
import { openImage } from './picture-files/image-library.ts';
import type { PngChunk } from './picture-files/png-chunks.ts';
import { withExif } from './picture-files/webp-container.ts';
import { counterText, type FileEntry, writeOutput } from './save-image.ts';
import type { Tensor } from './tensor.ts';

/** Effort by the name a workflow uses. */
const methods: Readonly<Record<string, number>> = { default: 4, fastest: 0, slowest: 6 };

/** The Exif tag of the `prompt` entry; other entries follow downwards from the one below it. */
const PROMPT_TAG = 0x0110;

function toPictures(images: Tensor): readonly Picture[] {
  return Array.from({ length: images.batch }, (_, index) => toPicture(images, index));
}

/** Milliseconds a picture is shown. */
function frameTime(fps: number): number {
  return Math.trunc(1000 / fps);
}

async function saveAs(
  extension: 'webp' | 'png',
  images: Tensor,
  prefix: string,
  context: NodeContext,
  encode: () => Promise<Buffer>,
): Promise<FileEntry> {
  const place = await context.getSavePath(prefix, context.folders.output, images.width, images.height);
  const filename = `${place.filename}_${counterText(place.counter)}_.${extension}`;
  await writeOutput(place.folder, filename, await encode());
  return { filename, subfolder: place.subfolder, type: 'output' };
}

/** Metadata as Exif. An animation's block carries the marker that only JPEG needs, as Pillow leaves it there. */
function exifBlock(context: NodeContext, isAnimation: boolean): Buffer {
  const texts = new Map<number, string>();
  let tag = PROMPT_TAG;
  for (const [key, text] of metadataTexts(context)) texts.set(tag--, `${key}:${text}`);
  if (texts.size === 0) return Buffer.alloc(0);
  const exif = encodeExif(texts);
  return isAnimation ? Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), exif]) : exif;
}

interface WebpOptions {
  readonly fps: number;
  readonly lossless: boolean;
  readonly quality: number;
  readonly effort: number;
}

async function encodeWebp(images: Tensor, options: WebpOptions, context: NodeContext): Promise<Buffer> {
  const pictures = toPictures(images);
  const { width, height, batch } = images;
  const channels = pictures[0]?.channels ?? 3;
  const raw = { width, height: height * batch, channels, pageHeight: height };
  const { fps, lossless, quality, effort } = options;
  const webp = await openImage(Buffer.concat(pictures.map(({ bytes }) => bytes)), { raw })
    // Zero is no quality to the encoder; one is the nearest.
    .webp({
      lossless,
      quality: Math.max(1, quality),
      effort,
      exact: true,
      delay: new Array<number>(batch).fill(frameTime(fps)),
      loop: 0,
    })
    .toBuffer();
  const exif = exifBlock(context, batch > 1);
  return exif.length === 0 ? webp : withExif(webp, exif, { width, height, hasAlpha: channels === 4 });
}

/** `SaveAnimatedWEBP`. A single picture is reported as not animated. */
export const saveAnimatedWebpNode: NodeDefinition = {
  classType: 'SaveAnimatedWEBP',
  declaration: loadAndSaveDeclarations.SaveAnimatedWEBP,
  execute: async (inputs, context) => {
    const images = imageInput(inputs, 'images');
    const options = {
      fps: numberInput(inputs, 'fps'),
      lossless: flagInput(inputs, 'lossless'),
      quality: numberInput(inputs, 'quality'),
      effort: methods[textInput(inputs, 'method')] ?? 4,
    };
    const prefix = textInput(inputs, 'filename_prefix');
    const entry = await saveAs('webp', images, prefix, context, () => encodeWebp(images, options, context));
    return { outputs: [], ui: { images: [entry], animated: [images.batch !== 1] } };
  },
};

function metadataChunks(context: NodeContext): readonly PngChunk[] {
  return [...metadataTexts(context)].map(([key, text]) => ({
    type: 'comf',
    data: Buffer.from(`${key}\0${text}`, 'latin1'),
  }));
}

/** `SaveAnimatedPNG`. */
export const saveAnimatedPngNode: NodeDefinition = {
  classType: 'SaveAnimatedPNG',
  declaration: loadAndSaveDeclarations.SaveAnimatedPNG,
  execute: async (inputs, context) => {
    const images = imageInput(inputs, 'images');
    const options = {
      milliseconds: frameTime(numberInput(inputs, 'fps')),
      compressLevel: numberInput(inputs, 'compress_level'),
      trailing: metadataChunks(context),
    };
    const prefix = inputs['filename_prefix'] === undefined ? 'ComfyUI' : textInput(inputs, 'filename_prefix');
    const encode = (): Promise<Buffer> => encodeAnimatedPng(toPictures(images), options);
    const entry = await saveAs('png', images, prefix, context, encode);
    return { outputs: [], ui: { images: [entry], animated: [true] } };
  },
};
