/** Tells by its first bytes whether a file is one that ComfyUI's loaders read, or a page that a server sent in its place. Pure. */

/** What the bytes are: a file for a loader, or what else they look like. */
export type Sniffed =
  | { readonly kind: 'media'; readonly type: string }
  | { readonly kind: 'other'; readonly what: string };

/** Bytes that {@link sniffMedia} wants to see, when the file has them. */
export const sniffBytes = 512;

/** Signatures: type and, at each offset, the bytes there as Latin-1 text. First match wins. */
const signatures: readonly (readonly [type: string, ...parts: readonly (readonly [number, string])[]])[] = [
  ['image/png', [0, '\x89PNG\r\n\x1a\n']],
  ['image/jpeg', [0, '\xff\xd8\xff']],
  ['image/gif', [0, 'GIF8']],
  ['image/webp', [0, 'RIFF'], [8, 'WEBP']],
  ['image/tiff', [0, 'II*\0']],
  ['image/tiff', [0, 'MM\0*']],
  ['image/x-exr', [0, 'v/1\x01']],
  ['image/vnd.adobe.photoshop', [0, '8BPS\0']],
  ['image/vnd.radiance', [0, '#?RADIANCE']],
  ['image/avif', [4, 'ftypavi']],
  ['image/heic', [4, 'ftyphei']],
  ['image/heif', [4, 'ftypmif1']],
  ['image/jxl', [0, '\xff\x0a']],
  ['image/jxl', [0, '\0\0\0\x0cJXL ']],
  ['audio/mp4', [4, 'ftypM4A']],
  ['video/quicktime', [4, 'ftypqt']],
  ['video/mp4', [4, 'ftyp']],
  ['video/x-msvideo', [0, 'RIFF'], [8, 'AVI ']],
  ['video/webm', [0, '\x1aE\xdf\xa3']],
  ['video/x-flv', [0, 'FLV\x01']],
  ['video/mpeg', [0, '\0\0\x01\xba']],
  ['video/x-ms-wmv', [0, '0&\xb2u\x8ef\xcf\x11']],
  ['audio/wav', [0, 'RIFF'], [8, 'WAVE']],
  ['audio/aiff', [0, 'FORM'], [8, 'AIF']],
  ['audio/flac', [0, 'fLaC']],
  ['audio/ogg', [0, 'OggS']],
  ['audio/mpeg', [0, 'ID3']],
  ['model/gltf-binary', [0, 'glTF']],
];

/** What people are told instead of a type. */
const others: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a web page (HTML)', /^\s*(<!--[\s\S]*?-->\s*)*<(!doctype\s+html|html|head|body|title|script)\b/i],
  ['an XML document', /^\s*<(\?xml|[a-z])/i],
  ['JSON text', /^\s*[{[]/],
  ['a PDF', /^%PDF-/],
];

const archives = ['PK\x03\x04', 'PK\x05\x06', '\x1f\x8b', 'Rar!', '7z\xbc\xaf'];

/** Judges a file by its first bytes. */
export function sniffMedia(head: Uint8Array): Sniffed {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, sniffBytes)).toString('latin1');
  const known = signatures.find(([, ...parts]) => parts.every(([at, bytes]) => text.startsWith(bytes, at)))?.[0];
  if (known !== undefined) return { kind: 'media', type: known };
  if (isBitmap(text)) return { kind: 'media', type: 'image/bmp' };
  if (isMpegAudio(head)) return { kind: 'media', type: 'audio/mpeg' };
  if (isSafetensors(head)) return { kind: 'media', type: 'application/x-safetensors' };
  if (archives.some((bytes) => text.startsWith(bytes))) return { kind: 'other', what: 'an archive' };
  const withoutMark = text.replace(/^\xef\xbb\xbf/, '');
  const what = others.find(([, pattern]) => pattern.test(withoutMark))?.[0];
  return { kind: 'other', what: what ?? 'a file that is no picture, video or sound' };
}

/** `BM` alone begins many texts; the reserved fields are zero in every bitmap. */
function isBitmap(text: string): boolean {
  return text.startsWith('BM') && text.startsWith('\0\0\0\0', 6);
}

/** MPEG or ADTS audio frame without a tag before it: sync bits, then a layer and rate that exist. */
function isMpegAudio(head: Uint8Array): boolean {
  const [first = 0, second = 0, third = 0xff] = head;
  return first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x18) !== 0x08 && (third & 0xf0) !== 0xf0;
}

/** Latents: a little-endian length and a JSON object of that length. */
function isSafetensors(head: Uint8Array): boolean {
  if (head.byteLength < 10) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return view.getUint32(4, true) === 0 && view.getUint32(0, true) < 100_000_000 && head[8] === 0x7b && head[9] === 0x22;
}
