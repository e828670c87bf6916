// Reading a node's inputs. The engine has checked and converted constants; what a linked node hands over can still be of
// another kind, which a Python node would notice as a TypeError or AttributeError.
import { type Constants, NodeError } from '../node-definition.ts';
import type { Tensor } from './tensor.ts';

function wrong(name: string, expected: string): NodeError {
  return new NodeError('TypeError', `${name} is not ${expected}`);
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'data' in value && value.data instanceof Float32Array;
}

/** An `IMAGE` input. */
export function imageInput(inputs: Constants, name: string): Tensor {
  const value = inputs[name];
  if (!isTensor(value) || value.kind !== 'IMAGE') throw wrong(name, 'an IMAGE');
  return value;
}

/** A `MASK` input. */
export function maskInput(inputs: Constants, name: string): Tensor {
  const value = inputs[name];
  if (!isTensor(value) || value.kind !== 'MASK') throw wrong(name, 'a MASK');
  return value;
}

/** An `INT` or `FLOAT` input as a plain number. */
export function numberInput(inputs: Constants, name: string): number {
  const value = inputs[name];
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  throw wrong(name, 'a number');
}

/** A `STRING` or combo input. */
export function textInput(inputs: Constants, name: string): string {
  const value = inputs[name];
  if (typeof value !== 'string') throw wrong(name, 'a string');
  return value;
}

/** A `BOOLEAN` input. */
export function flagInput(inputs: Constants, name: string): boolean {
  const value = inputs[name];
  if (typeof value !== 'boolean') throw wrong(name, 'a boolean');
  return value;
}
