// Files into frames of bytes, with Pillow's idea of modes: what counts as alpha, how 16 bits become 8, what is no picture
// at all. Neighbours: load-image.ts makes tensors of it; png-chunks.ts and sniff-format.ts look at the file's own words.
// Invariants: 1. colours are the stored ones: no colour profile, no gamma, no premultiplied alpha; 2. a file that is cut
// off gives what could be decoded; 3. every failure is a NodeError with Pillow's exception type.
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { NodeError } from '../../node-definition.ts';
import { pythonQuote, readWholeFile } from '../read-file.ts';
import { decodeBmp } from './decode-bmp.ts';
import { readGifStructure } from './gif-structure.ts';
import { openImage } from './image-library.ts';
import { readPngHeader } from './png-chunks.ts';
import { repairPng } from './repair-png.ts';
import { type ImageFormat, sniffFormat } from './sniff-format.ts';

/** One picture of a file: three bytes a pixel, and one byte a pixel of alpha where the file has any. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
  readonly alpha: Uint8Array | undefined;
}

/** Pixels above which Pillow refuses to decode (twice its warning limit). */
const DECOMPRESSION_BOMB_PIXELS = 178_956_970;

interface Source {
  readonly path: string;
  readonly bytes: Buffer;
  readonly format: ImageFormat;
}

function unidentified(path: string, cause?: unknown): NodeError {
  return new NodeError('PIL.UnidentifiedImageError', `cannot identify image file ${pythonQuote(path)}`, { cause });
}

function openSharp(bytes: Buffer, options: SharpOptions = {}): Sharp {
  return openImage(bytes, { failOn: 'none', ignoreIcc: true, unlimited: true, ...options });
}

/** Reads every frame of the picture file at `path`: one for still pictures, all for animations. */
export async function decodeImage(path: string): Promise<readonly Frame[]> {
  const bytes = await readWholeFile(path);
  const format = sniffFormat(bytes);
  if (format === undefined) throw unidentified(path);
  if (format === 'bmp') {
    const frame = decodeBmp(bytes);
    if (frame === undefined) throw unidentified(path);
    return [frame];
  }
  const source = { path, bytes: format === 'png' ? repairPng(bytes) : bytes, format };
  const metadata = await readMetadata(source);
  refuseBomb(metadata.width * (metadata.pageHeight ?? metadata.height));
  try {
    return await decodeFrames(source, metadata);
  } catch (error) {
    if (error instanceof NodeError) throw error;
    throw new NodeError('OSError', 'broken data stream when reading image file', { cause: error });
  }
}

function refuseBomb(pixels: number): void {
  if (pixels <= DECOMPRESSION_BOMB_PIXELS) return;
  throw new NodeError(
    'PIL.Image.DecompressionBombError',
    `Image size (${pixels} pixels) exceeds limit of ${DECOMPRESSION_BOMB_PIXELS} pixels, could be decompression bomb DOS attack.`,
  );
}

async function readMetadata(source: Source): Promise<Metadata> {
  const { format, bytes } = source;
  if (format === 'webp' && bytes.readUInt32LE(4) + 8 > bytes.length) {
    throw new NodeError('OSError', 'could not create decoder object');
  }
  try {
    return await openSharp(bytes).metadata();
  } catch (error) {
    // The signature was right, so Pillow has settled on the format; only these two formats then complain themselves.
    if (format === 'png' || format === 'jpeg') throw new NodeError('OSError', 'Truncated File Read', { cause: error });
    throw unidentified(source.path, error);
  }
}

async function decodeFrames(source: Source, metadata: Metadata): Promise<readonly Frame[]> {
  const pages = metadata.pages ?? 1;
  if (source.format !== 'gif' && (pages === 1 || source.format === 'jpeg')) {
    return [await decodeStill(source, metadata)];
  }
  if (source.format === 'gif') return decodeGif(source, metadata);
  if (source.format === 'webp') return decodeAnimation(source);
  const frames: Frame[] = [];
  for (let page = 0; page < pages; page++) frames.push(await decodePage(openSharp(source.bytes, { page })));
  return frames;
}

/** Pixels of an image in sRGB order, alpha split off. */
async function decodePage(image: Sharp, dropAlpha = false): Promise<Frame> {
  const oriented = dropAlpha ? image.autoOrient().removeAlpha() : image.autoOrient();
  const { data, info } = await oriented.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  return splitChannels(data, info.width, info.height, info.channels);
}

async function decodeStill(source: Source, metadata: Metadata): Promise<Frame> {
  const image = openSharp(source.bytes);
  if (metadata.space === 'cmyk') return decodeCmyk(image);
  if (source.format !== 'png') return decodePage(image);
  const header = readPngHeader(source.bytes);
  // Only a palette's transparency is alpha to Pillow; a transparent colour of other kinds of PNG is not.
  const dropAlpha = header !== undefined && (header.colourType === 0 || header.colourType === 2);
  if (header?.bitDepth === 16) return decodeDeepPng(image, header.colourType, dropAlpha);
  return decodePage(image, dropAlpha);
}

/** 16-bit PNG: grey values above 255 become 255, as with Pillow 11; everything else keeps the upper byte. */
async function decodeDeepPng(image: Sharp, colourType: number, dropAlpha: boolean): Promise<Frame> {
  const isGrey = colourType === 0;
  const oriented = dropAlpha ? image.autoOrient().removeAlpha() : image.autoOrient();
  const { data, info } = await oriented
    .toColourspace(isGrey ? 'grey16' : 'rgb16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  const words = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  const bytes = new Uint8Array(words.length);
  for (let i = 0; i < words.length; i++) bytes[i] = isGrey ? Math.min(255, words[i] ?? 0) : (words[i] ?? 0) >> 8;
  return splitChannels(bytes, info.width, info.height, info.channels);
}

/** Pillow's plain conversion: each ink darkens what black leaves. */
async function decodeCmyk(image: Sharp): Promise<Frame> {
  const { data, info } = await image
    .pipelineColourspace('cmyk')
    .autoOrient()
    .toColourspace('cmyk')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const rgb = new Uint8Array(info.width * info.height * 3);
  for (let i = 0, o = 0; o < rgb.length; i += 4) {
    const light = 255 - (data[i + 3] ?? 0);
    for (let c = 0; c < 3; c++) {
      const product = (data[i + c] ?? 0) * light + 128;
      rgb[o++] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return { width: info.width, height: info.height, rgb, alpha: undefined };
}

/** All frames of a GIF or WebP as shown, each laid over the ones before it. */
async function decodeAnimation(source: Source): Promise<readonly Frame[]> {
  const { data, info } = await openSharp(source.bytes, { pages: -1 })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const pages = info.pages ?? 1;
  const height = info.height / pages;
  const length = info.width * height * info.channels;
  return Array.from({ length: pages }, (_, page) =>
    splitChannels(data.subarray(page * length, (page + 1) * length), info.width, height, info.channels),
  );
}

/** Transparent pixels keep the colour that the palette gives them. A file that ends inside its first picture is black, one
 * that ends inside a later picture is an error. */
async function decodeGif(source: Source, metadata: Metadata): Promise<readonly Frame[]> {
  const { transparentColour, pictures, isWhole } = readGifStructure(source.bytes);
  if (!isWhole && pictures > 1) throw new NodeError('IndexError', 'index out of range');
  if (!isWhole) {
    const [width, height] = [metadata.width, metadata.pageHeight ?? metadata.height];
    return [{ width, height, rgb: new Uint8Array(width * height * 3), alpha: undefined }];
  }
  const frames = await decodeAnimation(source);
  if (transparentColour === undefined) return frames;
  for (const { rgb, alpha } of frames) {
    alpha?.forEach((opacity, pixel) => {
      if (opacity === 0) rgb.set(transparentColour, pixel * 3);
    });
  }
  return frames;
}

/** Interleaved bytes into colours and alpha. One and two channels are grey. */
function splitChannels(data: Uint8Array, width: number, height: number, channels: number): Frame {
  const pixels = width * height;
  const hasAlpha = channels === 2 || channels === 4;
  if (channels === 3) return { width, height, rgb: data, alpha: undefined };
  const rgb = new Uint8Array(pixels * 3);
  const alpha = hasAlpha ? new Uint8Array(pixels) : undefined;
  const step = channels > 2 ? 1 : 0;
  for (let i = 0; i < pixels; i++) {
    const from = i * channels;
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = data[from + c * step] ?? 0;
    if (alpha !== undefined) alpha[i] = data[from + channels - 1] ?? 0;
  }
  return { width, height, rgb, alpha };
}
