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

/** Whether a file that begins with `head` is a sound or a video, or undefined for anything else. */
export function soundOrVideo(head: Uint8Array): 'audio' | 'video' | undefined {
  const text = Buffer.from(head.subarray(0, formatBytes)).toString('latin1');
  // HEIF and AVIF pictures are in the same container.
  if (/^ftyp(hei[cxms]|hev[cxms]|mif1|msf1|avi[fs])/.test(text.slice(4))) return undefined;
  if (text.slice(4, 8) === 'ftyp') return /^M4A /.test(text.slice(8)) ? 'audio' : 'video';
  if (text.startsWith('\x1aE\xdf\xa3') || text.startsWith('GIF8')) return 'video';
  if (text.startsWith('RIFF'))
    return text.slice(8, 12) === 'AVI ' ? 'video' : text.slice(8, 12) === 'WAVE' ? 'audio' : undefined;
  if (text.startsWith('fLaC') || text.startsWith('OggS') || text.startsWith('ID3')) return 'audio';
  // The first frame of an MP3 or ADTS stream: eleven bits of ones, and not layer I, which is how text in UTF-16 begins.
  const second = head[1] ?? 0;
  return head[0] === 0xff && (second & 0xe0) === 0xe0 && (second & 0x06) !== 0x06 ? 'audio' : undefined;
}
