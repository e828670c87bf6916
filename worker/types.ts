/**
 * The seams between the folders of the worker: what a job is to the runner, what the runner answers, and the logger. worker/runpod
 * takes jobs and delivers outcomes, worker/job makes outcomes out of jobs, worker/worker.ts joins the two.
 */
import type { BootReport, ComfyRunpodError, MissingModel, ProgressEvent, ResultCounts } from '../shared/index.ts';

/** JSON text whose exact length is known before it is sent and which can be sent more than once (a retried POST). */
export interface JsonBody {
  /** Exact length in bytes of UTF-8. */
  readonly byteLength: number;
  /** The text in pieces. Every call starts from the beginning. */
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** A job as RunPod delivered it, reduced to what the runner needs. `input` is untrusted. */
export interface RunnerJob {
  readonly id: string;
  readonly input: unknown;
  /** Where the caller wants results, as RunPod handed it over. Untrusted; holds keys. */
  readonly s3Config?: unknown;
}

/** What accompanies one run. */
export interface RunContext {
  /** Aborted when the job is stopped (RunPod's stop channel, Ctrl-C) or the worker gives it up. */
  readonly signal: AbortSignal;
  /** RunPod's executionTimeout for this job in milliseconds, when known. It counts from the take; the runner ends before it. */
  readonly executionTimeoutMs?: number;
  /** When the job was taken, from `performance.now()`. Default: when `run` was called. */
  readonly takenAt?: number;
  /** Largest job-done body in bytes, or Infinity when results don't travel through RunPod. */
  readonly resultLimitBytes: number;
  /**
   * Posts a value to /stream, after all earlier ones; resolves once RunPod has it. Throws a coded error, or the reason of a signal. Absent
   * where nobody reads /stream.
   */
  readonly postChunk?: (body: JsonBody, signal: AbortSignal) => Promise<void>;
  /** Called with snapshots, in order, never after `run` has settled. Throttling is the receiver's business. */
  readonly onProgress: (event: ProgressEvent) => void;
  /** The same for a job of another contract than ours, with what its callers understand. Default: nothing is told. */
  readonly onForeignProgress?: (output: unknown) => void;
  /** Called when the job's prompt begins to run in ComfyUI: what came before was staging, and waiting for the job ahead of it. */
  readonly onGpuBusy?: () => void;
  /**
   * Called at most once, when ComfyUI is done with the job for good: what follows (collecting, encoding, wiping) may overlap with the next
   * job. Not called when the next job must wait for the end of `run`.
   */
  readonly onGpuFree?: () => void;
  /** Not for a caller: a warm-up. */
  readonly rehearsal?: boolean;
  /** Called when the job wrote where another job may write too: for a while no job should be put into ComfyUI's queue ahead of time. */
  readonly onSharedOutput?: () => void;
  /** Results of this worker that RunPod did not take. Absent where results don't travel through RunPod. */
  readonly results?: () => ResultCounts;
}

/**
 * How a job ended. The runner never throws: every ending is one of these, and by then the job's files are wiped (or kept, as the receipt in
 * `output` says). `completed`: `output` is the result envelope. `failed`: `output`, when there, holds what was made before the failure.
 * `cancelled`: the signal ended it; nothing is to be posted. `refresh`: the job asks for a fresh worker after it. `recycle`: the worker can't
 * be trusted with another job, whatever became of this one: files of it may remain, or its prompt is stuck in ComfyUI.
 */
export type JobOutcome =
  | {
      readonly kind: 'completed';
      readonly output: JsonBody;
      readonly refresh?: boolean;
      readonly recycle?: boolean;
    }
  | {
      readonly kind: 'failed';
      readonly error: ComfyRunpodError;
      readonly output?: JsonBody;
      readonly refresh?: boolean;
      readonly recycle?: boolean;
    }
  | { readonly kind: 'cancelled'; readonly recycle?: boolean };

/** What jobs and introspection are told of the worker's start. */
export interface BootFacts {
  readonly report: () => BootReport;
  /** Models that the worker should have and has not. */
  readonly missingModels: () => readonly MissingModel[];
}

/** Turns jobs into outcomes. */
export interface JobRunner {
  run(job: RunnerJob, context: RunContext): Promise<JobOutcome>;
}

/** Structured logger: fields first, then a fixed message without user content. A subset of pino's. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds these fields to every line. */
  child(fields: object): Logger;
}
