/** What a file is, judged by its first bytes; the name decides only where bytes say nothing. */
import { type ArtifactKind, safeExtension } from '../../shared/index.ts';

function ascii(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** Brands of ISO media files (`ftyp` boxes) that are not plain MP4. */
const isoBrands: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  avis: 'image/avif',
  heic: 'image/heic',
  mif1: 'image/heif',
  'qt  ': 'video/quicktime',
  'M4A ': 'audio/mp4',
};

const signatures: readonly { readonly at: number; readonly text: string; readonly type: string }[] = [
  { at: 0, text: '\x89PNG\r\n\x1a\n', type: 'image/png' },
  { at: 0, text: '\xff\xd8\xff', type: 'image/jpeg' },
  { at: 0, text: 'GIF8', type: 'image/gif' },
  { at: 0, text: 'II*\0', type: 'image/tiff' },
  { at: 0, text: 'MM\0*', type: 'image/tiff' },
  { at: 0, text: 'BM', type: 'image/bmp' },
  { at: 0, text: 'v/1\x01', type: 'image/x-exr' },
  { at: 0, text: 'glTF', type: 'model/gltf-binary' },
  { at: 0, text: 'fLaC', type: 'audio/flac' },
  { at: 0, text: 'ID3', type: 'audio/mpeg' },
  { at: 0, text: 'PK\x03\x04', type: 'application/zip' },
  { at: 0, text: '%PDF-', type: 'application/pdf' },
];

const byExtension: Readonly<Record<string, string>> = {
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.txt': 'text/plain',
  '.csv': 'text/csv',
  '.srt': 'text/plain',
  '.obj': 'model/obj',
  '.ply': 'model/ply',
  '.stl': 'model/stl',
  '.mp3': 'audio/mpeg',
  '.safetensors': 'application/octet-stream',
  '.latent': 'application/octet-stream',
};

/** MIME type of a file. */
export function sniffContentType(bytes: Uint8Array, name: string): string {
  const found = signatures.find(({ at, text }) => ascii(bytes, at, text.length) === text);
  if (found) return found.type;
  const container = containerType(bytes);
  if (container !== undefined) return container;
  return byExtension[safeExtension(name)] ?? 'application/octet-stream';
}

function containerType(bytes: Uint8Array): string | undefined {
  if (ascii(bytes, 0, 4) === 'RIFF') {
    const form = ascii(bytes, 8, 4);
    return { WEBP: 'image/webp', WAVE: 'audio/wav', 'AVI ': 'video/x-msvideo' }[form];
  }
  if (ascii(bytes, 4, 4) === 'ftyp') return isoBrands[ascii(bytes, 8, 4)] ?? 'video/mp4';
  if (ascii(bytes, 0, 4) === '\x1aE\xdf\xa3') {
    return ascii(bytes, 0, 64).includes('webm') ? 'video/webm' : 'video/x-matroska';
  }
  if (ascii(bytes, 0, 4) === 'OggS') return ascii(bytes, 28, 8) === 'OpusHead' ? 'audio/opus' : 'audio/ogg';
  // MPEG audio frame without an ID3 tag: eleven sync bits, layer III.
  if (bytes[0] === 0xff && ((bytes[1] ?? 0) & 0xe6) === 0xe2) return 'audio/mpeg';
  return undefined;
}

/** Kind of a MIME type, for callers that sort results. */
export function artifactKind(contentType: string): ArtifactKind {
  const [group] = contentType.split('/');
  if (group === 'image' || group === 'video' || group === 'audio' || group === 'model' || group === 'text')
    return group;
  return contentType === 'application/json' ? 'text' : 'other';
}
