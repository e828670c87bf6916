// The inputs of one node as lists, gathered right before it runs (ComfyUI protocol notes §3.8).
import type { SlotValues } from '../cache/cache-set.ts';
import { type NodeDeclaration, NodeError } from '../node-definition.ts';
import { findInput, hiddenInputs, isV3 } from '../node-registry.ts';
import { formatTensor } from '../nodes/format-tensor.ts';
import { isLatent } from '../nodes/latent.ts';
import type { Tensor } from '../nodes/tensor.ts';
import { encodePyJson, type PyValue, toPlain } from '../python-json.ts';
import { pyRepr } from '../python-repr.ts';
import type { GraphNode } from './dynamic-prompt.ts';
import { asLink } from './links.ts';

/** Every input as the list of its values; missing ones hold one `undefined` and are named in `missing`. */
export interface GatheredInputs {
  readonly lists: ReadonlyMap<string, readonly unknown[]>;
  readonly missing: ReadonlySet<string>;
}

/** The values of a slot; negative ones count from the end, as Python's indices do. */
export function slotOf(slots: SlotValues | undefined, slot: number): readonly unknown[] | undefined {
  return slots?.[slot < 0 ? slots.length + slot : slot];
}

/** Collects constants and the cached outputs links point to. */
export function gatherInputs(
  node: GraphNode,
  declaration: NodeDeclaration,
  outputsOf: (id: string) => SlotValues | undefined,
): GatheredInputs {
  const lists = new Map<string, readonly unknown[]>();
  const missing = new Set<string>();
  for (const [name, value] of node.inputs) {
    const declared = findInput(declaration, name);
    const link = asLink(value);
    if (link !== undefined && declared?.options['rawLink'] !== true) {
      const found = slotOf(outputsOf(link[0]), link[1]);
      if (found === undefined) missing.add(name);
      lists.set(name, found ?? [undefined]);
    } else if (declared !== undefined) {
      lists.set(name, [toPlain(value as PyValue)]);
    }
  }
  return { lists, missing };
}

/** One call's inputs: a list shorter than the longest repeats its last value. */
export function sliceInputs(lists: ReadonlyMap<string, readonly unknown[]>, index: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, list] of lists) {
    if (list.length === 0) throw new NodeError('IndexError', 'list index out of range');
    out[name] = list[Math.min(index, list.length - 1)];
  }
  return out;
}

function describe(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (isTensor(value)) return tensorText(value);
  if (typeof value === 'object' && isLatent(value)) return `{'samples': ${formatTensor(value)}}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isData = Array.isArray(value) || prototype === Object.prototype;
  // Data with typed arrays inside is not what Python would print either, and it may be huge.
  if (isData && !holdsBytes(value)) return pyRepr(value);
  return '<object>';
}

function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'kind' in value && 'data' in value && 'channels' in value;
}

function tensorText(tensor: Tensor): string {
  const sizes = [tensor.batch, tensor.height, tensor.width];
  return formatTensor({ shape: tensor.kind === 'MASK' ? sizes : [...sizes, tensor.channels], data: tensor.data });
}

function holdsBytes(value: unknown): boolean {
  if (ArrayBuffer.isView(value)) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsBytes);
}

/** `current_inputs` of an error: scalars verbatim, anything else as text; V1 classes list their hidden inputs too (§2.4). */
export function describeInputs(
  gathered: GatheredInputs,
  declaration: NodeDeclaration,
  hidden: { readonly prompt: PyValue; readonly extraPngInfo: PyValue; readonly nodeId: string },
): Map<string, unknown[]> {
  const out = new Map<string, unknown[]>();
  for (const [name, list] of gathered.lists) out.set(name, list.map(describe));
  if (isV3(declaration)) return out;
  for (const [name, type] of hiddenInputs(declaration)) {
    if (type === 'PROMPT') out.set(name, [pyRepr(hidden.prompt)]);
    else if (type === 'EXTRA_PNGINFO')
      out.set(name, [hidden.extraPngInfo === null ? null : pyRepr(hidden.extraPngInfo)]);
    else if (type === 'UNIQUE_ID') out.set(name, [hidden.nodeId]);
  }
  return out;
}

/** `extra_pnginfo` of a request; null when there is none. */
export function extraPngInfo(extraData: PyValue): PyValue {
  return extraData instanceof Map ? (extraData.get('extra_pnginfo') ?? null) : null;
}

/** Its keys with their values as json.dumps writes them; what savers embed. */
export function extraPngInfoJson(extraData: PyValue): ReadonlyMap<string, string> {
  const info = extraPngInfo(extraData);
  const out = new Map<string, string>();
  if (info instanceof Map) for (const [key, value] of info) out.set(key, encodePyJson(value));
  return out;
}
