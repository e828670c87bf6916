// Animated PNG from still ones. Source: PNG specification (third edition) §11.3.6. Neighbours: encode-picture.ts makes the
// frames, png-chunks.ts the chunks. Frames are whole pictures: nothing is cropped to what changed.
import { encodePictureChunks, type Picture } from './encode-picture.ts';
import { encodePng, type PngChunk } from './png-chunks.ts';

interface TimedPicture {
  readonly picture: Picture;
  readonly milliseconds: number;
}

/** Joins equal pictures that follow each other into one that lasts longer. */
function mergeEqual(pictures: readonly Picture[], milliseconds: number): readonly TimedPicture[] {
  const merged: TimedPicture[] = [];
  for (const picture of pictures) {
    const last = merged.at(-1);
    if (last !== undefined && Buffer.compare(last.picture.bytes, picture.bytes) === 0) {
      merged[merged.length - 1] = { picture: last.picture, milliseconds: last.milliseconds + milliseconds };
    } else {
      merged.push({ picture, milliseconds });
    }
  }
  return merged;
}

function animationControl(frames: number): PngChunk {
  const data = Buffer.alloc(8);
  data.writeUInt32BE(frames, 0);
  return { type: 'acTL', data };
}

function frameControl(sequence: number, { picture, milliseconds }: TimedPicture): PngChunk {
  const data = Buffer.alloc(26);
  data.writeUInt32BE(sequence, 0);
  data.writeUInt32BE(picture.width, 4);
  data.writeUInt32BE(picture.height, 8);
  data.writeUInt16BE(Math.min(milliseconds, 0xffff), 20);
  data.writeUInt16BE(1000, 22);
  return { type: 'fcTL', data };
}

function frameData(sequence: number, data: Buffer): PngChunk {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(sequence, 0);
  return { type: 'fdAT', data: Buffer.concat([head, data]) };
}

/** Encodes pictures of one size. `trailing` goes behind the picture data. Equal pictures make a still file. */
export async function encodeAnimatedPng(
  pictures: readonly Picture[],
  options: { readonly milliseconds: number; readonly compressLevel: number; readonly trailing: readonly PngChunk[] },
): Promise<Buffer> {
  const frames = mergeEqual(pictures, options.milliseconds);
  const isAnimated = frames.length > 1;
  const chunks: PngChunk[] = [];
  let sequence = 0;
  for (const [index, frame] of frames.entries()) {
    const [header, ...data] = await encodePictureChunks(frame.picture, options.compressLevel);
    if (index === 0 && header !== undefined) chunks.push(header);
    if (index === 0 && isAnimated) chunks.push(animationControl(frames.length));
    if (isAnimated) chunks.push(frameControl(sequence++, frame));
    for (const chunk of data) chunks.push(index === 0 ? chunk : frameData(sequence++, chunk.data));
  }
  return encodePng([...chunks, ...options.trailing]);
}
