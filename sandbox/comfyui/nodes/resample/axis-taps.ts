// Which source pixels a target pixel is made of, along one axis, for the filters of torch's `interpolate` without antialias
// and without aligned corners. Neighbours: interpolate.ts applies them. All arithmetic is float32, as torch computes it,
// so that ties fall to the same side.

/** `count` taps per target pixel: source index and weight, target pixel by target pixel. */
export interface AxisTaps {
  readonly count: number;
  readonly index: Int32Array;
  readonly weight: Float32Array;
}

/** The cubic kernel's parameter in torch. */
const CUBIC_A = -0.75;

function newTaps(size: number, count: number): AxisTaps {
  return { count, index: new Int32Array(size * count), weight: new Float32Array(size * count) };
}

function ratio(from: number, to: number): number {
  return Math.fround(from / to);
}

/** `nearest-exact`: the pixel under the target pixel's centre. */
export function nearestTaps(from: number, to: number): AxisTaps {
  const taps = newTaps(to, 1);
  const scale = ratio(from, to);
  for (let i = 0; i < to; i++) {
    taps.index[i] = Math.min(Math.floor(Math.fround((i + 0.5) * scale)), from - 1);
    taps.weight[i] = 1;
  }
  return taps;
}

/** `bilinear`: the two neighbours of the target pixel's centre. */
export function linearTaps(from: number, to: number): AxisTaps {
  const taps = newTaps(to, 2);
  const scale = ratio(from, to);
  for (let i = 0; i < to; i++) {
    const position = from === to ? i : Math.max(0, Math.fround(Math.fround(scale * (i + 0.5)) - 0.5));
    const left = Math.min(Math.floor(position), from - 1);
    const fraction = Math.fround(position - left);
    taps.index.set([left, Math.min(left + 1, from - 1)], i * 2);
    taps.weight.set([1 - fraction, fraction], i * 2);
  }
  return taps;
}

function cubicInner(x: number): number {
  return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1;
}

function cubicOuter(x: number): number {
  return ((CUBIC_A * x - 5 * CUBIC_A) * x + 8 * CUBIC_A) * x - 4 * CUBIC_A;
}

/** `bicubic`: four neighbours, repeated at the border; weights may be negative, so results can leave 0..1. */
export function cubicTaps(from: number, to: number): AxisTaps {
  const taps = newTaps(to, 4);
  const scale = ratio(from, to);
  for (let i = 0; i < to; i++) {
    const position = from === to ? i : Math.fround(Math.fround(scale * (i + 0.5)) - 0.5);
    const left = Math.floor(position);
    const t = Math.fround(position - left);
    for (let k = 0; k < 4; k++) taps.index[i * 4 + k] = Math.min(Math.max(left - 1 + k, 0), from - 1);
    taps.weight.set([cubicOuter(t + 1), cubicInner(t), cubicInner(1 - t), cubicOuter(2 - t)], i * 4);
  }
  return taps;
}

/** `area`: the mean of every source pixel the target pixel touches, each counted whole. */
export function areaTaps(from: number, to: number): AxisTaps {
  const start = (i: number): number => Math.floor((i * from) / to);
  const end = (i: number): number => Math.ceil(((i + 1) * from) / to);
  let count = 1;
  for (let i = 0; i < to; i++) count = Math.max(count, end(i) - start(i));
  const taps = newTaps(to, count);
  for (let i = 0; i < to; i++) {
    const length = end(i) - start(i);
    for (let k = 0; k < count; k++) {
      taps.index[i * count + k] = Math.min(start(i) + k, from - 1);
      taps.weight[i * count + k] = k < length ? 1 / length : 0;
    }
  }
  return taps;
}
