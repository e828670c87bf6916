/**
 * Writes pictures anew with sharp: PNG packed tighter without loss, or the format that the job asked for. sharp is loaded when the first
 * picture needs it: it costs start-up time, and most jobs never do.
 */
import type { Sharp } from 'sharp';
import type { OutputFormat } from '../../../shared/index.ts';

/** A picture in another form. */
export interface EncodedPicture {
  readonly bytes: Buffer;
  readonly contentType: string;
  /** With the dot. */
  readonly extension: string;
  readonly why: string;
}

const timeoutSeconds = 120;
const defaultQuality = 90;
const sources = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/tiff', 'image/bmp']);

/** True for a picture that can be written in another format. */
export function isConvertible(contentType: string): boolean {
  return sources.has(contentType);
}

async function load(): Promise<(bytes: Buffer) => Sharp> {
  const { default: sharp } = await import('sharp');
  sharp.cache(false);
  return (bytes) => sharp(bytes);
}

/**
 * The same pixels in a smaller PNG, or undefined when it does not get smaller or can't be proven the same. Text chunks are lost: only for
 * jobs that strip metadata.
 */
export async function repackPng(bytes: Buffer): Promise<Buffer | undefined> {
  const sharp = await load();
  try {
    const before = await sharp(bytes).metadata();
    if ((before.pages ?? 1) > 1 || before.bitsPerSample !== 8 || before.isPalette === true) return undefined;
    const packed = await sharp(bytes)
      .timeout({ seconds: timeoutSeconds })
      .toColourspace(before.space)
      .keepIccProfile()
      .png({ compressionLevel: 9, adaptiveFiltering: true, palette: false })
      .toBuffer();
    if (packed.length >= bytes.length) return undefined;
    const after = await sharp(packed).metadata();
    if (after.channels !== before.channels || after.bitsPerSample !== before.bitsPerSample) return undefined;
    const [old, anew] = [await sharp(bytes).raw().toBuffer(), await sharp(packed).raw().toBuffer()];
    return old.equals(anew) ? packed : undefined;
  } catch {
    // A PNG that sharp can't read is delivered as it is.
    return undefined;
  }
}

/** The picture in the format asked for, or undefined when nothing has to change or it can't: no picture, an animation, a limit of the format. */
export async function convertPicture(
  bytes: Buffer,
  contentType: string,
  wish: OutputFormat,
): Promise<EncodedPicture | undefined> {
  const { format } = wish;
  if (format === undefined || format === 'original' || !isConvertible(contentType)) return undefined;
  if (format === 'png' && contentType === 'image/png') return undefined;
  const sharp = await load();
  try {
    const { pages = 1, hasAlpha } = await sharp(bytes).metadata();
    if (pages > 1) return undefined;
    const picture = sharp(bytes).timeout({ seconds: timeoutSeconds }).autoOrient().keepIccProfile();
    const quality = wish.quality ?? defaultQuality;
    const why = 'the job asked for it';
    switch (format) {
      case 'png':
        return await encoded(picture.png({ compressionLevel: 6 }), 'image/png', '.png', why);
      case 'webp': {
        const options = wish.lossless === true ? { lossless: true } : { quality };
        return await encoded(picture.webp(options), 'image/webp', '.webp', why);
      }
      case 'jpeg': {
        const opaque = picture.flatten({ background: '#ffffff' }).jpeg({ quality, mozjpeg: false });
        return await encoded(opaque, 'image/jpeg', '.jpg', hasAlpha ? `${why}; JPEG has no transparency` : why);
      }
    }
  } catch {
    // A picture that sharp can't write in that format (too large for WebP, damaged) is delivered as it is, rather than lost.
    return undefined;
  }
}

async function encoded(picture: Sharp, contentType: string, extension: string, why: string): Promise<EncodedPicture> {
  return { bytes: await picture.toBuffer(), contentType, extension, why };
}
