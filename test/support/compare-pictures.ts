// Reading pictures for comparison, without any colour conversion.
import sharp from 'sharp';

/** Bytes of a picture, channel by channel. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Buffer;
}

/** Reads a picture from a file or from memory. */
export async function readPixels(source: string | Buffer): Promise<Pixels> {
  const { data, info } = await sharp(source).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: info.channels, data };
}

/** The biggest and the mean difference of a channel, in 1/255. Both pictures have the same size. */
export function pictureDifference(left: Pixels, right: Pixels): { readonly max: number; readonly mean: number } {
  let max = 0;
  let total = 0;
  for (let i = 0; i < left.data.length; i++) {
    const delta = Math.abs((left.data[i] ?? 0) - (right.data[i] ?? 0));
    max = Math.max(max, delta);
    total += delta;
  }
  return { max, mean: total / left.data.length };
}
