/**
 * The jobs this worker has: queued, running, finishing, being delivered. Lets at most `concurrency` and one prefetched job into ComfyUI at
 * once and posts how each ended. Knows nothing of polls and signals: worker.ts feeds it.
 *
 * 1. Every accepted job ends in exactly one final post, except a job that RunPod stopped: that one posts nothing.
 * 2. A slot is free as soon as ComfyUI is done with a job; it is collected, wiped and delivered beside the next job. Jobs in that tail, and
 *    the bytes they hold, are bounded.
 * 3. A delivered id that is here already, or was completed a moment ago, is ignored. A failed one is not: RunPod's retry reuses the id.
 * 4. `giveUp` ends everything within a bounded time, whatever the runner does.
 * 5. The platform is asked to recycle the worker by the last result, so that it takes no other job down with it.
 */
import { ComfyRunpodError, delay, raceSignal, toComfyRunpodError } from '../shared/core.ts';
import { createNotifier } from './notifier.ts';
import { type PrefetchMode, PrefetchPolicy } from './prefetch-policy.ts';
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
  /** Whether a next job is taken ahead of time. */
  readonly prefetch: PrefetchMode;
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
  readonly acceptedAt: number;
  /** `running`: may be in ComfyUI. `finishing`: ComfyUI is done with it, the runner is not. */
  phase: 'queued' | 'running' | 'finishing' | 'delivering';
  /** When its prompt began to run in ComfyUI. */
  gpuSince: number | undefined;
  /** Size of the result that waits for delivery. */
  bytes: number;
  /** RunPod stopped the job: nothing is posted any more. */
  stopped: boolean;
  readonly run: AbortController;
  readonly delivery: AbortController;
}

/** Jobs that may be collected, wiped and delivered while further jobs are taken, and the bytes of results that may wait. */
const maxInTail = 4;
const maxUndeliveredBytes = 64 * 1024 * 1024;
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
  readonly #prefetch: PrefetchPolicy;
  #recycling = false;
  /** A result waits to be the last one. */
  #closing = false;
  #givingUp: Promise<void> | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    // A worker that ends after its first job must not hold a second one.
    this.#prefetch = new PrefetchPolicy(options.refreshWorker ? '0' : options.prefetch);
  }

  free(): number {
    if (this.#tailIsFull()) return 0;
    return Math.max(0, this.#capacity() - this.#count('running') - this.#count('queued'));
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

  /** Takes a delivered job in; it starts at once when a slot is free. False: it is known already, and ignored. */
  accept(job: DeliveredJob): boolean {
    const fields = { requestId: job.id, ...(job.batchId !== undefined && { batchId: job.batchId }) };
    const logger = this.#options.logger.child(fields);
    if (this.#flights.has(job.id) || this.#completedRecently(job.id)) {
      logger.warn({}, 'Delivered a second time; ignored.');
      return false;
    }
    this.#prefetch.noteLimit(job.executionTimeoutMs);
    const flight: Flight = {
      job,
      logger,
      acceptedAt: performance.now(),
      phase: 'queued',
      gpuSince: undefined,
      bytes: 0,
      stopped: false,
      run: new AbortController(),
      delivery: new AbortController(),
    };
    this.#flights.set(job.id, flight);
    if (this.#givingUp) this.#postShutdown(flight);
    this.#settle();
    return true;
  }

  /** RunPod stopped a job: it ends without a post. False: the id is unknown, or was stopped before. */
  stopJob(id: string): boolean {
    const flight = this.#flights.get(id);
    if (!flight || flight.stopped) return false;
    flight.logger.info({}, 'Stopped by RunPod.');
    flight.stopped = true;
    if (flight.phase === 'queued') {
      this.#remove(flight);
      return true;
    }
    flight.run.abort(new ComfyRunpodError('JOB_CANCELLED', 'RunPod stopped the job.'));
    flight.delivery.abort();
    return true;
  }

  /** Gives every job up with an error report; resolves when nothing is left. Idempotent. */
  giveUp(): Promise<void> {
    this.#givingUp ??= this.#giveUp();
    return this.#givingUp;
  }

  async #giveUp(): Promise<void> {
    const { settleMs, postMs } = this.#options.giveUpTimes;
    queueMicrotask(() => this.#changed.notify());
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
    // The reason tells the reporter that somebody still waits for the result.
    for (const flight of this.#flights.values()) flight.delivery.abort(shutdownError());
    await gone;
  }

  #startQueued(): void {
    for (const flight of this.#flights.values()) {
      if (this.#count('running') >= this.#capacity()) return;
      if (flight.phase === 'queued') void this.#fly(flight);
    }
  }

  async #fly(flight: Flight): Promise<void> {
    flight.phase = 'running';
    const startedAt = performance.now();
    flight.logger.info({}, 'Started.');
    const report = this.#options.reporter.open(flight.job, flight.delivery.signal, flight.logger);
    const ended = await this.#runSafely(flight, report);
    const outcome = this.#postable(ended, flight);
    const ms = Math.round(performance.now() - startedAt);
    if (outcome === undefined) {
      flight.logger.info({ ms, outcome: 'stopped' }, 'Finished.');
      if (ended.recycle === true) this.#recycle('recycle');
      await report.abandon();
      this.#remove(flight);
      return;
    }
    const code = outcome.kind === 'failed' ? { code: outcome.error.code } : {};
    flight.logger.info({ ms, outcome: outcome.kind, ...code }, 'Finished.');
    const broken = ended.recycle === true || (outcome.kind === 'failed' && outcome.error.policy.recycle);
    if (broken) this.#recycle('recycle');
    else if (this.#options.refreshWorker || outcome.refresh === true) this.#recycle('refresh');
    flight.phase = 'delivering';
    flight.bytes = outcome.output?.byteLength ?? 0;
    this.#settle();
    await this.#deliver(flight, report, outcome, await this.#isToRecycle(flight));
  }

  /** No further job is taken; the last result says so to the platform. */
  #recycle(why: 'refresh' | 'recycle'): void {
    this.#recycling = true;
    this.#options.onRecycle(why);
  }

  /**
   * Whether this result asks the platform to recycle the worker: the last one does, once all others have arrived, because the container may
   * be gone right after.
   */
  async #isToRecycle(flight: Flight): Promise<boolean> {
    if (!this.#recycling || this.#closing) return false;
    const others = [...this.#flights.values()].filter((other) => other !== flight);
    if (others.some((other) => other.phase !== 'delivering')) return false;
    this.#closing = true;
    const alone = () => this.#flights.size <= 1 || this.#givingUp !== undefined;
    await this.#changed.until(alone, flight.delivery.signal).catch(() => undefined);
    return true;
  }

  /** ComfyUI is done with a job: its slot is free, unless the worker is to end after it. */
  #gpuFree(flight: Flight): void {
    if (flight.phase !== 'running') return;
    if (flight.gpuSince !== undefined) this.#prefetch.noteRun(performance.now() - flight.gpuSince);
    if (this.#options.refreshWorker || this.#tailIsFull()) return;
    flight.phase = 'finishing';
    this.#settle();
  }

  #gpuBusy(flight: Flight): void {
    if (flight.gpuSince !== undefined) return;
    flight.gpuSince = performance.now();
    // Now that something runs, a job behind it may be taken, or started when it is here already.
    this.#startQueued();
    this.#changed.notify();
  }

  /** The runner promises never to throw and to settle when aborted; a defect in it must not cost the caller an answer. */
  async #runSafely(flight: Flight, report: JobReport): Promise<JobOutcome> {
    const { job, run } = flight;
    const context = {
      signal: run.signal,
      resultLimitBytes: resultLimitBytes(job.id),
      onProgress: report.progress,
      onForeignProgress: report.progress,
      ...(report.chunk && { postChunk: report.chunk }),
      takenAt: flight.acceptedAt,
      onGpuBusy: () => this.#gpuBusy(flight),
      onGpuFree: () => this.#gpuFree(flight),
      onSharedOutput: () => this.#prefetch.noteSharedOutput(),
      results: () => this.#options.reporter.results(),
      ...(job.executionTimeoutMs !== undefined && { executionTimeoutMs: job.executionTimeoutMs }),
    };
    try {
      const running = Promise.resolve(this.#options.runner.run(job, context));
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

  /** Jobs that may be in ComfyUI at once: one more than run there when a next one is taken ahead of time. */
  #capacity(): number {
    if (this.#recycling) return this.#options.concurrency;
    let runningMs: number | undefined;
    for (const flight of this.#flights.values()) {
      if (flight.phase !== 'running' || flight.gpuSince === undefined) continue;
      runningMs = Math.max(runningMs ?? 0, performance.now() - flight.gpuSince);
    }
    return this.#options.concurrency + this.#prefetch.ahead(runningMs);
  }

  #tailIsFull(): boolean {
    let jobs = 0;
    let bytes = 0;
    for (const flight of this.#flights.values()) {
      if (flight.phase !== 'finishing' && flight.phase !== 'delivering') continue;
      jobs += 1;
      bytes += flight.bytes;
    }
    return jobs >= maxInTail || bytes >= maxUndeliveredBytes;
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
