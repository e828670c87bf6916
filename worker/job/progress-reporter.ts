/** Turns what a job is doing into progress events: whole snapshots, in order, none after the end. */
import {
  contractVersion,
  nodeTitle,
  type Phase,
  type Preview,
  type ProgressEvent,
  type Workflow,
} from '../../shared/index.ts';
import type { RunSnapshot } from '../comfy/index.ts';
import type { Estimate, RunEstimate } from './run-estimate.ts';

/** Progress of one job. */
export class ProgressReporter {
  readonly #emit: (event: ProgressEvent) => void;
  readonly #startedAt: number;
  #workflow: Workflow = {};
  #sequence = 0;
  #phase: Phase = 'starting';
  #run: RunSnapshot | undefined;
  #judge: RunEstimate | undefined;
  #estimate: Estimate | undefined;
  #ended = false;

  /** `startedAt`: when the worker took the job, from `performance.now`. */
  constructor(emit: (event: ProgressEvent) => void, startedAt: number) {
    this.#emit = emit;
    this.#startedAt = startedAt;
  }

  /** The workflow as the caller wrote it, for titles. */
  useWorkflow(workflow: Workflow): void {
    this.#workflow = workflow;
  }

  /** A run begins, judged by this. */
  useEstimate(estimate: RunEstimate): void {
    this.#judge = estimate;
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
    this.#estimate = this.#judge?.judge(run);
    this.#send();
  }

  /** A picture of what the run is making. */
  preview(preview: Preview): void {
    if (this.#phase === 'running') this.#send(preview);
  }

  /** No event from now on. */
  end(): void {
    this.#ended = true;
  }

  #send(preview?: Preview): void {
    if (this.#ended) return;
    const event: ProgressEvent = {
      kind: 'comfy-runpod/progress',
      contract: contractVersion,
      sequence: this.#sequence++,
      phase: this.#phase,
      elapsedMs: Math.round(performance.now() - this.#startedAt),
    };
    this.#addRun(event);
    if (preview) event.preview = preview;
    this.#emit(event);
  }

  #addRun(event: ProgressEvent): void {
    const run = this.#run;
    if (!run) return;
    const over = this.#phase === 'collecting' || this.#phase === 'delivering';
    event.nodes = { done: over ? run.total : run.done, total: run.total };
    event.fraction = over ? 1 : (this.#estimate?.fraction ?? run.fraction);
    const left = this.#estimate?.remainingMs;
    if (!over && left !== undefined) event.remainingMs = left;
    const node = run.node === undefined ? undefined : this.#workflow[run.node];
    if (over || run.node === undefined || !node) return;
    event.node = { id: run.node, classType: node.class_type, title: nodeTitle(node) };
    if (run.step) event.step = { ...run.step };
  }
}
