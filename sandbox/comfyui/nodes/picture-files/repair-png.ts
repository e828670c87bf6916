// Makes a PNG that is cut off or damaged whole again, the missing rows black, as Pillow reads one with "load truncated".
// Neighbours: decode-image.ts. The decoder proper gives nothing at all for such files.
// Interlaced files can't be repaired: neither here nor there.
import { constants, crc32, deflateSync, inflateSync } from 'node:zlib';
import { NodeError } from '../../node-definition.ts';
import { encodePng, PNG_SIGNATURE, type PngChunk, readChunks } from './png-chunks.ts';

/** Samples per pixel by colour type. */
const samplesPerPixel: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** The last of PNG's row filters, Paeth. */
const LAST_FILTER = 4;

interface Scan {
  readonly chunks: readonly PngChunk[];
  /** Undefined when the file ends before the picture's data begins. */
  readonly imageData: Buffer | undefined;
  readonly isWhole: boolean;
}

/** Chunks before the picture and the picture's data, up to where the file ends or a checksum fails. */
function scan(png: Buffer): Scan {
  const chunks: PngChunk[] = [];
  const data: Buffer[] = [];
  let position = PNG_SIGNATURE.length;
  for (const chunk of readChunks(png)) {
    const end = position + 12 + chunk.data.length;
    const checksum = png.readUInt32BE(end - 4);
    position = end;
    if (chunk.type === 'IEND') return { chunks, imageData: Buffer.concat(data), isWhole: true };
    if (chunk.type !== 'IDAT') {
      if (data.length === 0) chunks.push(chunk);
      continue;
    }
    data.push(chunk.data);
    if (checksum !== crc32(png.subarray(end - 8 - chunk.data.length, end - 4))) {
      return { chunks, imageData: Buffer.concat(data), isWhole: false };
    }
  }
  if (png.toString('latin1', position + 4, position + 8) === 'IDAT') data.push(png.subarray(position + 8));
  return { chunks, imageData: data.length === 0 ? undefined : Buffer.concat(data), isWhole: false };
}

function inflatePrefix(data: Buffer, length: number): Buffer | undefined {
  try {
    return inflateSync(data.subarray(0, length), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return undefined;
  }
}

/** Everything that can be unpacked before the data breaks off or turns invalid. */
function inflateAsFarAsPossible(data: Buffer): Buffer {
  const all = inflatePrefix(data, data.length);
  if (all !== undefined) return all;
  let good = 0;
  let bad = data.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (inflatePrefix(data, middle) === undefined) bad = middle;
    else good = middle;
  }
  return inflatePrefix(data, good) ?? Buffer.alloc(0);
}

/** Length of all rows, each with its filter byte; of a picture without interlacing. */
function rowLengths(header: Buffer): { readonly row: number; readonly total: number } {
  const bits = header.readUInt8(8) * (samplesPerPixel[header.readUInt8(9)] ?? 4);
  const row = 1 + Math.ceil((header.readUInt32BE(0) * bits) / 8);
  return { row, total: row * header.readUInt32BE(4) };
}

/** Length of the rows before the first one that is cut off or has a filter that does not exist. */
function validLength(rows: Buffer, row: number): number {
  let end = 0;
  while (end + row <= rows.length && (rows[end] ?? 0) <= LAST_FILTER) end += row;
  return end;
}

/** The file itself when it is whole, else one with the rows that could be read. Raises TypeError for interlaced ones. */
export function repairPng(png: Buffer): Buffer {
  const { chunks, imageData, isWhole } = scan(png);
  const header = chunks[0];
  if (isWhole || imageData === undefined || header?.type !== 'IHDR' || header.data.length < 13) return png;
  const isInterlaced = header.data.readUInt8(12) !== 0;
  // Pillow's second try at such a file trips over itself.
  if (isInterlaced) throw new NodeError('TypeError', 'function takes at most 3 arguments (4 given)');
  const rows = inflateAsFarAsPossible(imageData);
  const { row, total } = rowLengths(header.data);
  const repaired = Buffer.alloc(total);
  rows.copy(repaired, 0, 0, Math.min(total, validLength(rows, row)));
  return encodePng([...chunks, { type: 'IDAT', data: deflateSync(repaired, { level: 1 }) }]);
}
