// Cutting rectangles out of pictures and laying pictures into bigger ones. Plain copies, no filter.
import { itemData, newTensor, type Tensor } from './tensor.ts';

/** A rectangle in pixels, inside the picture it is meant for. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A rectangle of every item as a new tensor. */
export function copyRegion(source: Tensor, region: Region): Tensor {
  const result = newTensor({ ...source, width: region.width, height: region.height });
  const rowLength = region.width * source.channels;
  for (let b = 0; b < source.batch; b++) {
    const from = itemData(source, b);
    const into = itemData(result, b);
    for (let y = 0; y < region.height; y++) {
      const start = ((region.y + y) * source.width + region.x) * source.channels;
      into.set(from.subarray(start, start + rowLength), y * rowLength);
    }
  }
  return result;
}

/** Lays every item of `source` into the same item of `target` with its corner at x, y. Both have the same channels. */
export function pasteInto(target: Tensor, source: Tensor, x: number, y: number): void {
  const rowLength = source.width * source.channels;
  for (let b = 0; b < source.batch; b++) {
    const from = itemData(source, b);
    const into = itemData(target, b);
    for (let row = 0; row < source.height; row++) {
      const start = ((y + row) * target.width + x) * target.channels;
      into.set(from.subarray(row * rowLength, (row + 1) * rowLength), start);
    }
  }
}
