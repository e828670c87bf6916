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

function blurRow(row: Float32Array, target: Float64Array, kernel: Float64Array, channels: number): void {
  const radius = (kernel.length - 1) / 2;
  const width = row.length / channels;
  for (let x = 0; x < width; x++) {
    const inside = x >= radius && x < width - radius;
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let k = -radius; k <= radius; k++) {
        const from = inside ? x + k : reflect(x + k, width);
        sum += (kernel[k + radius] ?? 0) * (row[from * channels + c] ?? 0);
      }
      target[x * channels + c] = sum;
    }
  }
}

function blurColumns(source: Float64Array, height: number, y: number, kernel: Float64Array, sums: Float64Array): void {
  const radius = (kernel.length - 1) / 2;
  const length = sums.length;
  sums.fill(0);
  for (let k = -radius; k <= radius; k++) {
    const weight = kernel[k + radius] ?? 0;
    const offset = reflect(y + k, height) * length;
    for (let i = 0; i < length; i++) sums[i] = (sums[i] ?? 0) + weight * (source[offset + i] ?? 0);
  }
}

/** Blurs every item. `radius` is in pixels. Raises RuntimeError for pictures not bigger than the radius. */
export async function gaussianBlur(image: Tensor, radius: number, sigma: number): Promise<Tensor> {
  requireRoomToReflect(image, radius);
  const result = newTensor(image);
  const kernel = kernelLine(radius, sigma);
  const length = image.width * image.channels;
  const rows = new Float64Array(image.height * length);
  const sums = new Float64Array(length);
  const pacer = new Pacer();
  for (let b = 0; b < image.batch; b++) {
    const input = itemData(image, b);
    const output = itemData(result, b);
    for (let y = 0; y < image.height; y++) {
      const [start, end] = [y * length, (y + 1) * length];
      blurRow(input.subarray(start, end), rows.subarray(start, end), kernel, image.channels);
      if (pacer.due()) await pacer.turn();
    }
    for (let y = 0; y < image.height; y++) {
      blurColumns(rows, image.height, y, kernel, sums);
      output.set(sums, y * length);
      if (pacer.due()) await pacer.turn();
    }
  }
  return result;
}
