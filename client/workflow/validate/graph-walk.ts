/** Who feeds whom in a workflow. Nothing here is recursive: a chain of ten thousand nodes must not end the program. Pure. */
import type { Workflow } from '../../../shared/index.ts';

/** A value that ComfyUI takes for a link: any list of two (ComfyUI protocol notes §1.3.5 step 4). */
export function linkSource(value: unknown): string | undefined {
  return Array.isArray(value) && value.length === 2 ? String(value[0]) : undefined;
}

/** Node id -> ids of the existing nodes that feed it. */
export type Sources = ReadonlyMap<string, readonly string[]>;

/** Reads the links of every node. `counts` leaves out inputs that ComfyUI does not look at. */
export function sourcesOf(workflow: Workflow, counts: (node: string, input: string) => boolean): Sources {
  return new Map(
    Object.entries(workflow).map(([id, node]) => {
      const sources = Object.entries(node.inputs).flatMap(([input, value]) => {
        const source = linkSource(value);
        return source !== undefined && Object.hasOwn(workflow, source) && counts(id, input) ? [source] : [];
      });
      return [id, [...new Set(sources)]];
    }),
  );
}

/** `start` and everything that feeds it. */
export function upstreamOf(start: Iterable<string>, sources: Sources): Set<string> {
  const seen = new Set(start);
  // A set takes additions while it is walked.
  for (const id of seen) for (const source of sources.get(id) ?? []) seen.add(source);
  return seen;
}

/** Cycles among `nodes`, each as the ids on it in the order of the links from output to input; a node is on one of them at most. */
export function findCycles(nodes: Iterable<string>, sources: Sources): string[][] {
  const done = new Set<string>();
  const cycles: string[][] = [];
  for (const start of nodes) {
    if (done.has(start)) continue;
    const path: string[] = [];
    const at = new Map<string, number>();
    const rest: { readonly id: string; readonly next: Iterator<string> }[] = [];
    const enter = (id: string) => {
      at.set(id, path.length);
      path.push(id);
      rest.push({ id, next: (sources.get(id) ?? [])[Symbol.iterator]() });
    };
    enter(start);
    for (let top = rest.at(-1); top !== undefined; top = rest.at(-1)) {
      const { done: ended, value } = top.next.next();
      if (ended === true) {
        rest.pop();
        path.pop();
        at.delete(top.id);
        done.add(top.id);
      } else if (at.has(value)) cycles.push(path.slice(at.get(value)));
      else if (!done.has(value)) enter(value);
    }
  }
  return distinct(cycles);
}

function distinct(cycles: readonly string[][]): string[][] {
  const taken = new Set<string>();
  return cycles.filter((cycle) => {
    if (cycle.some((id) => taken.has(id))) return false;
    for (const id of cycle) taken.add(id);
    return true;
  });
}
