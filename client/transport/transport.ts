/**
 * The seam between the client and what runs its jobs: RunPod's public API (transport/runpod) or a job runner in this process
 * (transport/in-process.ts). A transport throws coded errors only, except that an aborted signal rejects with the signal's own reason.
 */
import type { HealthView, JobView } from '../../shared/index.ts';

/** `run`: asynchronous, 10 MiB each way, result kept 30 minutes. `runsync`: 20 MiB, kept 1 minute (RunPod protocol notes §1.7). */
export type SubmitRoute = 'run' | 'runsync';

/** RunPod's `policy` of one job, milliseconds (RunPod protocol notes §1.4). */
export interface JobPolicy {
  /** Longest run on a worker. */
  readonly executionTimeout?: number;
  /** Longest life of the job, queue included; then RunPod deletes it. */
  readonly ttl?: number;
  readonly lowPriority?: boolean;
}

/** What is submitted: the body of `/run`. */
export interface Submission {
  readonly input: Readonly<Record<string, unknown>>;
  readonly policy?: JobPolicy;
  /** Absolute address that RunPod posts the finished job to. */
  readonly webhook?: string;
}

/** Options of {@link Transport.submit}. */
export interface SubmitOptions {
  readonly signal?: AbortSignal;
  /** Default `run`. */
  readonly route?: SubmitRoute;
  /** How long `/runsync` holds the answer back, milliseconds; clamped to RunPod's bounds. */
  readonly waitMs?: number;
}

/** Options of {@link Transport.follow}. */
export interface FollowOptions {
  readonly signal?: AbortSignal;
  /** Also report views that only bring new progress. Costs status requests beside the long poll. */
  readonly progress?: boolean;
}

/** Answer of `/purge-queue`. */
export interface PurgeResult {
  /** Queued jobs that were removed. */
  readonly removed: number;
}

/** Runs jobs somewhere. */
export interface Transport extends AsyncDisposable {
  /** Submits once. Throws `SUBMIT_UNCERTAIN` when the job may be queued without its id being known. */
  submit(submission: Submission, options?: SubmitOptions): Promise<JobView>;
  /** The job as it is now. Throws `JOB_NOT_FOUND` when it is unknown or expired. */
  status(id: string, signal?: AbortSignal): Promise<JobView>;
  /** Views of the job as they become known, the last one terminal. Leaving the iteration stops every request. */
  follow(id: string, options?: FollowOptions): AsyncIterable<JobView>;
  /**
   * Values that a streaming worker yields, each once and in order (RunPod protocol notes §1.8). `signal` cuts it off; `leaving` ends it too, but
   * only after the answer that is arriving: RunPod hands out what is in it once.
   */
  stream(id: string, signal?: AbortSignal, leaving?: AbortSignal): AsyncIterable<unknown>;
  cancel(id: string, signal?: AbortSignal): Promise<JobView>;
  health(signal?: AbortSignal): Promise<HealthView>;
  purgeQueue(signal?: AbortSignal): Promise<PurgeResult>;
  /** Largest submit body in bytes, or Infinity. */
  bodyLimit(route: SubmitRoute): number;
  /** Ends open requests and connections. Idempotent. */
  close(): Promise<void>;
}
