// PreviewAny: any value as text. Source: ComfyUI protocol notes §3.3 (`text`), observed answers of a real server.
import type { NodeDefinition } from '../node-definition.ts';
import { encodePyJson, type PyValue } from '../python-json.ts';
import { formatPyFloat, PyFloat } from '../python-number.ts';
import { loadAndSaveDeclarations } from './declarations/load-and-save.ts';
import { formatTensor } from './format-tensor.ts';
import { isLatent, type Latent } from './latent.ts';
import type { Tensor } from './tensor.ts';

function isTensor(value: object): value is Tensor {
  return 'kind' in value && (value.kind === 'IMAGE' || value.kind === 'MASK');
}

function formatImage(image: Tensor): string {
  const sizes = [image.batch, image.height, image.width];
  return formatTensor({ shape: image.kind === 'MASK' ? sizes : [...sizes, image.channels], data: image.data });
}

function formatLatent(latent: Latent): string {
  const type = latent.type === undefined ? '' : `, 'type': '${latent.type}'`;
  return `{'samples': ${formatTensor(latent)}${type}}`;
}

/** Plain JSON data as the Python server would hold it; undefined when something else is in it. */
function toPyValue(value: unknown): PyValue | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint' || value instanceof PyFloat) return value;
  if (typeof value === 'number') return Number.isInteger(value) ? value : new PyFloat(value);
  if (Array.isArray(value)) {
    const items = value.map(toPyValue);
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (typeof value !== 'object') return undefined;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const result = new Map<string, PyValue>();
  for (const [key, item] of entries) {
    const converted = toPyValue(item);
    if (converted === undefined || typeof key !== 'string') return undefined;
    result.set(key, converted);
  }
  return result;
}

/** The text the node shows for a value. */
function describe(value: unknown): string {
  if (value === undefined || value === null) return 'None';
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'number') return Number.isInteger(value) ? String(BigInt(value)) : formatPyFloat(value);
  if (value instanceof PyFloat) return formatPyFloat(value.value);
  if (typeof value !== 'object') return 'source exists, but could not be serialized.';
  if (isTensor(value)) return formatImage(value);
  if (isLatent(value)) return formatLatent(value);
  if ('kind' in value && value.kind === 'VAE') return '<comfy.sd.VAE object at 0x7f0000000000>';
  const plain = toPyValue(value);
  return plain === undefined ? 'source exists, but could not be serialized.' : encodePyJson(plain);
}

/** `PreviewAny`. */
export const previewAnyNode: NodeDefinition = {
  classType: 'PreviewAny',
  declaration: loadAndSaveDeclarations.PreviewAny,
  execute: async (inputs) => ({ outputs: [], ui: { text: [describe(inputs['source'])] } }),
};
