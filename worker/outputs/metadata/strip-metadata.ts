/** Takes prompt, workflow and other text out of results, losslessly, where the format is known. */
import { stripJpeg } from './jpeg.ts';
import { stripPng } from './png.ts';
import { stripWebp } from './webp.ts';

/** Bytes to deliver and whether metadata was removed from them. */
export interface Stripped {
  readonly bytes: Buffer;
  readonly metadata: 'stripped' | 'kept';
}

const filters: Readonly<Record<string, (bytes: Buffer) => Buffer | undefined>> = {
  'image/png': stripPng,
  'image/jpeg': stripJpeg,
  'image/webp': stripWebp,
};

/** Strips a file of this MIME type. A format without a filter, or a malformed file, is kept as it is. */
export function stripMetadata(bytes: Buffer, contentType: string): Stripped {
  const stripped = filters[contentType]?.(bytes);
  return stripped ? { bytes: stripped, metadata: 'stripped' } : { bytes, metadata: 'kept' };
}
