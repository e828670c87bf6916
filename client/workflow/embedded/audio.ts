/** Texts of FLAC, Ogg (Opus, Vorbis) and MP3 files. */
import { ByteReader, decodeText } from './byte-reader.ts';
import { isWantedKey, longestText, type MetadataEntry } from './metadata-entry.ts';

/** True for a FLAC file. */
export function isFlac(file: ByteReader): boolean {
  return file.startsWith('fLaC');
}

/** Reads the Vorbis comments of a FLAC file. */
export function* readFlac(file: ByteReader): Generator<MetadataEntry> {
  for (let at = 4; at + 4 <= file.length; ) {
    const head = file.u32(at);
    const size = head & 0xffffff;
    if (((head >>> 24) & 0x7f) === 4) yield* readVorbisComments(file.sub(at + 4, size));
    if (head >>> 31) return;
    at += 4 + size;
  }
}

/** Vendor, count, then `KEY=value` each with its length, little-endian. */
function* readVorbisComments(block: ByteReader): Generator<MetadataEntry> {
  let at = 4 + block.u32(0, true);
  const count = block.u32(at, true);
  at += 4;
  for (let index = 0; index < count; index++) {
    const size = block.u32(at, true);
    const bytes = block.slice(at + 4, size);
    at += 4 + size;
    const split = bytes.indexOf(0x3d);
    if (split < 0 || split > 64 || size > longestText) continue;
    const key = decodeText(bytes.subarray(0, split));
    if (isWantedKey(key)) yield { key, text: decodeText(bytes.subarray(split + 1)) };
  }
}

/** True for an Ogg file. */
export function isOgg(file: ByteReader): boolean {
  return file.startsWith('OggS');
}

/** Reads the comment packet of an Ogg file: the second packet, which may run over pages. */
export function* readOgg(file: ByteReader): Generator<MetadataEntry> {
  const parts: Uint8Array[] = [];
  let packet = 0;
  let size = 0;
  for (let at = 0; packet < 2 && file.startsWith('OggS', at) && size <= longestText; ) {
    const segments = file.slice(at + 27, file.u8(at + 26));
    let body = at + 27 + segments.length;
    for (const length of segments) {
      if (packet === 1) {
        parts.push(file.slice(body, length));
        size += length;
      }
      body += length;
      if (length < 255) packet += 1;
    }
    at = body;
  }
  const bytes = new Uint8Array(size);
  let filled = 0;
  for (const part of parts) {
    bytes.set(part, filled);
    filled += part.length;
  }
  const comments = new ByteReader(bytes);
  const marker = comments.startsWith('OpusTags') ? 8 : comments.startsWith('\x03vorbis') ? 7 : undefined;
  if (marker !== undefined) yield* readVorbisComments(comments.sub(marker, size - marker));
}

/** True for a file with an ID3v2 tag, which is how MP3 files with texts begin. */
export function isId3(file: ByteReader): boolean {
  return file.startsWith('ID3');
}

/** Reads `TXXX` and `COMM` frames of ID3 2.3 and 2.4. */
export function* readId3(file: ByteReader): Generator<MetadataEntry> {
  const version = file.u8(3);
  if (version !== 3 && version !== 4) return;
  const end = Math.min(file.length, 10 + synchsafe(file.u32(6)));
  for (let at = 10; at + 10 <= end; ) {
    const name = file.ascii(at, 4);
    const size = version === 4 ? synchsafe(file.u32(at + 4)) : file.u32(at + 4);
    if (!/^[A-Z0-9]{4}$/.test(name) || size === 0) return;
    if ((name === 'TXXX' || name === 'COMM') && size <= longestText) yield* readFrame(name, file.slice(at + 10, size));
    at += 10 + size;
  }
}

function synchsafe(value: number): number {
  return (
    ((value >>> 24) & 0x7f) * 2 ** 21 +
    ((value >>> 16) & 0x7f) * 2 ** 14 +
    ((value >>> 8) & 0x7f) * 128 +
    (value & 0x7f)
  );
}

/** A frame holds an encoding, for comments a language, a name, a separator and the text. */
function* readFrame(name: string, bytes: Uint8Array): Generator<MetadataEntry> {
  const wide = bytes[0] === 1 || bytes[0] === 2;
  const text = bytes.subarray(name === 'COMM' ? 4 : 1);
  const decoded = wide ? decodeWide(text, bytes[0] === 2) : decodeText(text);
  const split = decoded.indexOf('\0');
  const key = name === 'COMM' ? 'comment' : decoded.slice(0, Math.max(0, split));
  if (isWantedKey(key)) yield { key, text: decoded.slice(split + 1).replace(/^\uFEFF/, '') };
}

function decodeWide(bytes: Uint8Array, bigEndian: boolean): string {
  const marked = bytes[0] === 0xfe && bytes[1] === 0xff;
  return new TextDecoder(bigEndian || marked ? 'utf-16be' : 'utf-16le').decode(bytes).replaceAll('\uFEFF', '');
}
