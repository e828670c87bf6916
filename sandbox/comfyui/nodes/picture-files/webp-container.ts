// The RIFF container of WebP: putting an Exif chunk into a file the encoder made. Source: WebP Container Specification.

interface RiffChunk {
  readonly type: string;
  readonly data: Buffer;
}

/** Flags of the extended header. */
const HAS_ALPHA = 0x10;
const HAS_EXIF = 0x08;

function* readRiff(webp: Buffer): Generator<RiffChunk> {
  let position = 12;
  while (position + 8 <= webp.length) {
    const length = webp.readUInt32LE(position + 4);
    yield {
      type: webp.toString('latin1', position, position + 4),
      data: webp.subarray(position + 8, position + 8 + length),
    };
    position += 8 + length + (length % 2);
  }
}

function encodeRiff(chunks: readonly RiffChunk[]): Buffer {
  const parts = chunks.flatMap(({ type, data }) => {
    const head = Buffer.alloc(8);
    head.write(type, 0, 'latin1');
    head.writeUInt32LE(data.length, 4);
    return [head, data, Buffer.alloc(data.length % 2)];
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(12);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(body.length + 4, 4);
  head.write('WEBP', 8, 'latin1');
  return Buffer.concat([head, body]);
}

/** An extended header for a simple file. Sizes are pixels. */
function newExtendedHeader(width: number, height: number, hasAlpha: boolean): RiffChunk {
  const data = Buffer.alloc(10);
  data.writeUInt8(hasAlpha ? HAS_ALPHA : 0, 0);
  data.writeUIntLE(width - 1, 4, 3);
  data.writeUIntLE(height - 1, 7, 3);
  return { type: 'VP8X', data };
}

/** The same file with an Exif chunk at its end, in place of any other. Sizes and alpha are those of the picture. */
export function withExif(
  webp: Buffer,
  exif: Buffer,
  picture: { readonly width: number; readonly height: number; readonly hasAlpha: boolean },
): Buffer {
  const chunks = [...readRiff(webp)].filter(({ type }) => type !== 'EXIF');
  const first = chunks[0];
  const given =
    first?.type === 'VP8X' ? chunks.shift() : newExtendedHeader(picture.width, picture.height, picture.hasAlpha);
  const header = Buffer.from(given?.data ?? []);
  header.writeUInt8(header.readUInt8(0) | HAS_EXIF, 0);
  return encodeRiff([{ type: 'VP8X', data: header }, ...chunks, { type: 'EXIF', data: exif }]);
}

/** The bitstream of a lossy still file: one VP8 key frame. Undefined when the file is of another kind. */
export function lossyBitstream(webp: Buffer): Buffer | undefined {
  return [...readRiff(webp)].find(({ type }) => type === 'VP8 ')?.data;
}
