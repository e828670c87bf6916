/**
 * The worker's lifecycle: starting -> ready -> draining -> stopped | failed. Joins RunPod's protocol (worker/runpod) with the runner of jobs.
 *
 *   job-take  -> job-source   -> dispatcher -> runner        (worker/job: ComfyUI, files, wipe)
 *   job-stop  -> stop-channel -> dispatcher -> its AbortSignal
 *   ping      <- heartbeat    <- dispatcher (ids)
 *   job-done  <- reporter     <- dispatcher (progress, outcome)
 *
 * 1. Heartbeat, job-take and job-stop start at once; the runner waits for ComfyUI inside its first job.
 * 2. Draining: no new take; jobs that are here, or whose delivery has begun, finish and post; heartbeat and job-stop go on until then.
 * 3. Stopping: what is left is given up with an error report each, within a bounded time.
 * 4. When `stopped` resolves, no thread, socket or timer of the worker is left.
 */
import { type ComfyRunpodError, delay, toComfyRunpodError } from '../shared/core.ts';
import { Dispatcher, type GiveUpTimes } from './dispatcher.ts';
import type { PrefetchMode } from './prefetch-policy.ts';
import {
  buildUrls,
  createReporter,
  createTransport,
  type Heartbeat,
  type KeepResult,
  type RunpodConfig,
  runJobSource,
  runStopChannel,
  startHeartbeat,
  type Transport,
  timingsOf,
} from './runpod/index.ts';
import type { JobRunner, Logger } from './types.ts';

/** What a worker is started with. The rest of the configuration is the runner's. */
export interface WorkerSettings {
  readonly runpod: RunpodConfig;
  /** Jobs that run at the same time. */
  readonly concurrency?: number;
  /** Whether a next job is taken while one runs. Default: `0`. */
  readonly prefetch?: PrefetchMode;
  /** Recycle the worker after its first job. */
  readonly refreshWorker?: boolean;
  /** How long a drain may take before what is left is given up. */
  readonly drainTimeoutMs?: number;
  readonly giveUpTimes?: Partial<GiveUpTimes>;
}

/** Neighbours of the worker. */
export interface WorkerParts {
  readonly runner: JobRunner;
  readonly logger: Logger;
  /** Keeps results that RunPod does not take. */
  readonly keepResult?: KeepResult;
  /** Aborting it is the same as `stop()`. */
  readonly signal?: AbortSignal;
}

/** Why a worker ends. `signal`: asked to. `refresh`, `recycle`: after a job. `deadline`: the drain took too long. `forced`: `stop()`. */
export type EndReason = 'signal' | 'refresh' | 'recycle' | 'deadline' | 'forced' | 'failed';

/** How a worker ended. Code 0: every job was finished and posted. */
export interface WorkerExit {
  readonly code: 0 | 1;
  readonly reason: EndReason;
  readonly error?: ComfyRunpodError;
}

/** Where a worker is in its life. */
export type WorkerState =
  | { readonly kind: 'starting' }
  /** The platform has answered a take. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'draining'; readonly reason: EndReason; readonly deadline: NodeJS.Timeout }
  | { readonly kind: 'stopped'; readonly exit: WorkerExit }
  | { readonly kind: 'failed'; readonly exit: WorkerExit };

/** A running worker. */
export interface Worker {
  readonly state: WorkerState;
  /** Resolves when the first request is on its way to RunPod, or can't be for now: loading whatever comes next would hold it up. */
  readonly asked: Promise<void>;
  /** Takes no more jobs, finishes those it has, ends. Idempotent. Resolves with `stopped`. */
  drain(): Promise<WorkerExit>;
  /** Gives up what is left, ends. Idempotent. Resolves with `stopped`. */
  stop(): Promise<WorkerExit>;
  /** Resolves when everything has ended; never rejects. */
  readonly stopped: Promise<WorkerExit>;
}

const defaultDrainTimeoutMs = 3_600_000;
/** A connection that takes longer is not waited for: ComfyUI has to be started, too. */
const askedWithinMs = 100;
const defaultGiveUpTimes: GiveUpTimes = { settleMs: 4_000, postMs: 3_000 };

/** Starts a worker. It beats and asks for jobs at once. */
export function startWorker(settings: WorkerSettings, parts: WorkerParts): Worker {
  return new RunningWorker(settings, parts);
}

class RunningWorker implements Worker {
  readonly stopped: Promise<WorkerExit>;
  readonly asked: Promise<void>;
  readonly #settings: WorkerSettings;
  readonly #logger: Logger;
  readonly #transport: Transport;
  readonly #heartbeat: Heartbeat;
  readonly #dispatcher: Dispatcher;
  /** Aborted when no more jobs are taken. */
  readonly #taking = new AbortController();
  /** Aborted when every job has ended. */
  readonly #listening = new AbortController();
  #state: WorkerState = { kind: 'starting' };
  #failure: ComfyRunpodError | undefined;

  constructor(settings: WorkerSettings, parts: WorkerParts) {
    const { runpod } = settings;
    this.#settings = settings;
    this.#logger = parts.logger;
    this.#heartbeat = startHeartbeat(runpod, parts.logger);
    this.#transport = createTransport(runpod);
    this.asked = Promise.race([this.#transport.connected, delay(askedWithinMs)]);
    const urls = buildUrls(runpod);
    this.#dispatcher = new Dispatcher({
      runner: parts.runner,
      reporter: createReporter({
        config: runpod,
        urls,
        transport: this.#transport,
        ...(parts.keepResult && { keepResult: parts.keepResult }),
      }),
      logger: parts.logger,
      concurrency: settings.concurrency ?? 1,
      prefetch: settings.prefetch ?? '0',
      refreshWorker: settings.refreshWorker ?? false,
      giveUpTimes: { ...defaultGiveUpTimes, ...settings.giveUpTimes },
      onRecycle: (reason) => this.#drain(reason),
      onJobs: (ids) => this.#heartbeat.setJobs(ids),
    });
    const onAbort = () => void this.stop();
    if (parts.signal?.aborted) onAbort();
    else parts.signal?.addEventListener('abort', onAbort, { once: true });
    this.stopped = this.#live(urls).finally(() => parts.signal?.removeEventListener('abort', onAbort));
  }

  get state(): WorkerState {
    return this.#state;
  }

  drain(): Promise<WorkerExit> {
    this.#drain('signal');
    return this.stopped;
  }

  stop(): Promise<WorkerExit> {
    this.#force('forced');
    return this.stopped;
  }

  async #live(urls: ReturnType<typeof buildUrls>): Promise<WorkerExit> {
    const shared = {
      transport: this.#transport,
      urls,
      timings: timingsOf(this.#settings.runpod),
      logger: this.#logger,
    };
    const dispatcher = this.#dispatcher;
    const listening = this.#guard(
      runStopChannel({ ...shared, stop: (id) => dispatcher.stopJob(id) }, this.#listening.signal),
    );
    const taking = this.#guard(
      runJobSource(
        { ...shared, slots: dispatcher, accept: (job) => dispatcher.accept(job), onContact: () => this.#onContact() },
        this.#taking.signal,
      ),
    );
    this.#logger.info({ workerId: this.#settings.runpod.workerId }, 'Worker started; asking for jobs.');
    await taking;
    await dispatcher.whenIdle();
    this.#listening.abort();
    await listening;
    await Promise.allSettled([this.#heartbeat.close(), this.#transport.close()]);
    return this.#end();
  }

  /** A loop ends only when told to; anything else is a defect, and the worker must not go on half alive. */
  async #guard(loop: Promise<void>): Promise<void> {
    try {
      await loop;
    } catch (error) {
      this.#failure ??= toComfyRunpodError(error);
      this.#logger.error({ code: this.#failure.code, error }, 'The worker failed.');
      this.#force('failed');
    }
  }

  #onContact(): void {
    if (this.#state.kind !== 'starting') return;
    this.#state = { kind: 'ready' };
    this.#logger.debug({}, 'RunPod has answered; the worker is ready.');
  }

  #drain(reason: EndReason): void {
    switch (this.#state.kind) {
      case 'starting':
      case 'ready':
        break;
      case 'draining':
      case 'stopped':
      case 'failed':
        return;
    }
    const ms = this.#settings.drainTimeoutMs ?? defaultDrainTimeoutMs;
    const deadline = setTimeout(() => this.#force('deadline'), Math.min(ms, 2_147_483_647));
    this.#state = { kind: 'draining', reason, deadline };
    this.#logger.info({ reason }, 'Draining: no more jobs are taken.');
    this.#taking.abort(new Error('the worker takes no more jobs'));
  }

  #force(reason: EndReason): void {
    this.#drain(reason);
    if (this.#state.kind !== 'draining') return;
    const { deadline } = this.#state;
    clearTimeout(deadline);
    // A worker that has nothing to give up and was draining anyway ends as cleanly as it would have.
    if (this.#dispatcher.busy() || reason !== 'deadline') this.#state = { kind: 'draining', reason, deadline };
    this.#logger.warn({ reason }, 'Giving up the jobs that are left.');
    void this.#dispatcher.giveUp();
  }

  #end(): WorkerExit {
    const draining = this.#state.kind === 'draining' ? this.#state : undefined;
    clearTimeout(draining?.deadline);
    const reason = draining?.reason ?? 'failed';
    const clean = reason === 'signal' || reason === 'refresh' || reason === 'recycle';
    const exit: WorkerExit = {
      code: clean ? 0 : 1,
      reason,
      ...(this.#failure !== undefined && { error: this.#failure }),
    };
    this.#state = this.#failure === undefined ? { kind: 'stopped', exit } : { kind: 'failed', exit };
    this.#logger.info({ reason, exitCode: exit.code }, 'Worker ended.');
    return exit;
  }
}
