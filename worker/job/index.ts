/** One job through check, stage, run, collect, wipe; joins worker/comfy, worker/workspace and worker/outputs. */
import { isAction, type Receipt } from '../../shared/index.ts';
import type { ComfyConnection } from '../comfy/index.ts';
import type { JobInputsOptions } from '../inputs/index.ts';
import type { DeliveryPlaces } from '../outputs/index.ts';
import type { BootFacts, JobRunner, Logger } from '../types.ts';
import type { Workspace } from '../workspace/index.ts';
import { ComfyLane } from './comfy-lane.ts';
import { answerAction } from './introspection/answer-action.ts';
import { NodeTimes } from './node-times.ts';
import type { GraphPolicy } from './policy/graph-policy.ts';
import { defaultStallMs, runJob } from './run-job.ts';
import { SeenKeys } from './seen-keys.ts';

/** What a job runner needs. It owns none of it. */
export interface JobRunnerOptions {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly logger: Logger;
  /** Told in receipts. */
  readonly workerId: string;
  /** Silence after which a run counts as stalled, milliseconds. Default: `limits.stallMs`. */
  readonly stallMs?: number;
  /** Throws `CONFIG_INVALID` when the workspace is not on the folders of this ComfyUI. Asked once ComfyUI answers. */
  readonly checkFolders?: (signal: AbortSignal) => Promise<void>;
  /** What graphs may be. Default: all that ComfyUI can run, within `limits`. */
  readonly policy?: GraphPolicy;
  /** Where results go that don't fit into the answer. Default: nowhere but /stream. */
  readonly delivery?: DeliveryPlaces;
  /** Where input files are held for later jobs, and how addresses are fetched. Default: nothing is held, public hosts only. */
  readonly inputs?: Pick<JobInputsOptions, 'store' | 'fetch'>;
  /** Text of ENCRYPTION_KEY, for encrypted requests. */
  readonly encryptionKey?: string;
  /** Folder on a network volume where the keys of submissions are kept. Default: they are known to this worker only. */
  readonly keyFolder?: string;
  /** Name of the container image, for `describe`. */
  readonly image?: string;
  /** How the worker started. */
  readonly boot?: BootFacts;
  /** Called with the receipt of every job that has one. */
  readonly onReceipt?: (jobId: string, receipt: Receipt) => void;
  /** Folders whose space `describe` tells, by what they are for. */
  readonly folders?: Readonly<Record<string, string>>;
}

/** Makes the runner that turns jobs into outcomes. Call `workspace.prepare` and `workspace.sweep` before the first job. */
export function createJobRunner(options: JobRunnerOptions): JobRunner {
  const support = {
    ...options,
    stallMs: options.stallMs ?? defaultStallMs,
    lane: new ComfyLane(),
    nodeTimes: new NodeTimes(),
    seenKeys: new SeenKeys(options.keyFolder),
    firstReport: once(options.boot?.report),
  };
  const { workerId, image, boot, folders = {} } = options;
  const known = { ...(image !== undefined && { image }), ...(boot && { boot }) };
  const facts = { workerId, startedAt: performance.now(), folders, ...known };
  return {
    run: (job, context) =>
      isAction(job.input) ? answerAction(options.comfy, facts, job.input, context) : runJob(support, job, context),
  };
}

/** Answers what `ask` says at the first call, and nothing later. */
function once<T>(ask: (() => T) | undefined): () => T | undefined {
  let asked = false;
  return () => {
    if (asked) return undefined;
    asked = true;
    return ask?.();
  };
}
