// Nodes that return a graph (ComfyUI protocol notes §2.6 "expansion", §3.8): the new nodes join the run, the parent waits for
// them and then takes its outputs from them without being announced again.
import type { SlotValues } from '../cache/cache-set.ts';
import { ExecutionBlocker, type NodeDeclaration, NodeError } from '../node-definition.ts';
import { keyError } from '../python-error.ts';
import type { PyValue } from '../python-json.ts';
import { asLink } from './links.ts';
import { type CallResult, slotsOf } from './map-over-lists.ts';
import { slotOf } from './node-inputs.ts';
import type { RunState } from './node-runner.ts';

/** One call's outputs, still holding links into the new graph when `links` is set. */
export interface PendingExpansion {
  readonly links: boolean;
  readonly outputs: readonly unknown[];
}

/** Adds the new nodes of all calls to the run. Rejects when an id exists already. */
export async function expandGraph(
  state: RunState,
  parent: string,
  results: readonly CallResult[],
  declaration: NodeDeclaration,
): Promise<PendingExpansion[]> {
  const added: string[] = [];
  const outputs: string[] = [];
  const sources: string[] = [];
  const pending: PendingExpansion[] = [];
  for (const result of results) {
    const expand = result instanceof ExecutionBlocker ? undefined : result.expand;
    const values = slotsOf(result, declaration);
    pending.push({ links: expand !== undefined, outputs: values });
    if (expand === undefined) continue;
    for (const id of expand.graph.keys()) {
      if (!state.graph.has(id)) continue;
      throw new NodeError(
        'execution.DuplicateNodeError',
        `Attempt to add duplicate node ${id}. Ensure node ids are unique and deterministic or use graph_utils.GraphBuilder.`,
      );
    }
    for (const [id, node] of expand.graph) {
      const inputs = new Map<string, unknown>(Object.entries(node.inputs) as [string, PyValue][]);
      state.graph.addEphemeral(id, { classType: node.class_type, inputs, source: undefined }, parent, parent);
      if (state.registry.get(node.class_type) === undefined) throw keyError(node.class_type);
      added.push(id);
      if (await state.registry.isOutput(node.class_type)) outputs.push(id);
    }
    for (const value of values) {
      const link = asLink(value);
      if (link !== undefined) sources.push(link[0]);
    }
  }
  await state.caches.addChildren(parent, added);
  for (const id of outputs) await state.list.addNode(id);
  for (const source of sources) await state.list.addStrongLink(source, parent);
  return pending;
}

/** The parent's outputs once the new nodes ran. */
export function resolveExpansion(part: PendingExpansion, outputsOf: (id: string) => SlotValues | undefined): unknown[] {
  if (!part.links) return [...part.outputs];
  return part.outputs.flatMap((value) => {
    const link = asLink(value);
    return link === undefined ? [value] : [...(slotOf(outputsOf(link[0]), link[1]) ?? [undefined])];
  });
}
