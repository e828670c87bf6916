/** What the phases of one job share. Each phase is one file beside this one; {@link file://./../run-job.ts} puts them in order. */
import type { ComfyRunpodError, JobInput } from '../../../shared/index.ts';
import type { ComfyConnection } from '../../comfy/index.ts';
import type { CollectedOutputs } from '../../outputs/index.ts';
import type { Logger, RunContext } from '../../types.ts';
import type { JobFiles, Workspace } from '../../workspace/index.ts';
import { JobLedger } from '../job-ledger.ts';
import { ProgressReporter } from '../progress-reporter.ts';

/** What jobs run with. */
export interface JobSupport {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly logger: Logger;
  readonly workerId: string;
  /** Default of `limits.stallMs` of a job, milliseconds. */
  readonly stallMs: number;
}

/** One admitted job on its way through the phases. */
export interface JobRun {
  readonly support: JobSupport;
  readonly logger: Logger;
  readonly input: JobInput;
  readonly context: RunContext;
  readonly ledger: JobLedger;
  readonly files: JobFiles;
  readonly progress: ProgressReporter;
  /** Every output folder that the job has had, oldest first. */
  readonly folders: string[];
}

/** How the work ended, before the wipe. */
export interface Ended {
  readonly collected?: CollectedOutputs;
  readonly failure?: ComfyRunpodError;
}

/** Cleaning up must not hang on a ComfyUI that hangs. */
export const cleanUpMs = 10_000;

/** Opens the files, the notes and the progress of an admitted job. */
export function openJobRun(support: JobSupport, logger: Logger, input: JobInput, context: RunContext): JobRun {
  const ledger = new JobLedger();
  const files = support.workspace.openJob();
  const progress = new ProgressReporter(context.onProgress, ledger.startedAt);
  progress.useWorkflow(input.workflow);
  return { support, logger, input, context, ledger, files, progress, folders: [files.folder] };
}
