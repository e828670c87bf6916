/** Builds small files of every kind with texts in them: the variants that ComfyUI itself does not write, but other tools do. */
import { deflateSync } from 'node:zlib';

const ascii = (text: string) => Buffer.from(text, 'latin1');

function u16(value: number, little = false): Buffer {
  const bytes = Buffer.alloc(2);
  if (little) bytes.writeUInt16LE(value);
  else bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number, little = false): Buffer {
  const bytes = Buffer.alloc(4);
  if (little) bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
}

/** A PNG of text chunks alone; no reader of texts looks at pixels or checksums. */
export function png(chunks: readonly (readonly [type: string, data: Buffer])[]): Buffer {
  const parts = [...chunks, ['IEND', Buffer.alloc(0)] as const].map(([type, data]) =>
    Buffer.concat([u32(data.length), ascii(type), data, u32(0)]),
  );
  return Buffer.concat([ascii('\x89PNG\r\n\x1a\n'), ...parts]);
}

/** Contents of text chunks. */
export const pngText = {
  plain: (key: string, text: string) => ['tEXt', Buffer.concat([ascii(`${key}\0`), Buffer.from(text)])] as const,
  compressed: (key: string, text: string | Buffer) =>
    ['zTXt', Buffer.concat([ascii(`${key}\0\0`), deflateSync(text)])] as const,
  international: (key: string, text: string, compress: boolean) =>
    [
      'iTXt',
      Buffer.concat([
        ascii(`${key}\0`),
        Buffer.from([compress ? 1 : 0, 0]),
        ascii('en\0'),
        Buffer.from('Schlüssel\0'),
        compress ? deflateSync(text) : Buffer.from(text),
      ]),
    ] as const,
};

/** One EXIF entry: tag, type (2 text, 7 undefined) and bytes. */
export type ExifEntry = readonly [tag: number, type: number, value: Buffer];

/** An EXIF block with these entries in the first directory and those of `sub` in the EXIF directory. */
export function exif(entries: readonly ExifEntry[], little = false, sub: readonly ExifEntry[] = []): Buffer {
  const directory = (list: readonly ExifEntry[], start: number, pointer?: number): Buffer => {
    const count = list.length + (pointer === undefined ? 0 : 1);
    const heads: Buffer[] = [u16(count, little)];
    const bodies: Buffer[] = [];
    let at = start + 2 + count * 12 + 4;
    for (const [tag, type, value] of list) {
      heads.push(u16(tag, little), u16(type, little), u32(value.length, little), u32(at, little));
      bodies.push(value);
      at += value.length;
    }
    if (pointer !== undefined) heads.push(u16(0x8769, little), u16(4, little), u32(1, little), u32(pointer, little));
    return Buffer.concat([...heads, u32(0, little), ...bodies]);
  };
  const length = directory(entries, 8, sub.length > 0 ? 0 : undefined).length;
  const first = directory(entries, 8, sub.length > 0 ? 8 + length : undefined);
  const second = sub.length > 0 ? directory(sub, 8 + length) : Buffer.alloc(0);
  return Buffer.concat([ascii(little ? 'II' : 'MM'), u16(42, little), u32(8, little), first, second]);
}

/** A WebP file with an EXIF chunk. */
export function webp(block: Buffer): Buffer {
  const chunk = Buffer.concat([ascii('EXIF'), u32(block.length, true), block, Buffer.alloc(block.length % 2)]);
  return Buffer.concat([ascii('RIFF'), u32(chunk.length + 4, true), ascii('WEBP'), chunk]);
}

/** A JPEG of segments alone. */
export function jpeg(segments: readonly (readonly [marker: number, data: Buffer])[]): Buffer {
  const parts = segments.map(([marker, data]) =>
    Buffer.concat([Buffer.from([0xff, marker]), u16(data.length + 2), data]),
  );
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...parts, Buffer.from([0xff, 0xd9])]);
}

/** A GIF of one comment. */
export function gif(text: string): Buffer {
  const bytes = Buffer.from(text);
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 255) {
    const part = bytes.subarray(at, at + 255);
    blocks.push(Buffer.from([part.length]), part);
  }
  const head = [ascii('GIF89a'), Buffer.from([1, 0, 1, 0, 0x80, 0, 0]), Buffer.alloc(6)];
  return Buffer.concat([...head, Buffer.from([0x21, 0xfe]), ...blocks, Buffer.from([0, 0x3b])]);
}

/** A box of MP4. */
export function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(body.length + 8), ascii(type), body]);
}

/** A value of an `ilst` item. */
export function dataBox(text: string): Buffer {
  return box('data', u32(1), u32(0), Buffer.from(text));
}

/** QuickTime's text: length and language in front. */
export function quickTimeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  return box('\xa9cmt', u16(bytes.length), u16(0), bytes);
}

/** An element of Matroska with a size of eight bytes. */
export function element(id: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const name = Buffer.from(id.toString(16).padStart(id > 0xffff ? 8 : 4, '0'), 'hex');
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(body.length));
  size[0] = 0x01;
  return Buffer.concat([name, size, body]);
}

/** A Matroska file with one tag. `unknownSize`: as live recordings write their segment. */
export function matroska(key: string, text: string, unknownSize = false): Buffer {
  const tags = element(
    0x1254c367,
    element(0x7373, element(0x67c8, element(0x45a3, Buffer.from(key)), element(0x4487, Buffer.from(text)))),
  );
  const segment = unknownSize
    ? Buffer.concat([Buffer.from('1853806701ffffffffffffff', 'hex'), tags])
    : element(0x18538067, tags);
  return Buffer.concat([element(0x1a45dfa3), segment]);
}
