// ImageCompositeMasked: one picture laid over another through a mask. Neighbours: resample/interpolate.ts.
import { type NodeDefinition, NodeError } from '../node-definition.ts';
import { maskDeclarations } from './declarations/mask.ts';
import { flagInput, imageInput, maskInput, numberInput } from './inputs.ts';
import { Pacer } from './pacer.ts';
import { interpolate } from './resample/interpolate.ts';
import { itemData, newTensor, type Tensor } from './tensor.ts';

/** Raises torch's error for channels that can't be matched; a source with more channels than needed is cut. */
function requireMatchingChannels(destination: Tensor, source: Tensor): void {
  if (source.channels >= destination.channels) return;
  throw new NodeError(
    'RuntimeError',
    `The size of tensor a (${source.channels}) must match the size of tensor b (${destination.channels + 1}) at non-singleton dimension 1`,
  );
}

/** Item of a tensor that is repeated until it has as many items as asked for. */
function repeatedItem(tensor: Tensor, index: number): Float32Array {
  return itemData(tensor, index % tensor.batch);
}

interface Layer {
  readonly source: Tensor;
  readonly mask: Tensor | undefined;
  readonly x: number;
  readonly y: number;
}

/** Mixes one item of the layer into one item of the result; what lies outside the result is dropped. */
async function mixItem(result: Tensor, layer: Layer, index: number, pacer: Pacer): Promise<void> {
  const { source, mask, x, y } = layer;
  const over = repeatedItem(source, index);
  const opacity = mask === undefined ? undefined : repeatedItem(mask, index);
  const under = itemData(result, index);
  const columns = Math.min(source.width, result.width - x);
  const rows = Math.min(source.height, result.height - y);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const keep = opacity?.[row * source.width + column] ?? 1;
      const rest = Math.fround(1 - keep);
      const from = (row * source.width + column) * source.channels;
      const into = ((y + row) * result.width + x + column) * result.channels;
      for (let c = 0; c < result.channels; c++) {
        // Each product is rounded to float32 on its own, as torch does; otherwise bytes come out one lower here and there.
        under[into + c] = Math.fround(keep * (over[from + c] ?? 0)) + Math.fround(rest * (under[into + c] ?? 0));
      }
    }
    if (pacer.due()) await pacer.turn();
  }
}

/** `ImageCompositeMasked`. Source and mask are repeated to the destination's number of pictures; the mask takes the
 * source's size. */
export const imageCompositeMaskedNode: NodeDefinition = {
  classType: 'ImageCompositeMasked',
  declaration: maskDeclarations.ImageCompositeMasked,
  execute: async (inputs) => {
    const destination = imageInput(inputs, 'destination');
    const given = imageInput(inputs, 'source');
    requireMatchingChannels(destination, given);
    const resize = flagInput(inputs, 'resize_source');
    const source = resize ? await interpolate(given, destination.width, destination.height, 'bilinear') : given;
    const hasMask = inputs['mask'] !== undefined && inputs['mask'] !== null;
    const mask = hasMask
      ? await interpolate(maskInput(inputs, 'mask'), source.width, source.height, 'bilinear')
      : undefined;
    const x = Math.min(numberInput(inputs, 'x'), destination.width);
    const y = Math.min(numberInput(inputs, 'y'), destination.height);
    const result = newTensor(destination);
    result.data.set(destination.data);
    const pacer = new Pacer();
    for (let index = 0; index < result.batch; index++) await mixItem(result, { source, mask, x, y }, index, pacer);
    return { outputs: [result] };
  },
};
