/** How long nodes took in earlier jobs of this worker, by class and step count: what makes a percentage honest and the time left known. */
import type { ApiNode, Workflow } from '../../shared/index.ts';
import type { Execution } from '../comfy/index.ts';

/** Kinds of nodes that are remembered. */
const maxKinds = 1_000;
/** Weight of the newest time: a warm model soon outweighs the load before it. */
const newest = 0.5;

/** A memory of node times. Holds class names and numbers, nothing of a caller's. */
export class NodeTimes {
  readonly #times = new Map<string, number>();

  /** Milliseconds that a node like this took before, or undefined. */
  expect(node: ApiNode): number | undefined {
    return this.#times.get(kindOf(node));
  }

  /** Notes what the nodes of a run took. */
  note(workflow: Workflow, times: Execution['nodeTimes']): void {
    for (const { node, ms } of times) {
      const ran = workflow[node];
      if (!ran) continue;
      const kind = kindOf(ran);
      const before = this.#times.get(kind);
      this.#times.delete(kind);
      this.#times.set(kind, before === undefined ? ms : before * (1 - newest) + ms * newest);
      const oldest = this.#times.keys().next();
      if (this.#times.size > maxKinds && oldest.done !== true) this.#times.delete(oldest.value);
    }
  }
}

function kindOf(node: ApiNode): string {
  const { steps } = node.inputs;
  return typeof steps === 'number' ? `${node.class_type} ${steps}` : node.class_type;
}
