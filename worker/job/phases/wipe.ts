/** Phase 6: everything of the job leaves the disk and ComfyUI's memory. */
import { compareNodeIds } from '../../../shared/index.ts';
import { listOutputs } from '../../outputs/index.ts';
import type { WipeReport } from '../../workspace/index.ts';
import { scrubComfy } from '../scrub-comfy.ts';
import { cleanUpMs, type JobRun } from './job-run.ts';

/** What was wiped, files and memory. */
export interface JobWipe extends WipeReport {
  /** With `privacy: strict`: ComfyUI's caches were freed and its memory of the last graph was overwritten. */
  readonly strict?: boolean;
}

/** Wipes files and ComfyUI's memory of the run. Never throws. */
export function wipeJob(run: JobRun): Promise<JobWipe> {
  return run.ledger.time('wipeMs', () => wipe(run));
}

async function wipe(run: JobRun): Promise<JobWipe> {
  const { comfy } = run.support;
  const keep = run.input.debug === true;
  const named = run.ledger.executions.flatMap((execution) => listOutputs(execution.outputs, compareNodeIds).files);
  const forgotten = run.ledger.executions.map(async ({ promptId }) =>
    keep ? false : comfy.forget(promptId, AbortSignal.timeout(cleanUpMs)).catch(() => false),
  );
  const [files, inputs] = await Promise.all([
    run.files.wipe(named, { keep }),
    run.inputs.release({ keep }),
    Promise.allSettled([...forgotten, ...run.asides]),
  ]);
  const gone = (await Promise.all(forgotten)).every(Boolean);
  const strict = run.input.privacy === 'strict' ? await scrubComfy(run) : undefined;
  const report: JobWipe = {
    mode: files.mode,
    files: files.files + inputs.files,
    bytes: files.bytes + inputs.bytes,
    kept: [...files.kept, ...inputs.kept],
    ...(files.verified !== undefined && { verified: files.verified && gone && inputs.kept.length === 0 }),
    ...(files.unattributed !== undefined && { unattributed: files.unattributed }),
    ...(strict !== undefined && { strict }),
    ...(inputs.held > 0 && { held: inputs.held }),
  };
  if (report.mode === 'wiped' && report.kept.length > 0) {
    run.logger.error({ code: 'WIPE_FAILED', files: report.kept.length }, 'Files of the job could not be wiped');
  }
  return report;
}
