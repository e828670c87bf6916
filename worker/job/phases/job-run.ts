/** What the phases of one job share. Each phase is one file beside this one; {@link file://./../run-job.ts} puts them in order. */
import type {
  BootReport,
  ComfyRunpodError,
  JobInput,
  JobRequest,
  ProgressEvent,
  Receipt,
} from '../../../shared/index.ts';
import type { ComfyConnection } from '../../comfy/index.ts';
import { JobInputs, type JobInputsOptions } from '../../inputs/index.ts';
import type { CollectedOutputs, DeliveryPlaces } from '../../outputs/index.ts';
import type { BootFacts, Logger, RunContext, RunnerJob } from '../../types.ts';
import type { JobFiles, Workspace } from '../../workspace/index.ts';
import type { ComfyLane } from '../comfy-lane.ts';
import { type BudgetDeadline, jobBudget, startBudget } from '../job-budget.ts';
import { JobLedger } from '../job-ledger.ts';
import type { NodeTimes } from '../node-times.ts';
import type { GraphPolicy } from '../policy/graph-policy.ts';
import { ProgressReporter } from '../progress-reporter.ts';
import type { SeenKeys } from '../seen-keys.ts';

/** What jobs run with. */
export interface JobSupport {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly logger: Logger;
  readonly workerId: string;
  /** Text of ENCRYPTION_KEY, for encrypted requests. */
  readonly encryptionKey?: string;
  /** Default of `limits.stallMs` of a job, milliseconds. */
  readonly stallMs: number;
  /** Where results go that don't fit into the answer. */
  readonly delivery?: DeliveryPlaces;
  /** Where input files are held, and how addresses are fetched. */
  readonly inputs?: Pick<JobInputsOptions, 'store' | 'fetch'>;
  /** Throws `CONFIG_INVALID` when the workspace is not on the folders of this ComfyUI. Asked once ComfyUI answers. */
  readonly checkFolders?: (signal: AbortSignal) => Promise<void>;
  /** How the worker started. */
  readonly boot?: BootFacts;
  /** Called with the receipt of every job that has one. */
  readonly onReceipt?: (jobId: string, receipt: Receipt) => void;
  /** The report of the start, once: for the first result. */
  readonly firstReport: () => BootReport | undefined;
  /** What graphs may be. */
  readonly policy?: GraphPolicy;
  /** Submissions that were taken already. */
  readonly seenKeys: SeenKeys;
  /** The places of all jobs of this worker in ComfyUI. */
  readonly lane: ComfyLane;
  /** What nodes took in earlier jobs. */
  readonly nodeTimes: NodeTimes;
}

/** One admitted job on its way through the phases. */
export interface JobRun {
  readonly support: JobSupport;
  readonly logger: Logger;
  readonly job: RunnerJob;
  readonly input: JobInput;
  readonly request: JobRequest;
  readonly context: RunContext;
  readonly ledger: JobLedger;
  readonly files: JobFiles;
  /** Input files by reference. */
  readonly inputs: JobInputs;
  readonly progress: ProgressReporter;
  /** The job's clocks. */
  readonly budget: BudgetDeadline;
  /** Every output folder that the job has had, oldest first. */
  readonly folders: string[];
  /** Small things that go on beside the collecting and end before the receipt is written. None of them rejects. */
  readonly asides: Promise<void>[];
}

/** How the work ended, before the wipe. */
export interface Ended {
  readonly collected?: CollectedOutputs;
  readonly failure?: ComfyRunpodError;
}

/** Cleaning up must not hang on a ComfyUI that hangs. */
export const cleanUpMs = 10_000;

/** Opens the files, the notes, the clocks and the progress of an admitted job. Dispose `budget`. */
export function openJobRun(
  support: JobSupport,
  logger: Logger,
  job: RunnerJob,
  request: JobRequest,
  context: RunContext,
): JobRun {
  const input = request.job;
  const ledger = new JobLedger(context.takenAt);
  const files = support.workspace.openJob();
  const inputs = new JobInputs({ ...support.inputs, holdSeconds: input.hold?.seconds });
  const progress = new ProgressReporter(progressFor(request, context), ledger.startedAt);
  progress.useWorkflow(input.workflow);
  const budget = startBudget(jobBudget(input, context), context.signal);
  const folders = [files.folder];
  return {
    support,
    logger,
    job,
    request,
    input,
    context,
    ledger,
    files,
    inputs,
    progress,
    budget,
    folders,
    asides: [],
  };
}

/** Callers of other contracts see progress in their own words, or none. */
function progressFor(request: JobRequest, context: RunContext): (event: ProgressEvent) => void {
  if (request.dialect === 'canonical') return context.onProgress;
  return (event) => {
    const output = request.respond.progress(event);
    if (output !== undefined) context.onForeignProgress?.(output);
  };
}
