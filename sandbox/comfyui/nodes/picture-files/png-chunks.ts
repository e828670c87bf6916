// The chunk structure of PNG files: reading what the decoder does not tell, and putting text chunks into what the encoder
// made. Neighbours: decode-image.ts, encode-picture.ts, animated-png.ts. Source: PNG specification (third edition) §5.
import { crc32 } from 'node:zlib';

/** The eight bytes every PNG starts with. */
export const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** One chunk without length and checksum. */
export interface PngChunk {
  readonly type: string;
  readonly data: Buffer;
}

/** The chunks of a PNG, as far as they are whole; a cut-off last chunk is left out. */
export function* readChunks(png: Buffer): Generator<PngChunk> {
  let position = PNG_SIGNATURE.length;
  while (position + 12 <= png.length) {
    const length = png.readUInt32BE(position);
    const end = position + 12 + length;
    if (end > png.length) return;
    const type = png.toString('latin1', position + 4, position + 8);
    yield { type, data: png.subarray(position + 8, position + 8 + length) };
    position = end;
  }
}

/** A chunk with its length and checksum. */
export function encodeChunk(type: string, data: Uint8Array): Buffer {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(type, 4, 'latin1');
  chunk.set(data, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** A whole PNG from its chunks, `IEND` added. */
export function encodePng(chunks: readonly PngChunk[]): Buffer {
  const parts = chunks.map(({ type, data }) => encodeChunk(type, data));
  return Buffer.concat([PNG_SIGNATURE, ...parts, encodeChunk('IEND', new Uint8Array(0))]);
}

/** A text entry: `tEXt` when it is Latin-1, else `iTXt`, as Pillow chooses. */
export function textChunk(keyword: string, text: string): PngChunk {
  const key = Buffer.from(keyword, 'latin1');
  const isLatin1 = [...text].every((character) => (character.codePointAt(0) ?? 0) < 0x100);
  if (isLatin1) return { type: 'tEXt', data: Buffer.concat([key, Buffer.from([0]), Buffer.from(text, 'latin1')]) };
  return { type: 'iTXt', data: Buffer.concat([key, Buffer.from([0, 0, 0, 0, 0]), Buffer.from(text, 'utf8')]) };
}

/** How a PNG stores its pixels. */
export interface PngHeader {
  readonly bitDepth: number;
  /** 0 grey, 2 colour, 3 palette, 4 grey and alpha, 6 colour and alpha. */
  readonly colourType: number;
  readonly hasTransparencyChunk: boolean;
}

/** The header of a PNG; undefined when the file is too short to have one. */
export function readPngHeader(png: Buffer): PngHeader | undefined {
  let header: Buffer | undefined;
  let hasTransparencyChunk = false;
  for (const { type, data } of readChunks(png)) {
    if (type === 'IHDR' && data.length >= 13) header = data;
    if (type === 'tRNS') hasTransparencyChunk = true;
    if (type === 'IDAT') break;
  }
  if (header === undefined) return undefined;
  return { bitDepth: header.readUInt8(8), colourType: header.readUInt8(9), hasTransparencyChunk };
}
