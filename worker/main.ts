/**
 * The worker as a process: environment -> configuration -> ComfyUI and runner -> worker. Signals, exit codes and the process itself are
 * touched here and nowhere else in worker/. Importing this file does nothing.
 *
 * 1. Signal handlers are installed before anything else: a worker that is told to stop while it starts obeys.
 * 2. First SIGTERM or SIGINT drains, the second gives up what is left, the third ends the process on the spot.
 * 3. The worker beats and asks for jobs before the runner is made; a job that arrives first waits for it. A runner that can't be made fails
 *    the jobs at hand with the reason and ends the process.
 * 4. A start that fails ends the process with the exit code of its stage. In interactive mode there is no job protocol at all.
 * 5. An exception that nobody caught is logged without its text, the jobs at hand get an error report, and the exit code is 1.
 */
import { bootExitCode, ComfyRunpodError, exitCodes, raceSignal, toComfyRunpodError } from '../shared/core.ts';
import { BootLog } from './boot/boot-log.ts';
import type { ComposedRunner, RunnerFactory } from './compose.ts';
import {
  type Environment,
  explainMissing,
  isInteractive,
  type LocalApiAddress,
  readLocalApi,
  readLogConfig,
  readWorkerConfig,
  type WorkerConfig,
} from './config.ts';
import { createRunner } from './lazy-runner.ts';
import { createLogger } from './logger.ts';
import type { KeepResult } from './runpod/index.ts';
import type { JobOutcome, JobRunner, Logger, RunContext, RunnerJob } from './types.ts';
import { startWorker } from './worker.ts';

/** The part of `process` that a worker process uses. */
export interface ProcessHost {
  on(event: string, listener: (...details: unknown[]) => void): unknown;
  off(event: string, listener: (...details: unknown[]) => void): unknown;
  exit(code: number): void;
}

/** A RunPod of this process's own, for SERVE_API_LOCALLY. */
export interface LocalApi {
  readonly url: string;
  /** What RunPod would set for the worker. */
  readonly environment: Environment;
  close(): Promise<void>;
}

/** Opens one. */
export type OpenApi = (address: LocalApiAddress) => Promise<LocalApi>;

/** Replaces parts of the process, for tests and for other runners. */
export interface WorkerProcessOptions {
  /** Default: ComfyUI, as the environment says. */
  readonly createRunner?: RunnerFactory;
  readonly host?: ProcessHost;
  /** Emulates RunPod for SERVE_API_LOCALLY. */
  readonly openApi?: OpenApi;
  /** Receives log lines. Default: standard output. */
  readonly write?: (line: string) => void;
  /** Receives what is wrong with the configuration, when a person started the worker. Default: standard error. */
  readonly writeError?: (text: string) => void;
}

/** How long ComfyUI may take to end after the last job. */
const closeTimeoutMs = 15_000;
const lastMomentMs = 1_000;
/** How long a start that is under way may go on when the worker has ended: a disk that never answers must not keep the process. */
const startGraceMs = 3_000;

/**
 * Runs a worker until it has ended and returns the exit code: 0 after a drain or a refresh, that of shared/boot.ts when the start failed. The
 * reason of a failure is the last line. Never rejects.
 */
export async function runWorkerProcess(environment: Environment, options: WorkerProcessOptions = {}): Promise<number> {
  const log = readLogConfig(environment);
  const logger = createLogger({ ...log, ...(options.write !== undefined && { write: options.write }) });
  const control = new ProcessControl(options.host ?? process, logger);
  const life: Life = {
    logger,
    control,
    boot: new BootLog(logger),
    createRunner: options.createRunner ?? createRunner,
    openApi: options.openApi,
  };
  try {
    const code = await live(environment, life);
    await closeRunner(life.composing, logger);
    return code;
  } catch (error) {
    await closeRunner(life.composing, logger);
    return reportFailure(error, log.format, logger, options.writeError ?? ((text) => process.stderr.write(text)));
  } finally {
    await life.closeApi?.().catch(() => undefined);
    control.dispose();
  }
}

/** One run of the process. */
interface Life {
  readonly logger: Logger;
  readonly control: ProcessControl;
  readonly boot: BootLog;
  readonly createRunner: RunnerFactory;
  readonly openApi: OpenApi | undefined;
  composing?: Promise<ComposedRunner> | undefined;
  closeApi?: () => Promise<void>;
}

async function live(given: Environment, life: Life): Promise<number> {
  const { logger, boot, control } = life;
  const environment = { ...given, ...(await openLocalApi(given, life)) };
  if (!isInteractive(environment)) {
    const missing = explainMissing(environment);
    if (missing) throw missing;
  }
  const config = readWorkerConfig(environment);
  for (const warning of config.warnings) logger.warn({}, warning);
  boot.sinceStart('environment');
  return config.boot.mode === 'interactive' ? liveInteractive(config, life) : liveTakingJobs(config, life, control);
}

/** With SERVE_API_LOCALLY the variables that RunPod would set come from the emulator in this process; it ends after the worker. */
async function openLocalApi(environment: Environment, life: Life): Promise<Environment> {
  const address = readLocalApi(environment);
  if (address === undefined) return {};
  const { openApi, boot, logger } = life;
  return boot.stage('api', async (note) => {
    if (!openApi)
      throw new ComfyRunpodError('CONFIG_INVALID', 'SERVE_API_LOCALLY works with `comfy-runpod worker` only.');
    const api = await openApi(address);
    life.closeApi = api.close;
    note(api.url);
    logger.info({ url: api.url }, 'RunPod is emulated here: /run and the others answer, with the API key `sandbox`.');
    return api.environment;
  });
}

async function liveTakingJobs(config: WorkerConfig, life: Life, control: ProcessControl): Promise<number> {
  const { logger, boot } = life;
  const { runpod, refreshWorker, concurrency, prefetch, drainTimeoutMs } = config;
  if (runpod === undefined) throw new TypeError('explainMissing and readWorkerConfig disagree');
  const runner = new PendingRunner();
  const settings = { runpod, refreshWorker, concurrency, prefetch, drainTimeoutMs };
  const keep: KeepResult = async (...result) => (await life.composing)?.keepResult?.(...result);
  const worker = startWorker(settings, { runner, logger, keepResult: keep });
  control.attach(worker);
  life.composing = runner.fill(
    worker.asked.then(() => {
      boot.sinceStart('jobs');
      return life.createRunner(config, logger, control.closing, boot);
    }),
  );
  const failed = watchBoot(life.composing, () => void worker.drain());
  const exit = await worker.stopped;
  if (exit.code !== 0) control.endForSure(exit.code);
  await startEnded(life, exit.code);
  if (failed.error !== undefined) throw failed.error;
  return control.crashed ? exitCodes.internal : exit.code;
}

/** The glass box: everything but the job protocol, until a signal comes. */
async function liveInteractive(config: WorkerConfig, life: Life): Promise<number> {
  const { logger, boot, control } = life;
  const ended = Promise.withResolvers<void>();
  const end = () => {
    ended.resolve();
    return ended.promise;
  };
  control.attach({ drain: end, stop: end });
  life.composing = life.createRunner(config, logger, control.closing, boot);
  const failed = watchBoot(life.composing, () => ended.resolve());
  logger.info({}, 'Interactive: no jobs are taken. ComfyUI and SSH are there until the container is stopped.');
  await ended.promise;
  await startEnded(life, 0);
  if (failed.error !== undefined) throw failed.error;
  return control.crashed ? exitCodes.internal : 0;
}

/** Waits for a start that is under way. One that does not end in time is left to itself, and the process ends without it. */
async function startEnded(life: Life, code: number): Promise<void> {
  const late = AbortSignal.timeout(startGraceMs);
  try {
    if (life.composing) await raceSignal(life.composing, late);
  } catch (error) {
    if (!late.aborted) throw error;
    life.logger.error({}, 'A stage of the start did not end; the process ends without it.');
    life.composing = undefined;
    life.control.endForSure(code, lastMomentMs);
  }
}

/** Calls `end` when a stage of the start fails, and keeps the reason. What comes after the end has begun is no failure of the start. */
function watchBoot(composing: Promise<ComposedRunner>, end: () => void): { readonly error?: Error } {
  const failed: { error?: Error } = {};
  composing
    .then((composed) => composed.booted)
    .catch((error: unknown) => {
      failed.error ??= toComfyRunpodError(error);
      end();
    });
  return failed;
}

function reportFailure(
  thrown: unknown,
  format: 'json' | 'text',
  logger: Logger,
  writeError: (text: string) => void,
): number {
  const error = toComfyRunpodError(thrown);
  if (format === 'json') logger.error({ code: error.code, error }, `${error.message} ${error.nextStep}`);
  else writeError(`${error.code}: ${error.message}\n${error.nextStep}\n`);
  return bootExitCode(error);
}

/** Runs jobs as soon as the runner behind it is made. */
class PendingRunner implements JobRunner {
  readonly #made = Promise.withResolvers<JobRunner>();

  constructor() {
    // A failure is reported by whoever fills it, and by every job.
    this.#made.promise.catch(() => undefined);
  }

  /** Hands over the runner, or the reason why there is none. */
  async fill(composing: Promise<ComposedRunner>): Promise<ComposedRunner> {
    try {
      const composed = await composing;
      this.#made.resolve(composed.runner);
      return composed;
    } catch (error) {
      this.#made.reject(error);
      throw error;
    }
  }

  async run(job: RunnerJob, context: RunContext): Promise<JobOutcome> {
    try {
      const runner = await raceSignal(this.#made.promise, context.signal);
      return await runner.run(job, context);
    } catch (error) {
      if (context.signal.aborted) return { kind: 'cancelled' };
      return { kind: 'failed', error: toComfyRunpodError(error) };
    }
  }
}

async function closeRunner(composing: Promise<ComposedRunner> | undefined, logger: Logger): Promise<void> {
  const composed = await composing?.catch(() => undefined);
  try {
    if (composed) await raceSignal(composed.close(), AbortSignal.timeout(closeTimeoutMs));
  } catch (error) {
    logger.error({ error }, 'Not everything could be closed.');
  }
}

/** What signals end. */
interface Stoppable {
  drain(): Promise<unknown>;
  stop(): Promise<unknown>;
}

/** Signals and uncaught exceptions of the process, and what they do to the worker. */
class ProcessControl {
  crashed = false;
  readonly #host: ProcessHost;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  #signals = 0;
  #worker: Stoppable | undefined;

  constructor(host: ProcessHost, logger: Logger) {
    this.#host = host;
    this.#logger = logger;
    for (const name of ['SIGTERM', 'SIGINT']) host.on(name, this.#onSignal);
    for (const name of ['uncaughtException', 'unhandledRejection']) host.on(name, this.#onCrash);
  }

  /** Aborted when what is left is given up, or when the process is about to end. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Hands over the worker; signals that came before count. */
  attach(worker: Stoppable): void {
    this.#worker = worker;
    if (this.crashed || this.#signals > 1) void worker.stop();
    else if (this.#signals === 1) void worker.drain();
  }

  /** Jobs that were given up may still hold the process; once everything else is closed, it ends without them. */
  endForSure(code: number, afterMs: number = closeTimeoutMs + lastMomentMs): void {
    setTimeout(() => this.#host.exit(code), afterMs).unref();
  }

  dispose(): void {
    this.#closing.abort();
    for (const name of ['SIGTERM', 'SIGINT']) this.#host.off(name, this.#onSignal);
    for (const name of ['uncaughtException', 'unhandledRejection']) this.#host.off(name, this.#onCrash);
  }

  readonly #onSignal = (name: unknown): void => {
    this.#signals += 1;
    this.#logger.info({ signal: String(name), count: this.#signals }, 'Signal received.');
    if (this.#signals === 1) void this.#worker?.drain();
    else if (this.#signals === 2) this.#stop();
    else this.#host.exit(exitCodes.internal);
  };

  readonly #onCrash = (error: unknown): void => {
    const thrown = error instanceof Error ? error : new TypeError('something that is not an Error was thrown');
    this.#logger.error({ code: 'INTERNAL', error: thrown }, 'Uncaught exception; the worker stops.');
    if (this.crashed) this.#host.exit(exitCodes.internal);
    this.crashed = true;
    this.#stop();
  };

  #stop(): void {
    if (this.#worker) void this.#worker.stop();
    else this.#closing.abort();
  }
}
