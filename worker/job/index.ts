/** One job through check, stage, run, collect, wipe; joins worker/comfy, worker/workspace and worker/outputs. */
import type { ComfyConnection } from '../comfy/index.ts';
import type { JobRunner, Logger } from '../types.ts';
import type { Workspace } from '../workspace/index.ts';
import { ComfyLane } from './comfy-lane.ts';
import { NodeTimes } from './node-times.ts';
import { defaultStallMs, runJob } from './run-job.ts';

/** What a job runner needs. It owns none of it. */
export interface JobRunnerOptions {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly logger: Logger;
  /** Told in receipts. */
  readonly workerId: string;
  /** Silence after which a run counts as stalled, milliseconds. Default: `limits.stallMs`. */
  readonly stallMs?: number;
}

/** Makes the runner that turns jobs into outcomes. Call `workspace.prepare` and `workspace.sweep` before the first job. */
export function createJobRunner(options: JobRunnerOptions): JobRunner {
  const support = {
    ...options,
    stallMs: options.stallMs ?? defaultStallMs,
    lane: new ComfyLane(),
    nodeTimes: new NodeTimes(),
  };
  return { run: (job, context) => runJob(support, job, context) };
}
