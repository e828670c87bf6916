/**
 * The workflow in ComfyUI's API format: what `POST /prompt` takes as `prompt`. Also tells it from the editor's save format.
 * Source: ComfyUI protocol notes §1.3.1 and §3.10.
 */
import * as z from 'zod';
import { limits } from './limits.ts';

/** One node of a workflow. `inputs` maps input names to constants or links `[sourceNodeId, outputSlot]`; missing `inputs` count as none. Unknown keys are dropped. */
export const apiNodeSchema = z.object({
  class_type: z.string().min(1),
  inputs: z.record(z.string(), z.unknown()).default({}),
  _meta: z.looseObject({ title: z.string().optional() }).optional(),
});

/** A whole workflow: node id to node. */
export const workflowSchema = z
  .record(z.string().min(1).max(200), apiNodeSchema)
  .refine((graph) => Object.keys(graph).length > 0, 'the workflow has no nodes')
  .refine((graph) => Object.keys(graph).length <= limits.workflowNodes, `more than ${limits.workflowNodes} nodes`);

export type ApiNode = z.output<typeof apiNodeSchema>;
export type Workflow = z.output<typeof workflowSchema>;
/** A link to an output slot of another node. */
export type Link = readonly [nodeId: string, slot: number];

/** What a parsed JSON document looks like. */
export type WorkflowFormat = 'api' | 'editor' | 'unknown';

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True when an input's value is a link rather than a constant. A constant array travels as `{"__value__": [...]}` (§1.3.5). */
export function isLink(value: unknown): value is Link {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && typeof value[1] === 'number';
}

/** Tells API format (values with `class_type`) from the editor's (`nodes` and `links` arrays). */
export function detectWorkflowFormat(document: unknown): WorkflowFormat {
  if (!isObject(document)) return 'unknown';
  if (Array.isArray(document['nodes']) && (Array.isArray(document['links']) || 'version' in document)) return 'editor';
  const nodes = Object.values(document);
  return nodes.length > 0 && nodes.some((node) => isObject(node) && 'class_type' in node) ? 'api' : 'unknown';
}

/** Sorts node ids as ComfyUI's users read them: numbers as numbers (2 before 10), then the rest as text. Subgraph ids such as `12:3` sort part by part. */
export function compareNodeIds(a: string, b: string): number {
  const left = a.split(':');
  const right = b.split(':');
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const l = left[i];
    const r = right[i];
    if (l === undefined) return -1;
    if (r === undefined) return 1;
    const bothNumbers = /^\d+$/.test(l) && /^\d+$/.test(r);
    const order = bothNumbers ? Number(l) - Number(r) : l < r ? -1 : l > r ? 1 : 0;
    if (order !== 0) return order;
  }
  return 0;
}

/** Title of a node for people: the one given in the editor, else the class. */
export function nodeTitle(node: ApiNode): string {
  return node._meta?.title ?? node.class_type;
}
