// The blur behind ImageBlur and ImageSharpen. ComfyUI convolves with a square kernel; that kernel is the product of two
// lines, so two passes give the same picture for a fraction of the work.
// Invariant: the kernel spans -1..1 whatever its radius, so `sigma` is a fraction of the radius, not a number of pixels.
import { NodeError } from '../node-definition.ts';
import { Pacer } from './pacer.ts';
import { itemData, newTensor, type Tensor } from './tensor.ts';

/** One line of the kernel; its sum is 1. */
function kernelLine(radius: number, sigma: number): Float64Array {
  const size = radius * 2 + 1;
  const line = Float64Array.from({ length: size }, (_, i) => {
    const position = i / radius - 1;
    return Math.exp(-(position * position) / (2 * sigma * sigma));
  });
  const total = line.reduce((sum, weight) => sum + weight, 0);
  return line.map((weight) => weight / total);
}

/** Mirrors a position that lies outside, the border itself not doubled. */
function reflect(position: number, size: number): number {
  if (position < 0) return -position;
  return position >= size ? 2 * size - 2 - position : position;
}

/** Raises torch's error where a mirrored border would need more picture than there is. */
function requireRoomToReflect(image: Tensor, radius: number): void {
  const sizes = [
    { size: image.width, dimension: 3, argument: 4 },
    { size: image.height, dimension: 2, argument: 6 },
  ];
  const tooSmall = sizes.find(({ size }) => radius >= size);
  if (tooSmall === undefined) return;
  const shape = [image.batch, image.channels, image.height, image.width].join(', ');
  throw new NodeError(
    'RuntimeError',
    `Argument #${tooSmall.argument}: Padding size should be less than the corresponding input dimension, but got: padding (${radius}, ${radius}) at dimension ${tooSmall.dimension} of input [${shape}]`,
  );
}

/** A row with its mirrored borders. */
function padRow(row: Float32Array, padded: Float32Array, radius: number, channels: number): void {
  const width = row.length / channels;
  padded.set(row, radius * channels);
  for (let k = 1; k <= radius; k++) {
    const left = (radius - k) * channels;
    const right = (radius + width - 1 + k) * channels;
    for (let c = 0; c < channels; c++) {
      padded[left + c] = row[reflect(-k, width) * channels + c] ?? 0;
      padded[right + c] = row[reflect(width - 1 + k, width) * channels + c] ?? 0;
    }
  }
}

/** Adds `weight` times two stretches of numbers, those at equal distance from the middle of the kernel. */
function addPair(sums: Float64Array, source: Float32Array, first: number, second: number, weight: number): void {
  for (let i = 0; i < sums.length; i++) {
    sums[i] = (sums[i] ?? 0) + weight * ((source[first + i] ?? 0) + (source[second + i] ?? 0));
  }
}

/** The same for four pairs at once, which reads and writes the sums a quarter as often. */
function addFourPairs(sums: Float64Array, source: Float32Array, places: Int32Array, weights: Float64Array): void {
  const [a0 = 0, b0 = 0, a1 = 0, b1 = 0, a2 = 0, b2 = 0, a3 = 0, b3 = 0] = places;
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = weights;
  for (let i = 0; i < sums.length; i++) {
    sums[i] =
      (sums[i] ?? 0) +
      w0 * ((source[a0 + i] ?? 0) + (source[b0 + i] ?? 0)) +
      w1 * ((source[a1 + i] ?? 0) + (source[b1 + i] ?? 0)) +
      w2 * ((source[a2 + i] ?? 0) + (source[b2 + i] ?? 0)) +
      w3 * ((source[a3 + i] ?? 0) + (source[b3 + i] ?? 0));
  }
}

/** One line of the blurred picture: `place(k)` is where the numbers for kernel position k begin. */
function blurLine(source: Float32Array, sums: Float64Array, kernel: Float64Array, place: (k: number) => number): void {
  const radius = (kernel.length - 1) / 2;
  sums.fill(0);
  // The middle is its own partner, so it counts half.
  addPair(sums, source, place(0), place(0), (kernel[radius] ?? 0) / 2);
  let k = 1;
  for (; k + 3 <= radius; k += 4) {
    const places = Int32Array.from({ length: 8 }, (_, i) => place((k + (i >> 1)) * (i % 2 === 0 ? -1 : 1)));
    addFourPairs(sums, source, places, kernel.subarray(radius + k, radius + k + 4));
  }
  for (; k <= radius; k++) addPair(sums, source, place(-k), place(k), kernel[radius + k] ?? 0);
}

/** Blurs every item. `radius` is in pixels. Raises RuntimeError for pictures not bigger than the radius. */
export async function gaussianBlur(image: Tensor, radius: number, sigma: number): Promise<Tensor> {
  requireRoomToReflect(image, radius);
  const result = newTensor(image);
  const kernel = kernelLine(radius, sigma);
  const length = image.width * image.channels;
  const rows = new Float32Array(image.height * length);
  const padded = new Float32Array(length + 2 * radius * image.channels);
  const sums = new Float64Array(length);
  const pacer = new Pacer();
  for (let b = 0; b < image.batch; b++) {
    const input = itemData(image, b);
    const output = itemData(result, b);
    for (let y = 0; y < image.height; y++) {
      padRow(input.subarray(y * length, (y + 1) * length), padded, radius, image.channels);
      blurLine(padded, sums, kernel, (k) => (radius + k) * image.channels);
      rows.set(sums, y * length);
      if (pacer.due()) await pacer.turn();
    }
    for (let y = 0; y < image.height; y++) {
      blurLine(rows, sums, kernel, (k) => reflect(y + k, image.height) * length);
      output.set(sums, y * length);
      if (pacer.due()) await pacer.turn();
    }
  }
  return result;
}
