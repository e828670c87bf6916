// A real worker against a real RunPod emulator over loopback, with a scripted runner of jobs. Everything is gone after the test.
import type { EndpointOptions, SeenRequest } from '../../sandbox/runpod/index.ts';
import { systemClock } from '../../sandbox/runpod/index.ts';
import {
  createLogger,
  type JobRunner,
  type RunpodConfig,
  type RunpodTimings,
  readWorkerConfig,
  startWorker,
  type Worker,
  type WorkerSettings,
} from '../../worker/index.ts';
import { afterThisTest, type Bench, startBench, until } from './runpod-emulator.ts';
import { ScriptedRunner } from './scripted-runner.ts';

/** How to start a worker bench; everything is optional. */
export interface WorkerBenchOptions {
  readonly endpoint?: Partial<EndpointOptions>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly timings?: Partial<RunpodTimings>;
  readonly settings?: Omit<WorkerSettings, 'runpod'>;
  readonly runner?: JobRunner;
  /** Changes the worker's own configuration. */
  readonly configure?: (config: RunpodConfig) => RunpodConfig;
}

/** A line of the worker's log. */
export type LogLine = {
  readonly level: string;
  readonly message: string;
  readonly requestId: string | null;
} & Readonly<Record<string, unknown>>;

const recordedBytes = 256 * 1024;

/** Pauses short enough for tests; their proportions stay. */
export const quickTimings: Partial<RunpodTimings> = {
  emptyPause: { baseMs: 20, maxMs: 100, jitter: 0 },
  failurePause: { baseMs: 20, maxMs: 200, jitter: 0 },
  unauthorizedPause: { baseMs: 50, maxMs: 200, jitter: 0 },
  rateLimitPauseMs: 200,
  stopPauseMs: 50,
  resultPause: { baseMs: 10, maxMs: 100, jitter: 0 },
  progressIntervalMs: 20,
};

/** An emulator, a public client of it, and room for one worker. */
export class WorkerBench {
  readonly bench: Bench;
  readonly runner: ScriptedRunner;
  readonly log: LogLine[] = [];
  readonly #options: WorkerBenchOptions;
  #worker: Worker | undefined;

  constructor(bench: Bench, options: WorkerBenchOptions) {
    this.bench = bench;
    this.#options = options;
    this.runner = new ScriptedRunner();
  }

  get emulator() {
    return this.bench.emulator;
  }

  get faults() {
    return this.bench.emulator.faults;
  }

  get worker(): Worker {
    if (!this.#worker) throw new Error('the worker is not started');
    return this.#worker;
  }

  /** Environment of a worker of the first endpoint. */
  environment(): Record<string, string | undefined> {
    const endpointId = this.emulator.endpointIds[0] ?? '';
    return {
      ...this.emulator.workerEnvironment({ endpointId, podId: 'pod-1', gpu: 'NVIDIA GeForce RTX 4090' }),
      COMFY_URL: 'http://127.0.0.1:1',
      ...this.#options.environment,
    };
  }

  /** Starts the worker. */
  start(): Worker {
    const { runpod } = readWorkerConfig(this.environment());
    if (!runpod) throw new Error('the environment of the emulator is not complete');
    const timed: RunpodConfig = { ...runpod, timings: { ...quickTimings, ...this.#options.timings } };
    const configured = this.#options.configure?.(timed) ?? timed;
    const write = (line: string) => void this.log.push(JSON.parse(line) as LogLine);
    const logger = createLogger({ level: 'debug', format: 'json', write });
    const worker = startWorker(
      { runpod: configured, giveUpTimes: { settleMs: 300, postMs: 1_000 }, ...this.#options.settings },
      { runner: this.#options.runner ?? this.runner, logger },
    );
    this.#worker = worker;
    afterThisTest(async () => {
      await worker.stop();
    });
    return worker;
  }

  /** Submits a job with `/run`. */
  run(input: unknown, extra: object = {}): Promise<string> {
    return this.bench.run({ input, ...extra });
  }

  /** Waits until the platform shows the job in one of its final statuses, and answers how it shows it. */
  async ended(id: string) {
    await until(() => /^(COMPLETED|FAILED|CANCELLED|TIMED_OUT)$/.test(this.emulator.inspect.job(id)?.status ?? ''));
    const job = this.emulator.inspect.job(id);
    if (!job) throw new Error('the job is gone');
    return { status: job.status, output: job.output(), error: job.error };
  }

  seen(route: SeenRequest['route']): readonly SeenRequest[] {
    return this.emulator.inspect.requestsSeen(route);
  }

  /** Final posts of one job, progress left out. */
  results(id: string): readonly SeenRequest[] {
    return this.seen('job-done').filter((post) => post.jobId === id && !post.body?.startsWith('{"status":'));
  }

  /** Progress posts of one job. */
  progress(id: string): readonly SeenRequest[] {
    return this.seen('job-done').filter((post) => post.jobId === id && post.body?.startsWith('{"status":') === true);
  }

  /** Lines of a level. */
  lines(level: string): readonly LogLine[] {
    return this.log.filter((line) => line.level === level);
  }
}

/** Starts an emulator with one endpoint and prepares a worker. */
export async function startWorkerBench(options: WorkerBenchOptions = {}): Promise<WorkerBench> {
  const bench = await startBench({
    clock: systemClock(),
    recordBodies: recordedBytes,
    endpoints: [{ id: 'ep1', pingIntervalMs: 1_000, ...options.endpoint }],
  });
  return new WorkerBench(bench, options);
}
