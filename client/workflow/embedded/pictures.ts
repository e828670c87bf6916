/** Texts of WebP, JPEG and GIF files. */
import { ByteReader, decodeText } from './byte-reader.ts';
import { readExif } from './exif.ts';
import { longestText, type MetadataEntry } from './metadata-entry.ts';

/** True for a WebP file. */
export function isWebp(file: ByteReader): boolean {
  return file.startsWith('RIFF') && file.startsWith('WEBP', 8);
}

/** Reads the EXIF chunk of a WebP file. */
export function* readWebp(file: ByteReader): Generator<MetadataEntry> {
  for (let at = 12; at + 8 <= file.length; ) {
    const size = file.u32(at + 4, true);
    if (file.startsWith('EXIF', at)) yield* readExif(file.slice(at + 8, size));
    at += 8 + size + (size % 2);
  }
}

/** True for a JPEG file. */
export function isJpeg(file: ByteReader): boolean {
  return file.startsWith('\xff\xd8\xff');
}

/** Reads EXIF and comments of a JPEG file, up to the first scan. */
export function* readJpeg(file: ByteReader): Generator<MetadataEntry> {
  for (let at = 2; at + 4 <= file.length; ) {
    if (file.u8(at) !== 0xff) return;
    const marker = file.u8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) return;
    const size = file.u16(at + 2);
    if (size < 2) return;
    const data = file.slice(at + 4, size - 2);
    if (marker === 0xe1 && new ByteReader(data).startsWith('Exif\0\0')) yield* readExif(data);
    if (marker === 0xfe) yield { key: 'comment', text: decodeText(data) };
    at += 2 + size;
  }
}

/** True for a GIF file. */
export function isGif(file: ByteReader): boolean {
  return file.startsWith('GIF87a') || file.startsWith('GIF89a');
}

/** Reads the comment blocks of a GIF file. */
export function* readGif(file: ByteReader): Generator<MetadataEntry> {
  const flags = file.u8(10);
  let at = 13 + colorTableSize(flags);
  for (;;) {
    const kind = file.u8(at);
    if (kind === 0x21) {
      const { bytes, end } = subBlocks(file, at + 2);
      if (file.u8(at + 1) === 0xfe) yield { key: 'comment', text: decodeText(bytes) };
      at = end;
    } else if (kind === 0x2c) {
      at = subBlocks(file, at + 11 + colorTableSize(file.u8(at + 9))).end;
    } else return;
  }
}

function colorTableSize(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

/** Joins length-prefixed blocks up to the empty one. */
function subBlocks(file: ByteReader, start: number): { bytes: Uint8Array; end: number } {
  const parts: Uint8Array[] = [];
  let size = 0;
  let at = start;
  for (let length = file.u8(at); length > 0; length = file.u8(at)) {
    if (size < longestText) parts.push(file.slice(at + 1, length));
    size += length;
    at += 1 + length;
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    bytes.set(part, filled);
    filled += part.length;
  }
  return { bytes, end: at + 1 };
}
