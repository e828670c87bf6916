// Pictures and masks as the nodes pass them on: float32, channels last, 0..1 by convention and not by force.
// Neighbours: inputs.ts reads them from a node's inputs, decode-image.ts and encode-picture.ts turn files into them and back.
// Invariants: 1. a tensor is never changed after the node that made it returned (results are cached and shared);
// 2. data.length = batch * height * width * channels; 3. a mask is a tensor with one channel and kind 'MASK'.
import { NodeError } from '../node-definition.ts';

/** A batch of pictures (`IMAGE`, 1 to 4 channels) or of masks (`MASK`, one channel), laid out batch, row, column, channel. */
export interface Tensor {
  readonly kind: 'IMAGE' | 'MASK';
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly data: Float32Array;
}

/** The size of a tensor, in pixels and items. */
export interface TensorShape {
  readonly kind: Tensor['kind'];
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** The most numbers one tensor may hold (1 GiB of float32): the memory of the imagined machine. */
export const MAX_TENSOR_ELEMENTS = 2 ** 28;

/** Raises what torch raises when the machine has no room for so many numbers. */
export function requireMemory(elements: number): void {
  if (elements <= MAX_TENSOR_ELEMENTS) return;
  throw new NodeError(
    'RuntimeError',
    `[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate ${elements * 4} bytes. Error code 12 (Cannot allocate memory)`,
  );
}

/** Makes a tensor of zeros, if there is memory for it. */
export function newTensor(shape: TensorShape): Tensor {
  const elements = shape.batch * shape.height * shape.width * shape.channels;
  requireMemory(elements);
  return { ...shapeOf(shape), data: new Float32Array(elements) };
}

/** Another size or kind around the same rules: copies a shape without its data. */
export function shapeOf(tensor: TensorShape): TensorShape {
  const { kind, batch, height, width, channels } = tensor;
  return { kind, batch, height, width, channels };
}

/** Numbers in one item of the batch. */
export function itemLength(tensor: TensorShape): number {
  return tensor.height * tensor.width * tensor.channels;
}

/** One item's numbers, without copying. */
export function itemData(tensor: Tensor, index: number): Float32Array {
  const length = itemLength(tensor);
  return tensor.data.subarray(index * length, (index + 1) * length);
}

/** The bytes a saver writes for one item: times 255, clipped, fraction cut off, as numpy's `astype(uint8)` does. NaN is 0. */
export function itemToBytes(tensor: Tensor, index: number): Uint8Array {
  const source = itemData(tensor, index);
  const bytes = new Uint8Array(source.length);
  for (let i = 0; i < source.length; i++) {
    // The product is rounded to float32 first: 255 * (n / 255) must come out as n or n - 1 exactly where numpy's does.
    const scaled = Math.fround(255 * (source[i] ?? 0));
    bytes[i] = Math.max(0, Math.min(scaled, 255));
  }
  return bytes;
}

/** Writes bytes as numbers 0..1 into `target` from `offset` on. */
export function bytesToFloats(bytes: Uint8Array, target: Float32Array, offset: number): void {
  for (let i = 0; i < bytes.length; i++) target[offset + i] = (bytes[i] ?? 0) / 255;
}

/** Python's `round`: to the nearest integer, halves to the even one. */
export function pyRound(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
