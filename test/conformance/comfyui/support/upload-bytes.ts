// The files behind the recorded uploads. The recordings tell names and sizes, not bytes: these are PNG files of those sizes.
import { deflateSync } from 'node:zlib';
import { encodePng } from '../../../../sandbox/comfyui/nodes/picture-files/png-chunks.ts';

const CHUNK_OVERHEAD_BYTES = 12;

/** A valid PNG of exactly `size` bytes: a small picture and a private chunk that fills the rest. */
export function pngOfSize(size: number, shade: number): Buffer {
  const side = 4;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(side * (1 + side * 3), shade);
  for (let row = 0; row < side; row += 1) rows[row * (1 + side * 3)] = 0;
  const chunks = [
    { type: 'IHDR', data: header },
    { type: 'IDAT', data: deflateSync(rows) },
  ];
  const bare = encodePng(chunks).length;
  const filler = { type: 'fiLl', data: Buffer.alloc(Math.max(0, size - bare - CHUNK_OVERHEAD_BYTES), shade) };
  return encodePng([...chunks, filler]);
}

/**
 * The bytes of the nth upload of a recording. `uploads` sends first what `input-overwritten` left under the name, then
 * something else of the same size.
 */
export function uploadBytes(recording: string, index: number, size: number): Buffer {
  if (recording === 'fresh-run') return pngOfSize(size, 10);
  if (recording === 'input-overwritten') return pngOfSize(size, 20);
  if (recording === 'uploads' && index === 0) return pngOfSize(size, 20);
  return pngOfSize(size, 30 + index);
}
