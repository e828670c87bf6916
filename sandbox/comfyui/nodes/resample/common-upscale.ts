// The one resize behind every scaling node: optional centre crop to the target's aspect ratio, then the filter.
// Neighbours: interpolate.ts (torch's filters), lanczos.ts (Pillow's).
import { NodeError } from '../../node-definition.ts';
import { copyRegion } from '../copy-region.ts';
import { pyRound, type Tensor } from '../tensor.ts';
import { type InterpolationMode, interpolate } from './interpolate.ts';
import { lanczos } from './lanczos.ts';

const interpolationModes: ReadonlySet<string> = new Set(['nearest-exact', 'bilinear', 'area', 'bicubic']);

function isInterpolationMode(name: string): name is InterpolationMode {
  return interpolationModes.has(name);
}

/** Cuts left and right, or top and bottom, so that the picture has the target's aspect ratio. */
function cropToAspect(source: Tensor, width: number, height: number): Tensor {
  const oldAspect = source.width / source.height;
  const newAspect = width / height;
  let x = 0;
  let y = 0;
  if (oldAspect > newAspect) x = pyRound((source.width - source.width * (newAspect / oldAspect)) / 2);
  else if (oldAspect < newAspect) y = pyRound((source.height - source.height * (oldAspect / newAspect)) / 2);
  if (x === 0 && y === 0) return source;
  return copyRegion(source, { x, y, width: source.width - 2 * x, height: source.height - 2 * y });
}

/** Resizes by the name a workflow uses. `crop` is `disabled` or `center`. Sizes are pixels. */
export async function commonUpscale(
  source: Tensor,
  width: number,
  height: number,
  method: string,
  crop: string,
): Promise<Tensor> {
  const cut = crop === 'center' ? cropToAspect(source, width, height) : source;
  if (method === 'lanczos') return lanczos(cut, width, height);
  if (isInterpolationMode(method)) return interpolate(cut, width, height, method);
  throw new NodeError('NotImplementedError', `Got ${method}, which is no interpolation mode of this server`);
}
