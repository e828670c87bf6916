/** Turns what a job is doing into progress events: whole snapshots, in order, none after the end. */
import { contractVersion, nodeTitle, type Phase, type ProgressEvent, type Workflow } from '../../shared/index.ts';
import type { RunSnapshot } from '../comfy/index.ts';

/** Progress of one job. */
export class ProgressReporter {
  readonly #emit: (event: ProgressEvent) => void;
  readonly #startedAt: number;
  #workflow: Workflow = {};
  #sequence = 0;
  #phase: Phase = 'starting';
  #run: RunSnapshot | undefined;
  #ended = false;

  constructor(emit: (event: ProgressEvent) => void, startedAt: number) {
    this.#emit = emit;
    this.#startedAt = startedAt;
  }

  /** The workflow as the caller wrote it, for titles. */
  useWorkflow(workflow: Workflow): void {
    this.#workflow = workflow;
  }

  /** The job enters a phase. */
  enter(phase: Phase): void {
    this.#phase = phase;
    this.#send();
  }

  /** The run has got further. */
  update(run: RunSnapshot): void {
    this.#run = run;
    this.#phase = run.phase;
    this.#send();
  }

  /** No event from now on. */
  end(): void {
    this.#ended = true;
  }

  #send(): void {
    if (this.#ended) return;
    const event: ProgressEvent = {
      kind: 'comfy-runpod/progress',
      contract: contractVersion,
      sequence: this.#sequence++,
      phase: this.#phase,
      elapsedMs: Math.round(performance.now() - this.#startedAt),
    };
    this.#addRun(event);
    this.#emit(event);
  }

  #addRun(event: ProgressEvent): void {
    const run = this.#run;
    if (!run) return;
    const over = this.#phase === 'collecting' || this.#phase === 'delivering';
    event.nodes = { done: over ? run.total : run.done, total: run.total };
    event.fraction = over ? 1 : run.fraction;
    const node = run.node === undefined ? undefined : this.#workflow[run.node];
    if (over || run.node === undefined || !node) return;
    event.node = { id: run.node, classType: node.class_type, title: nodeTitle(node) };
    if (run.step) event.step = { ...run.step };
  }
}
