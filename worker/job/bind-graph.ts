/** Makes the graph that is posted out of a plan: staged names, the job's output folder, and a mark that is new for every run. Pure. */
import { posix } from 'node:path';
import type { Workflow } from '../../shared/index.ts';
import type { GraphPlan } from './plan-graph.ts';

/** What is different in every run. */
export interface RunBinding {
  /** Loader values by the caller's file names. */
  readonly staged: ReadonlyMap<string, string>;
  /** Output folder of the run. */
  readonly folder: string;
}

/**
 * Input that no class declares. ComfyUI ignores it when it checks and runs a node, but it is part of the node's cache key: without it
 * a second run of the same graph would answer with the files of the first, which are wiped (ComfyUI protocol notes §3.2.4).
 * Checked against 0.3.64 with V1 and V3 nodes.
 */
export const runMark = 'comfy_runpod_run';

/** The graph of one run. */
export function bindGraph(plan: GraphPlan, binding: RunBinding): Workflow {
  const bound: Workflow = Object.fromEntries(
    Object.entries(plan.workflow).map(([id, node]) => [id, { ...node, inputs: { ...node.inputs } }]),
  );
  const set = (node: string, input: string, value: unknown) => {
    const target = bound[node];
    if (target) target.inputs[input] = value;
  };
  for (const { node, input, file } of plan.fileUses) set(node, input, binding.staged.get(file) ?? file);
  for (const { node, input, prefix } of plan.prefixes) set(node, input, prefixInFolder(binding.folder, prefix));
  for (const node of plan.unprefixed) set(node, runMark, binding.folder);
  return bound;
}

/** A saver's prefix inside the job's folder. One that names no file gets ComfyUI's usual name, or files would land beside the folder. */
export function prefixInFolder(folder: string, prefix: string): string {
  const normal = posix.normalize(prefix === '' ? '.' : prefix).replace(/\/+$/, '');
  return `${folder}/${normal === '.' || normal === '' ? 'ComfyUI' : normal}`;
}
