/** Joins configuration, ComfyUI and the job runner: the one place that knows how the folders of the worker fit together. */
import type { WorkerConfig } from './config.ts';
import type { JobRunner, Logger } from './types.ts';

/** A runner and what it holds. */
export interface ComposedRunner {
  readonly runner: JobRunner;
  /** Ends ComfyUI when the worker started it, and wipes the workspace. Idempotent. */
  close(): Promise<void>;
}

/**
 * Makes the runner of a worker. Must not wait for ComfyUI: the worker asks for jobs while ComfyUI boots, and the runner waits inside its
 * first job. `signal` is aborted when the process ends.
 */
export type RunnerFactory = (config: WorkerConfig, logger: Logger, signal: AbortSignal) => Promise<ComposedRunner>;
