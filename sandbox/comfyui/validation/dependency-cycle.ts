// The `dependency_cycle` error of newer servers: every node of a cycle gets one (ComfyUI protocol notes §1.3.5 step 8 [N]).
import type { PromptGraph, ValidationError } from './types.ts';

function sources(graph: PromptGraph, id: string): string[] {
  const node = graph.get(id);
  const inputs = node instanceof Map ? node.get('inputs') : undefined;
  if (!(inputs instanceof Map)) return [];
  const out: string[] = [];
  for (const value of inputs.values()) {
    if (Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && graph.has(value[0])) {
      out.push(value[0]);
    }
  }
  return out;
}

function describe(graph: PromptGraph, id: string): string {
  const node = graph.get(id);
  const classType = node instanceof Map ? node.get('class_type') : undefined;
  return `${id} (${String(classType)})`;
}

function findCycle(graph: PromptGraph, start: string): string[] | undefined {
  const seen = new Set<string>();
  const stack: { readonly id: string; readonly path: readonly string[] }[] = [{ id: start, path: [start] }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    for (const source of sources(graph, top.id)) {
      if (source === start) return [...top.path];
      if (seen.has(source)) continue;
      seen.add(source);
      stack.push({ id: source, path: [...top.path, source] });
    }
  }
  return undefined;
}

/** One error per node that lies on a cycle, with a path that starts and ends there. */
export function cycleErrors(graph: PromptGraph): Map<string, ValidationError> {
  const out = new Map<string, ValidationError>();
  for (const id of graph.keys()) {
    const cycle = findCycle(graph, id);
    if (cycle === undefined) continue;
    out.set(id, {
      type: 'dependency_cycle',
      message: 'Dependency cycle detected',
      details: [...cycle, id].map((step) => describe(graph, step)).join(' -> '),
      extra_info: { node_id: id, cycle_nodes: cycle },
    });
  }
  return out;
}
