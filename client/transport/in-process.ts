/**
 * A job runner in this process as a {@link Transport}: no RunPod, no queue, no body limit. Used to point the client straight at a ComfyUI
 * (the glass box). Knows the runner by shape only, so that client/ never imports worker/.
 */
import {
  ComfyRunpodError,
  type ErrorOrigin,
  errorToWire,
  type HealthView,
  type JobView,
  type ProgressEvent,
  packageVersion,
} from '../../shared/index.ts';
import { abortableIterable } from './abortable-iterable.ts';
import type { Transport } from './transport.ts';

/** JSON text in pieces. */
export interface JsonChunks {
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** How a run ended, as a runner tells it. */
export type RunnerOutcome =
  | { readonly kind: 'completed'; readonly output: JsonChunks }
  | { readonly kind: 'failed'; readonly error: ComfyRunpodError; readonly output?: JsonChunks }
  | { readonly kind: 'cancelled' };

/** What runs the jobs: the worker's job runner has this shape. */
export interface InProcessRunner {
  run(
    job: { readonly id: string; readonly input: unknown },
    context: {
      readonly signal: AbortSignal;
      readonly resultLimitBytes: number;
      readonly onProgress: (event: ProgressEvent) => void;
    },
  ): Promise<RunnerOutcome>;
}

const origin: ErrorOrigin = { workerId: 'in-process', hostname: 'localhost', version: packageVersion };

/** One job: its latest view, who waits for the next, and what stops it. */
class LocalJob {
  readonly stop = new AbortController();
  readonly done: Promise<void>;
  #view: JobView;
  #version = 0;
  #waiters: (() => void)[] = [];

  constructor(id: string, input: unknown, runner: InProcessRunner) {
    this.#view = { id, status: 'IN_PROGRESS' };
    this.done = this.#run(id, input, runner);
  }

  get view(): JobView {
    return this.#view;
  }

  /** Views from now on, the last one terminal; a slow reader misses some. */
  async *views(signal: AbortSignal): AsyncGenerator<JobView, void, void> {
    for (;;) {
      signal.throwIfAborted();
      const seen = this.#version;
      yield this.#view;
      if (this.#view.status !== 'IN_PROGRESS') {
        if (seen !== this.#version) yield this.#view;
        return;
      }
      if (seen === this.#version) await this.#changed(signal);
    }
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  #show(view: JobView): void {
    this.#view = view;
    this.#version += 1;
    for (const wake of this.#waiters.splice(0)) wake();
  }

  async #run(id: string, input: unknown, runner: InProcessRunner): Promise<void> {
    const startedAt = performance.now();
    const end = (view: Partial<JobView> & { status: string }) =>
      this.#show({ id, delayTime: 0, executionTime: Math.round(performance.now() - startedAt), ...view });
    try {
      const outcome = await runner.run(
        { id, input },
        {
          signal: this.stop.signal,
          resultLimitBytes: Number.POSITIVE_INFINITY,
          onProgress: (event) => this.#show({ id, status: 'IN_PROGRESS', output: event }),
        },
      );
      switch (outcome.kind) {
        case 'completed':
          end({ status: 'COMPLETED', output: await readJson(outcome.output) });
          return;
        case 'failed':
          end({
            status: 'FAILED',
            error: errorToWire(outcome.error, origin),
            ...(outcome.output && { output: await readJson(outcome.output) }),
          });
          return;
        case 'cancelled':
          end({ status: 'CANCELLED' });
      }
    } catch (error) {
      const internal = new ComfyRunpodError('INTERNAL', 'The job runner broke its promise not to throw.', {
        cause: error,
      });
      end({ status: 'FAILED', error: errorToWire(internal, origin) });
    }
  }
}

/** Nothing is streamed here: ends with the job. */
async function* noValues(job: LocalJob, signal: AbortSignal): AsyncGenerator<unknown, void, void> {
  for await (const _view of job.views(signal)) yield* [];
}

async function readJson(body: JsonChunks): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body.chunks()) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString('utf8'));
}

/** Runs jobs with `runner`, one transport per runner. Closing stops the jobs that run and waits for them. */
export function createInProcessTransport(runner: InProcessRunner): Transport {
  const jobs = new Map<string, LocalJob>();
  let count = 0;
  const find = (id: string): LocalJob => {
    const job = jobs.get(id);
    if (job === undefined) throw new ComfyRunpodError('JOB_NOT_FOUND', 'This process runs no such job.');
    return job;
  };
  const health = (): HealthView => {
    const views = [...jobs.values()].map((job) => job.view.status);
    const inProgress = views.filter((status) => status === 'IN_PROGRESS').length;
    const failed = views.filter((status) => status === 'FAILED').length;
    const completed = views.filter((status) => status === 'COMPLETED').length;
    return {
      jobs: { completed, failed, inProgress, inQueue: 0, retried: 0 },
      workers: { idle: 1, initializing: 0, ready: 1, running: inProgress, throttled: 0, unhealthy: 0 },
    };
  };

  const transport: Transport = {
    async submit(submission, options = {}) {
      options.signal?.throwIfAborted();
      count += 1;
      const id = `local-${count}`;
      // The same text that RunPod would carry, so that both ways see the same values.
      const job = new LocalJob(id, JSON.parse(JSON.stringify(submission.input)), runner);
      jobs.set(id, job);
      return job.view;
    },
    status: async (id) => find(id).view,
    follow: (id, options = {}) => abortableIterable((signal) => find(id).views(signal), options.signal),
    stream: (id, signal, leaving) =>
      abortableIterable((live) => noValues(find(id), leaving ? AbortSignal.any([live, leaving]) : live), signal),
    async cancel(id) {
      const job = find(id);
      job.stop.abort(new ComfyRunpodError('JOB_CANCELLED', 'The job was cancelled.'));
      await job.done;
      return job.view;
    },
    health: async () => health(),
    purgeQueue: async () => ({ removed: 0 }),
    bodyLimit: () => Number.POSITIVE_INFINITY,
    async close() {
      for (const job of jobs.values()) job.stop.abort(new ComfyRunpodError('JOB_CANCELLED', 'The client was closed.'));
      await Promise.all([...jobs.values()].map((job) => job.done));
    },
    [Symbol.asyncDispose]: () => transport.close(),
  };
  return transport;
}
