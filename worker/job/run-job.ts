/**
 * One job from its input to its outcome: admit -> plan -> stage -> execute -> collect -> wipe -> conclude, each a file of phases/.
 *
 * 1. It never throws and always wipes, whatever happens.
 * 2. Files are read into memory before they are wiped, and measured against the limit before they are read.
 * 3. A run that failed, or that lost one of its files, still delivers what it made, beside the error.
 * 4. The next job may have ComfyUI as soon as the run has ended; everything after that overlaps with it.
 * 5. A run is repeated at most once: out of memory (after freeing it), or a file that ComfyUI named and that is not there.
 */
import { ComfyRunpodError, type JobRequest, limits, toComfyRunpodError } from '../../shared/index.ts';
import type { JobOutcome, RunContext, RunnerJob } from '../types.ts';
import { admitJob, refuseJob } from './phases/admit.ts';
import { collectFailed, collectJob, isIncomplete } from './phases/collect.ts';
import { concludeJob } from './phases/conclude.ts';
import { executeOnce, prepareRepeat, releaseComfy } from './phases/execute.ts';
import { type Ended, type JobRun, type JobSupport, openJobRun } from './phases/job-run.ts';
import { planJob } from './phases/plan.ts';
import { stageJob } from './phases/stage.ts';
import { wipeJob } from './phases/wipe.ts';

/** Runs one job. Never throws. */
export async function runJob(support: JobSupport, job: RunnerJob, context: RunContext): Promise<JobOutcome> {
  const logger = support.logger.child({ jobId: job.id });
  let request: JobRequest;
  try {
    context.signal.throwIfAborted();
    request = await admitJob(job, support.encryptionKey);
    await refuseSecond(support, request, job);
  } catch (error) {
    if (context.signal.aborted) return { kind: 'cancelled' };
    const failure = toComfyRunpodError(error);
    logger.warn({ code: failure.code }, 'Job refused');
    return refuseJob(job, failure);
  }
  try {
    const run = openJobRun(support, logger, job, request, context);
    using _clocks = run.budget;
    const outcome = await finish(run);
    const { key } = request.job;
    // Only a result is worth being sent to; whatever failed may be tried again under the same key.
    if (key !== undefined && outcome.kind !== 'completed') await support.seenKeys.release(key, job.id);
    return outcome;
  } catch (error) {
    const failure = toComfyRunpodError(error);
    logger.error({ code: failure.code, kind: error instanceof Error ? error.name : typeof error }, 'Job broke down');
    return { kind: 'failed', error: failure };
  }
}

/** Throws `JOB_DUPLICATE` for the second job of one submission. RunPod's own repeat of a job has the same id and runs. */
async function refuseSecond(support: JobSupport, { job: { key } }: JobRequest, job: RunnerJob): Promise<void> {
  const first = key === undefined ? undefined : await support.seenKeys.claim(key, job.id);
  if (first === undefined) return;
  throw new ComfyRunpodError('JOB_DUPLICATE', `This submission arrived twice: it was taken as job ${first}.`, {
    details: { firstJobId: first },
  });
}

async function finish(run: JobRun): Promise<JobOutcome> {
  const ended = await work(run);
  const wipe = await wipeJob(run);
  const outcome = await concludeJob(run, ended, wipe);
  run.progress.end();
  const fields = { ms: run.ledger.elapsedMs(), wipedFiles: wipe.files, wipedBytes: wipe.bytes };
  if (outcome.kind === 'failed') run.logger.warn({ ...fields, code: outcome.error.code }, 'Job failed');
  else run.logger.info(fields, outcome.kind === 'completed' ? 'Job completed' : 'Job cancelled');
  return outcome;
}

async function work(run: JobRun): Promise<Ended> {
  const { signal } = run.budget;
  try {
    const { plan, ahead } = await planJob(run, signal);
    const staged = await stageJob(run, plan, ahead, signal);
    for (let attempt = 0; ; attempt++) {
      const execution = await executeOnce(run, plan, staged, signal);
      const { failure } = execution;
      const mayRepeat = attempt === 0 && !signal.aborted;
      if (failure?.code === 'OUT_OF_MEMORY' && mayRepeat && (await prepareRepeat(run, 'out of memory', signal)))
        continue;
      releaseComfy(run, execution);
      if (failure) return await collectFailed(run, failure, execution, signal);
      try {
        return await collectJob(run, plan, execution, signal);
      } catch (error) {
        const problem = toComfyRunpodError(error);
        const isLate = signal.aborted;
        const again = problem.code === 'OUTPUT_MISSING' && mayRepeat && !isLate;
        if (again && (await prepareRepeat(run, 'a named file is missing', signal))) continue;
        // What a run has made is not thrown away because a file is missing or the job's time has ended meanwhile.
        if (isIncomplete(problem) || isLate) return await collectFailed(run, problem, execution, signal);
        throw problem;
      }
    }
  } catch (error) {
    return { failure: toComfyRunpodError(error) };
  }
}

/** Default of {@link JobSupport.stallMs}. */
export const defaultStallMs = limits.stallMs;
