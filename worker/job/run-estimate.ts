/** How far a run is and how long it will still take, by what its nodes took before. One per run. */
import type { Workflow } from '../../shared/index.ts';
import type { RunSnapshot } from '../comfy/index.ts';
import type { NodeTimes } from './node-times.ts';

/** What can be said now. */
export interface Estimate {
  /** From 0 to 1, never falling. */
  readonly fraction: number;
  /** Milliseconds; undefined while a node that is left is unknown. */
  readonly remainingMs?: number;
}

/** A node without steps is never shown as done before it is. */
const mostOfSilentNode = 0.9;

/** Judges the snapshots of one run. */
export class RunEstimate {
  readonly #expected: ReadonlyMap<string, number | undefined>;
  readonly #now: () => number;
  #node: string | undefined;
  #nodeSince = 0;
  #firstStep: { readonly value: number; readonly at: number } | undefined;
  #fraction = 0;

  constructor(workflow: Workflow, times: NodeTimes, now: () => number = () => performance.now()) {
    this.#expected = new Map(Object.entries(workflow).map(([id, node]) => [id, times.expect(node)]));
    this.#now = now;
  }

  /** What a snapshot means. */
  judge(run: RunSnapshot): Estimate {
    this.#follow(run);
    const known = [...this.#expected.values()].filter((ms) => ms !== undefined);
    // At least a millisecond each, so that no node counts for nothing.
    const usual = known.length === 0 ? 1 : known.reduce((sum, ms) => sum + ms, 0) / known.length;
    const weigh = (ms: number | undefined) => Math.max(1, ms ?? usual);
    let total = 0;
    let done = 0;
    let left: number | undefined = 0;
    for (const [id, expected] of this.#expected) {
      if (run.cachedNodes.has(id)) continue;
      const weight = weigh(expected);
      total += weight;
      if (run.doneNodes.has(id)) done += weight;
      else if (id === run.node) {
        done += weight * this.#share(run, expected);
        left = add(left, this.#leftOfNode(run, expected));
      } else left = add(left, expected);
    }
    this.#fraction = Math.max(this.#fraction, total === 0 ? run.fraction : Math.min(1, done / total));
    const isKnown = run.phase === 'running' && left !== undefined;
    return { fraction: this.#fraction, ...(isKnown && { remainingMs: Math.round(left ?? 0) }) };
  }

  #follow(run: RunSnapshot): void {
    if (run.node !== this.#node) {
      this.#node = run.node;
      this.#nodeSince = this.#now();
      this.#firstStep = undefined;
    }
    if (run.step) this.#firstStep ??= { value: run.step.value, at: this.#now() };
  }

  #share(run: RunSnapshot, expected: number | undefined): number {
    if (run.step && run.step.max > 0) return Math.min(1, run.step.value / run.step.max);
    if (expected === undefined || expected <= 0) return 0;
    return Math.min(mostOfSilentNode, (this.#now() - this.#nodeSince) / expected);
  }

  /** By the pace of its own steps, else by what it took before. */
  #leftOfNode(run: RunSnapshot, expected: number | undefined): number | undefined {
    const first = this.#firstStep;
    if (run.step && first && run.step.value > first.value) {
      const perStep = (this.#now() - first.at) / (run.step.value - first.value);
      return Math.max(0, run.step.max - run.step.value) * perStep;
    }
    return expected === undefined ? undefined : Math.max(0, expected - (this.#now() - this.#nodeSince));
  }
}

function add(sum: number | undefined, more: number | undefined): number | undefined {
  return sum === undefined || more === undefined ? undefined : sum + more;
}
