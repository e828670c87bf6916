/** Tells a picture format by its first bytes. Pure. */

/** Formats that ComfyUI's loaders read everywhere. */
export type PictureFormat = 'png' | 'jpeg' | 'webp' | 'gif' | 'tiff' | 'avif' | 'bmp';

/** Bytes that {@link pictureFormat} needs. */
export const formatBytes = 32;

/** The format of a file that begins with `head`, or undefined. */
export function pictureFormat(head: Uint8Array): PictureFormat | undefined {
  const text = Buffer.from(head.subarray(0, formatBytes)).toString('latin1');
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (text.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'webp';
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'gif';
  if (text.startsWith('II*\0') || text.startsWith('MM\0*')) return 'tiff';
  if (text.slice(4, 8) === 'ftyp' && /avi[fs]/.test(text.slice(8))) return 'avif';
  if (text.startsWith('BM') && head.length >= 14) return 'bmp';
  return undefined;
}
