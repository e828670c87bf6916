// Tensors into PNG files, with the metadata entries ComfyUI writes. Neighbours: save-image.ts, animated-png.ts.
import { NodeError } from '../../node-definition.ts';
import { itemToBytes, type Tensor } from '../tensor.ts';
import { openImage } from './image-library.ts';
import { encodePng, type PngChunk, readChunks, textChunk } from './png-chunks.ts';

/** Pixels of one picture as a saver writes them. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly bytes: Uint8Array;
}

/** One item of a batch as bytes. Raises what Pillow raises for numbers of channels that are no picture. */
export function toPicture(image: Tensor, index: number): Picture {
  const { width, height, channels } = image;
  if (width === 0 || height === 0) throw new NodeError('SystemError', 'tile cannot extend outside image');
  if (channels !== 3 && channels !== 4) {
    throw new NodeError('TypeError', `Cannot handle this data type: (1, 1, ${channels}), |u1`);
  }
  return { width, height, channels, bytes: itemToBytes(image, index) };
}

/** The chunks that hold the picture itself: header and data, nothing else. `compressLevel` is zlib's, 0 to 9. */
export async function encodePictureChunks(picture: Picture, compressLevel: number): Promise<readonly PngChunk[]> {
  const { width, height, channels, bytes } = picture;
  const png = await openImage(bytes, { raw: { width, height, channels } })
    .png({ compressionLevel: compressLevel, adaptiveFiltering: compressLevel > 1 })
    .toBuffer();
  return [...readChunks(png)].filter(({ type }) => type === 'IHDR' || type === 'IDAT');
}

/** A PNG file with text entries between header and data. */
export async function encodePicture(
  picture: Picture,
  compressLevel: number,
  texts: ReadonlyMap<string, string>,
): Promise<Buffer> {
  const [header, ...data] = await encodePictureChunks(picture, compressLevel);
  if (header === undefined) throw new Error('the PNG encoder returned no header');
  return encodePng([header, ...[...texts].map(([key, text]) => textChunk(key, text)), ...data]);
}
