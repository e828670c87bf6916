// Pillow's LANCZOS resize on bytes: antialiased, with fixed-point weights and rounding to bytes between the two passes.
// Neighbours: common-upscale.ts. Colours of pictures with alpha are weighted by alpha, as Pillow does on its own.
import { NodeError } from '../../node-definition.ts';
import { Pacer } from '../pacer.ts';
import { bytesToFloats, itemLength, itemToBytes, newTensor, type Tensor } from '../tensor.ts';

/** Half the width of the filter in source pixels. */
const SUPPORT = 3;
/** Fixed-point one: Pillow keeps 22 bits behind the point. */
const ONE = 2 ** 22;

interface FixedTaps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly size: number;
  readonly weight: Float64Array;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function lanczosFilter(x: number): number {
  return x >= -SUPPORT && x < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0;
}

/** The weights of every target pixel along one axis. */
function fixedTaps(from: number, to: number): FixedTaps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT * stretch;
  const size = Math.ceil(support) * 2 + 1;
  const taps = { first: new Int32Array(to), count: new Int32Array(to), size, weight: new Float64Array(to * size) };
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - first;
    const raw = Array.from({ length: count }, (_, k) => lanczosFilter((k + first - centre + 0.5) / stretch));
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    taps.first[i] = first;
    taps.count[i] = count;
    for (let k = 0; k < count; k++) {
      const exact = ((raw[k] ?? 0) / (total === 0 ? 1 : total)) * ONE;
      taps.weight[i * size + k] = Math.trunc(exact + (exact < 0 ? -0.5 : 0.5));
    }
  }
  return taps;
}

function clipByte(fixed: number): number {
  const value = Math.floor((fixed + ONE / 2) / ONE);
  return Math.max(0, Math.min(value, 255));
}

/** Every row made narrower or wider. */
async function horizontalPass(
  source: Uint8Array,
  size: { readonly from: number; readonly to: number; readonly rows: number; readonly channels: number },
  taps: FixedTaps,
  pacer: Pacer,
): Promise<Uint8Array> {
  const { from, to, rows, channels } = size;
  const target = new Uint8Array(rows * to * channels);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < to; x++) {
      const base = x * taps.size;
      const count = taps.count[x] ?? 0;
      const start = (y * from + (taps.first[x] ?? 0)) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < count; k++) sum += (taps.weight[base + k] ?? 0) * (source[start + k * channels + c] ?? 0);
        target[(y * to + x) * channels + c] = clipByte(sum);
      }
    }
    if (pacer.due()) await pacer.turn();
  }
  return target;
}

function premultiply(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i += 4) {
    const alpha = bytes[i + 3] ?? 0;
    for (let c = i; c < i + 3; c++) {
      const product = (bytes[c] ?? 0) * alpha + 128;
      bytes[c] = ((product >> 8) + product) >> 8;
    }
  }
}

function unpremultiply(bytes: Uint8Array): void {
  for (let i = 0; i < bytes.length; i += 4) {
    const alpha = bytes[i + 3] ?? 0;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = i; c < i + 3; c++) bytes[c] = Math.min(255, Math.trunc((255 * (bytes[c] ?? 0)) / alpha));
  }
}

/** Every column made shorter or longer; walked row by row so that memory is read in order. */
async function verticalPass(
  source: Uint8Array,
  width: number,
  height: number,
  channels: number,
  taps: FixedTaps,
  pacer: Pacer,
): Promise<Uint8Array> {
  const length = width * channels;
  const target = new Uint8Array(height * length);
  const sums = new Float64Array(length);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let k = 0; k < (taps.count[y] ?? 0); k++) {
      const weight = taps.weight[y * taps.size + k] ?? 0;
      const offset = ((taps.first[y] ?? 0) + k) * length;
      for (let i = 0; i < length; i++) sums[i] = (sums[i] ?? 0) + weight * (source[offset + i] ?? 0);
    }
    for (let i = 0; i < length; i++) target[y * length + i] = clipByte(sums[i] ?? 0);
    if (pacer.due()) await pacer.turn();
  }
  return target;
}

/** Resizes every item of the batch. Raises what Pillow raises for sizes without pixels and for one-channel pictures. */
export async function lanczos(source: Tensor, width: number, height: number): Promise<Tensor> {
  if (width <= 0 || height <= 0) throw new NodeError('ValueError', 'height and width must be > 0');
  if (source.channels === 1) throw new NodeError('TypeError', 'Cannot handle this data type: (1, 1, 1), |u1');
  const result = newTensor({ ...source, width, height });
  const channels = source.channels;
  const horizontal = source.width === width ? undefined : fixedTaps(source.width, width);
  const vertical = source.height === height ? undefined : fixedTaps(source.height, height);
  const pacer = new Pacer();
  for (let b = 0; b < source.batch; b++) {
    let bytes = itemToBytes(source, b);
    const weighted = channels === 4 && (horizontal !== undefined || vertical !== undefined);
    if (weighted) premultiply(bytes);
    if (horizontal !== undefined) {
      const size = { from: source.width, to: width, rows: source.height, channels };
      bytes = await horizontalPass(bytes, size, horizontal, pacer);
    }
    if (vertical !== undefined) bytes = await verticalPass(bytes, width, height, channels, vertical, pacer);
    if (weighted) unpremultiply(bytes);
    bytesToFloats(bytes, result.data, b * itemLength(result));
  }
  return result;
}
