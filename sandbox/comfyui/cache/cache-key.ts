// Cache keys (ComfyUI protocol notes §3.2.1): a node's class, marker and constants, and the same for all its ancestors.
// Invariants: 1. node ids do not enter the key, unless the class asks for them; links are replaced by ancestor positions.
// 2. Python's equality rules: 1, 1.0 and true are one value; NaN equals nothing, so such a node is never found again.

import type { DynamicPrompt } from '../execution/dynamic-prompt.ts';
import { asLink } from '../execution/links.ts';
import { hiddenInputs, type NodeRegistry } from '../node-registry.ts';
import { keyError } from '../python-error.ts';
import { PyFloat } from '../python-number.ts';
import type { ChangeMarkers } from './change-markers.ts';

let unrepeatable = 0;

function unequal(): string {
  unrepeatable += 1;
  return `nan#${unrepeatable}`;
}

function hashable(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' || value instanceof PyFloat) {
    const number = value instanceof PyFloat ? value.value : value;
    return Number.isNaN(number) ? unequal() : String(number === 0 ? 0 : number);
  }
  if (Array.isArray(value)) return `[${value.map(hashable).join(',')}]`;
  if (value instanceof Map || Object.getPrototypeOf(value) === Object.prototype) {
    const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${hashable(item)}`).join(',')}}`;
  }
  return unequal();
}

function sortedInputs(inputs: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...inputs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** All ancestors in an order that depends only on how they are wired. */
function orderedAncestry(prompt: DynamicPrompt, id: string, order: Map<string, number>): void {
  if (!prompt.has(id)) return;
  for (const [, value] of sortedInputs(prompt.get(id).inputs)) {
    const link = asLink(value);
    if (link === undefined || order.has(link[0])) continue;
    order.set(link[0], order.size);
    orderedAncestry(prompt, link[0], order);
  }
}

/** What key computation reads. */
export interface KeyContext {
  readonly prompt: DynamicPrompt;
  readonly markers: ChangeMarkers;
  readonly registry: NodeRegistry;
}

async function ownSignature(context: KeyContext, id: string, order: ReadonlyMap<string, number>): Promise<string> {
  if (!context.prompt.has(id)) return unequal();
  const node = context.prompt.get(id);
  const definition = context.registry.get(node.classType);
  if (definition === undefined) throw keyError(node.classType);
  const parts = [JSON.stringify(node.classType), hashable(await context.markers.get(id))];
  const declaration = await context.registry.declare(definition);
  const wantsId = definition.notIdempotent === true || [...hiddenInputs(declaration).values()].includes('UNIQUE_ID');
  if (wantsId) parts.push(JSON.stringify(id));
  for (const [name, value] of sortedInputs(node.inputs)) {
    const link = asLink(value);
    const text = link === undefined ? hashable(value) : `ancestor ${order.get(link[0])} ${link[1]}`;
    parts.push(`${JSON.stringify(name)}=${text}`);
  }
  return parts.join('|');
}

/** The key of one node. Rejects for nodes the engine cannot read (which kills the worker, §6.6). */
export async function cacheKey(context: KeyContext, id: string): Promise<string> {
  const order = new Map<string, number>();
  orderedAncestry(context.prompt, id, order);
  const parts = [await ownSignature(context, id, order)];
  for (const ancestor of order.keys()) parts.push(await ownSignature(context, ancestor, order));
  return parts.join('\n');
}
