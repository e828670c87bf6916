/**
 * Follows one run by its events: which nodes are done, what they put out, how long each took. Best effort: any event may be missing,
 * doubled or late, and the result never depends on it (ComfyUI protocol notes §6.11).
 */

import type { PromptMessage } from './socket-messages.ts';
import type { RunSnapshot } from './types.ts';
import { listOf, recordOf, textOf } from './value-guards.ts';

/** What an event says about the end of the run. All of them come before or at the history entry (§6.1). */
export type TerminalHint = 'none' | 'likely' | 'recorded';

/** State of one run. Feed it every message about its prompt. */
export class RunProgress {
  readonly #nodeIds: ReadonlySet<string>;
  readonly #now: () => number;
  readonly #done = new Set<string>();
  readonly #cached = new Set<string>();
  readonly #started = new Map<string, number>();
  readonly #times = new Map<string, number>();
  #phase: 'queued' | 'running' = 'queued';
  #node: string | undefined;
  #step: { value: number; max: number } | undefined;
  #fraction = 0;

  constructor(nodeIds: Iterable<string>, now: () => number) {
    this.#nodeIds = new Set(nodeIds);
    this.#now = now;
  }

  /** Nodes that were served from the cache. */
  get cached(): string[] {
    return [...this.#cached];
  }

  /** Milliseconds per executed node. */
  get nodeTimes(): { node: string; ms: number }[] {
    return [...this.#times].map(([node, ms]) => ({ node, ms }));
  }

  /** Takes one message in and says whether the run seems to be over. */
  accept(message: PromptMessage): TerminalHint {
    const { type, data } = message;
    if (type !== 'execution_success' && type !== 'execution_error') this.#phase = 'running';
    switch (type) {
      case 'execution_cached':
        for (const id of listOf(data['nodes'])) this.#cache(id);
        return 'none';
      case 'executing':
        return this.#executing(data);
      case 'executed':
        this.#executed(data);
        return 'none';
      case 'progress':
        this.#progress(data['node'], data);
        return 'none';
      case 'progress_state':
        for (const state of Object.values(recordOf(data['nodes']))) this.#nodeState(recordOf(state));
        return 'none';
      case 'execution_success':
      case 'execution_interrupted':
        this.#finish(this.#node);
        return 'likely';
      case 'execution_error':
        // A blocked output is announced as an error, and the run goes on (§2.6).
        return data['exception_type'] === 'ExecutionBlocked' ? 'none' : 'likely';
      default:
        return 'none';
    }
  }

  /** Where the run is now. */
  snapshot(): RunSnapshot {
    const total = this.#nodeIds.size;
    const inNode = this.#step && this.#step.max > 0 ? Math.min(1, this.#step.value / this.#step.max) : 0;
    const share = total === 0 ? 0 : (this.#done.size + (this.#node === undefined ? 0 : inNode)) / total;
    this.#fraction = Math.min(1, Math.max(this.#fraction, share));
    return {
      phase: this.#phase,
      ...(this.#node !== undefined && { node: this.#node }),
      ...(this.#step && { step: this.#step }),
      done: this.#done.size,
      total,
      fraction: this.#fraction,
      doneNodes: this.#done,
      cachedNodes: this.#cached,
    };
  }

  #cache(id: unknown): void {
    if (typeof id !== 'string' || !this.#nodeIds.has(id)) return;
    this.#cached.add(id);
    this.#done.add(id);
  }

  #executing(data: Readonly<Record<string, unknown>>): TerminalHint {
    const node = data['node'];
    if (node === null) {
      this.#finish(this.#node);
      return 'recorded';
    }
    const id = this.#submitted(textOf(data['display_node']) ?? textOf(node));
    if (id === undefined) return 'none';
    if (id !== this.#node) {
      this.#finish(this.#node);
      this.#start(id);
    }
    return 'none';
  }

  #executed(data: Readonly<Record<string, unknown>>): void {
    const node = textOf(data['node']);
    if (node === undefined) return;
    this.#finish(this.#submitted(node));
  }

  #nodeState(state: Readonly<Record<string, unknown>>): void {
    const id = this.#submitted(textOf(state['node_id']));
    if (id === undefined) return;
    if (state['state'] === 'finished') this.#finish(id);
    else if (state['state'] === 'running' && !this.#done.has(id)) this.#progress(id, state);
  }

  #progress(node: unknown, data: Readonly<Record<string, unknown>>): void {
    const { value, max } = data;
    const id = this.#submitted(textOf(node));
    if (id === undefined || typeof value !== 'number' || typeof max !== 'number') return;
    if (id !== this.#node) this.#start(id);
    // A node without a bar counts from 0 to 1: nothing to show.
    this.#step = max > 1 ? { value, max } : undefined;
  }

  #start(id: string): void {
    this.#node = id;
    this.#step = undefined;
    if (!this.#started.has(id)) this.#started.set(id, this.#now());
  }

  #finish(id: string | undefined): void {
    if (id === undefined) return;
    this.#done.add(id);
    const started = this.#started.get(id);
    if (started !== undefined && !this.#times.has(id)) this.#times.set(id, Math.round(this.#now() - started));
    if (this.#node === id) {
      this.#node = undefined;
      this.#step = undefined;
    }
  }

  /** Id in the submitted graph: nodes made at run time are called `<parent>.<call>.<graph>.<n>` (§2.6). */
  #submitted(id: string | undefined): string | undefined {
    if (id === undefined) return undefined;
    if (this.#nodeIds.has(id)) return id;
    const parent = id.split('.')[0];
    return parent !== undefined && this.#nodeIds.has(parent) ? parent : undefined;
  }
}
