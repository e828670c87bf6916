// Windows bitmaps, which the decoding library does not read and Pillow does: uncompressed with 8, 24 or 32 bits a pixel.
// Neighbours: decode-image.ts. Source: the BITMAPINFOHEADER layout of Windows' BMP files.
import { NodeError } from '../../node-definition.ts';
import type { Frame } from './decode-image.ts';

const FILE_HEADER = 14;
const INFO_HEADER = 40;

/** Reads a bitmap; undefined when the header is no bitmap's. Rows that are cut off stay black. */
export function decodeBmp(bytes: Buffer): Frame | undefined {
  if (bytes.length < FILE_HEADER + INFO_HEADER || bytes.readUInt32LE(FILE_HEADER) < INFO_HEADER) return undefined;
  const dataStart = bytes.readUInt32LE(10);
  const width = bytes.readInt32LE(18);
  const signedHeight = bytes.readInt32LE(22);
  const bits = bytes.readUInt16LE(28);
  const compression = bytes.readUInt32LE(30);
  if (width <= 0 || signedHeight === 0) return undefined;
  if (compression !== 0) throw new NodeError('OSError', `Unsupported BMP compression (${compression})`);
  if (![8, 24, 32].includes(bits)) throw new NodeError('OSError', `Unsupported BMP pixel depth (${bits})`);
  const height = Math.abs(signedHeight);
  const rowLength = Math.ceil((width * bits) / 32) * 4;
  const palette = FILE_HEADER + bytes.readUInt32LE(FILE_HEADER);
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    // A positive height means that the lowest row comes first.
    const row = dataStart + (signedHeight > 0 ? height - 1 - y : y) * rowLength;
    if (row + rowLength > bytes.length) continue;
    for (let x = 0; x < width; x++) {
      const colour = bits === 8 ? palette + 4 * (bytes[row + x] ?? 0) : row + (x * bits) / 8;
      for (let c = 0; c < 3; c++) rgb[(y * width + x) * 3 + c] = bytes[colour + 2 - c] ?? 0;
    }
  }
  return { width, height, rgb, alpha: undefined };
}
