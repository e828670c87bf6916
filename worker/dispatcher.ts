/**
 * The jobs this worker has: queued, running, being delivered. Runs at most `concurrency` at once and posts how each ended. Knows nothing of
 * polls and signals: worker.ts feeds it.
 *
 * 1. Every accepted job ends in exactly one final post, except a job that RunPod stopped: that one posts nothing.
 * 2. A slot is free as soon as the runner is done with a job; its result is delivered beside the next job, a few of them at most.
 * 3. A delivered id that is here already, or was completed a moment ago, is ignored. A failed one is not: RunPod's retry reuses the id.
 * 4. `giveUp` ends everything within a bounded time, whatever the runner does.
 */
import { ComfyRunpodError, delay, raceSignal, toComfyRunpodError } from '../shared/index.ts';
import { createNotifier } from './notifier.ts';
import type { DeliveredJob, JobReport, PostedOutcome, Reporter, Slots } from './runpod/index.ts';
import { resultLimitBytes } from './runpod/index.ts';
import type { JobOutcome, JobRunner, Logger } from './types.ts';

/** Times of `giveUp`, milliseconds. */
export interface GiveUpTimes {
  /** How long an aborted runner may take to wipe and settle. */
  readonly settleMs: number;
  /** How long the last posts may take after that. */
  readonly postMs: number;
}

/** Neighbours and settings of the dispatcher. */
export interface DispatcherOptions {
  readonly runner: JobRunner;
  readonly reporter: Reporter;
  readonly logger: Logger;
  readonly concurrency: number;
  /** Recycle the worker after its first job. */
  readonly refreshWorker: boolean;
  readonly giveUpTimes: GiveUpTimes;
  /** Called before the slot of the last job is freed, when the worker must not take another. */
  readonly onRecycle: (reason: 'refresh' | 'recycle') => void;
  /** Called with all ids whenever the set changes. */
  readonly onJobs: (ids: readonly string[]) => void;
}

interface Flight {
  readonly job: DeliveredJob;
  readonly logger: Logger;
  phase: 'queued' | 'running' | 'delivering';
  /** RunPod stopped the job: nothing is posted any more. */
  stopped: boolean;
  readonly run: AbortController;
  readonly delivery: AbortController;
}

/** Results that may wait for delivery while further jobs are taken. Each may hold 20 MiB. */
const maxUndelivered = 4;
/** How long, and for how many, a completed id is remembered. */
const recentMs = 600_000;
const recentCount = 1_000;

/** See the banner. */
export class Dispatcher implements Slots {
  readonly #options: DispatcherOptions;
  readonly #flights = new Map<string, Flight>();
  /** Completed ids and when they ended, oldest first. */
  readonly #recent = new Map<string, number>();
  readonly #changed = createNotifier();
  readonly #abandoned = new AbortController();
  #givingUp: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  free(): number {
    if (this.#count('delivering') >= maxUndelivered) return 0;
    return Math.max(0, this.#options.concurrency - this.#count('running') - this.#count('queued'));
  }

  busy(): boolean {
    return this.#flights.size > 0;
  }

  whenFree(signal: AbortSignal): Promise<void> {
    return this.#changed.until(() => this.free() > 0, signal);
  }

  /** Resolves when no job is left. */
  whenIdle(): Promise<void> {
    return this.#changed.until(() => !this.busy());
  }

  /** Takes a delivered job in; it starts at once when a slot is free. */
  accept(job: DeliveredJob): void {
    const fields = { requestId: job.id, ...(job.batchId !== undefined && { batchId: job.batchId }) };
    const logger = this.#options.logger.child(fields);
    if (this.#flights.has(job.id) || this.#completedRecently(job.id)) {
      logger.warn({}, 'Delivered a second time; ignored.');
      return;
    }
    const flight: Flight = {
      job,
      logger,
      phase: 'queued',
      stopped: false,
      run: new AbortController(),
      delivery: new AbortController(),
    };
    this.#flights.set(job.id, flight);
    if (this.#givingUp) this.#postShutdown(flight);
    this.#settle();
  }

  /** RunPod stopped a job: it ends without a post. Unknown ids are ignored. */
  stopJob(id: string): void {
    const flight = this.#flights.get(id);
    if (!flight || flight.stopped) return;
    flight.logger.info({}, 'Stopped by RunPod.');
    flight.stopped = true;
    if (flight.phase === 'queued') {
      this.#remove(flight);
      return;
    }
    flight.run.abort(new ComfyRunpodError('JOB_CANCELLED', 'RunPod stopped the job.'));
    flight.delivery.abort();
  }

  /** Gives every job up with an error report; resolves when nothing is left. Idempotent. */
  giveUp(): Promise<void> {
    this.#givingUp ??= this.#giveUp();
    return this.#givingUp;
  }

  async #giveUp(): Promise<void> {
    const { settleMs, postMs } = this.#options.giveUpTimes;
    const flights = [...this.#flights.values()];
    for (const flight of flights) {
      if (flight.phase === 'queued') this.#postShutdown(flight);
      else flight.run.abort(shutdownError());
    }
    const idle = new AbortController();
    const gone = this.whenIdle().finally(() => idle.abort());
    await delay(settleMs, idle.signal).catch(() => undefined);
    this.#abandoned.abort();
    await delay(postMs, idle.signal).catch(() => undefined);
    for (const flight of this.#flights.values()) flight.delivery.abort();
    await gone;
  }

  #startQueued(): void {
    for (const flight of this.#flights.values()) {
      if (this.#count('running') >= this.#options.concurrency) return;
      if (flight.phase === 'queued') void this.#fly(flight);
    }
  }

  async #fly(flight: Flight): Promise<void> {
    flight.phase = 'running';
    const startedAt = performance.now();
    flight.logger.info({}, 'Started.');
    const report = this.#options.reporter.open(flight.job, flight.delivery.signal, flight.logger);
    const outcome = this.#postable(await this.#runSafely(flight, report), flight);
    const ms = Math.round(performance.now() - startedAt);
    if (outcome === undefined) {
      flight.logger.info({ ms, outcome: 'stopped' }, 'Finished.');
      await report.abandon();
      this.#remove(flight);
      return;
    }
    const code = outcome.kind === 'failed' ? { code: outcome.error.code } : {};
    flight.logger.info({ ms, outcome: outcome.kind, ...code }, 'Finished.');
    const recycle = outcome.kind === 'failed' && outcome.error.policy.recycle;
    if (recycle || this.#options.refreshWorker) this.#options.onRecycle(recycle ? 'recycle' : 'refresh');
    flight.phase = 'delivering';
    this.#settle();
    await this.#deliver(flight, report, outcome, recycle || this.#options.refreshWorker);
  }

  /** The runner promises never to throw and to settle when aborted; a defect in it must not cost the caller an answer. */
  async #runSafely(flight: Flight, report: JobReport): Promise<JobOutcome> {
    const { job, run } = flight;
    const context = {
      signal: run.signal,
      resultLimitBytes: resultLimitBytes(job.id),
      onProgress: report.progress,
      ...(job.executionTimeoutMs !== undefined && { executionTimeoutMs: job.executionTimeoutMs }),
    };
    try {
      const running = Promise.resolve(this.#options.runner.run({ id: job.id, input: job.input }, context));
      return await raceSignal(running, this.#abandoned.signal);
    } catch (error) {
      if (this.#abandoned.signal.aborted) return { kind: 'cancelled' };
      return { kind: 'failed', error: toComfyRunpodError(error) };
    }
  }

  #postable(outcome: JobOutcome, flight: Flight): PostedOutcome | undefined {
    if (flight.stopped) return undefined;
    if (outcome.kind !== 'cancelled') return outcome;
    const error = this.#givingUp
      ? shutdownError()
      : new ComfyRunpodError('INTERNAL', 'The job was cancelled although nobody asked for it.');
    return { kind: 'failed', error };
  }

  async #deliver(flight: Flight, report: JobReport, outcome: PostedOutcome, stopPod: boolean): Promise<void> {
    const startedAt = performance.now();
    try {
      const { delivered, bytes } = await report.finish(outcome, { stopPod });
      const ms = Math.round(performance.now() - startedAt);
      flight.logger.info({ ms, bytes, delivered }, delivered === 'nothing' ? 'Not delivered.' : 'Delivered.');
      if (delivered === 'result' && outcome.kind === 'completed') this.#remember(flight.job.id);
    } catch (error) {
      flight.logger.error({ code: 'INTERNAL', error }, 'Delivering the result failed unexpectedly.');
    } finally {
      this.#remove(flight);
    }
  }

  #postShutdown(flight: Flight): void {
    flight.phase = 'delivering';
    const report = this.#options.reporter.open(flight.job, flight.delivery.signal, flight.logger);
    void this.#deliver(flight, report, { kind: 'failed', error: shutdownError() }, false);
  }

  #count(phase: Flight['phase']): number {
    let count = 0;
    for (const flight of this.#flights.values()) if (flight.phase === phase) count++;
    return count;
  }

  #remove(flight: Flight): void {
    this.#flights.delete(flight.job.id);
    this.#settle();
  }

  /**
   * After every change, in this order: the heartbeat learns the ids (a job that then keeps this thread busy must be in it already), what
   * is queued here takes free slots, and what is left is offered to the job source.
   */
  #settle(): void {
    this.#options.onJobs([...this.#flights.keys()]);
    this.#startQueued();
    this.#changed.notify();
  }

  #completedRecently(id: string): boolean {
    const endedAt = this.#recent.get(id);
    return endedAt !== undefined && performance.now() - endedAt < recentMs;
  }

  #remember(id: string): void {
    this.#recent.set(id, performance.now());
    const oldest = this.#recent.keys().next();
    if (this.#recent.size > recentCount && oldest.done !== true) this.#recent.delete(oldest.value);
  }
}

function shutdownError(): ComfyRunpodError {
  return new ComfyRunpodError('WORKER_SHUTDOWN', 'The worker was told to stop before the job was done.');
}
