// torch's `interpolate` for pictures: horizontally first, then vertically, batch item by batch item.
// Neighbours: axis-taps.ts (the filters), common-upscale.ts (the nodes' entry).
import { NodeError } from '../../node-definition.ts';
import { Pacer } from '../pacer.ts';
import { itemData, newTensor, type Tensor } from '../tensor.ts';
import { type AxisTaps, areaTaps, cubicTaps, linearTaps, nearestTaps } from './axis-taps.ts';

/** The filters torch offers to the nodes. */
export type InterpolationMode = 'nearest-exact' | 'bilinear' | 'area' | 'bicubic';

const tapsOf: Readonly<Record<InterpolationMode, (from: number, to: number) => AxisTaps>> = {
  'nearest-exact': nearestTaps,
  bilinear: linearTaps,
  bicubic: cubicTaps,
  area: areaTaps,
};

/** Raises torch's error for a size without pixels. */
function requirePixels(source: Tensor, width: number, height: number): void {
  if (source.width > 0 && source.height > 0 && width > 0 && height > 0) return;
  throw new NodeError(
    'RuntimeError',
    `Input and output sizes should be greater than 0, but got input (H: ${source.height}, W: ${source.width}) output (H: ${height}, W: ${width})`,
  );
}

/** One row made narrower or wider. */
function resampleRow(row: Float32Array, target: Float32Array, taps: AxisTaps, channels: number): void {
  const width = target.length / channels;
  const { count, index, weight } = taps;
  for (let x = 0; x < width; x++) {
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let k = x * count; k < (x + 1) * count; k++) {
        sum += (weight[k] ?? 0) * (row[(index[k] ?? 0) * channels + c] ?? 0);
      }
      target[x * channels + c] = sum;
    }
  }
}

/** One target row as the weighted sum of rows of `source`. */
function mixRows(source: Float32Array, target: Float32Array, taps: AxisTaps, y: number): void {
  const length = target.length;
  for (let k = y * taps.count; k < (y + 1) * taps.count; k++) {
    const weight = taps.weight[k] ?? 0;
    if (weight === 0) continue;
    const offset = (taps.index[k] ?? 0) * length;
    for (let i = 0; i < length; i++) target[i] = (target[i] ?? 0) + weight * (source[offset + i] ?? 0);
  }
}

/** Resizes every item of the batch. Raises RuntimeError for empty sizes and for results that don't fit into memory. */
export async function interpolate(
  source: Tensor,
  width: number,
  height: number,
  mode: InterpolationMode,
): Promise<Tensor> {
  const result = newTensor({ ...source, width, height });
  // Only "area" takes a size of nothing; the saver then fails.
  if (mode === 'area' && result.data.length === 0) return result;
  requirePixels(source, width, height);
  const horizontal = tapsOf[mode](source.width, width);
  const vertical = tapsOf[mode](source.height, height);
  const narrow = newTensor({ ...source, batch: 1, width }).data;
  const channels = source.channels;
  const targetLength = width * channels;
  const pacer = new Pacer();
  for (let b = 0; b < source.batch; b++) {
    const from = itemData(source, b);
    const into = itemData(result, b);
    for (let y = 0; y < source.height; y++) {
      const row = from.subarray(y * source.width * channels, (y + 1) * source.width * channels);
      resampleRow(row, narrow.subarray(y * targetLength, (y + 1) * targetLength), horizontal, channels);
      if (pacer.due()) await pacer.turn();
    }
    for (let y = 0; y < height; y++) {
      mixRows(narrow, into.subarray(y * targetLength, (y + 1) * targetLength), vertical, y);
      if (pacer.due()) await pacer.turn();
    }
  }
  return result;
}
