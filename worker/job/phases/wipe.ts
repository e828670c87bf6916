/** Phase 6: everything of the job leaves the disk and ComfyUI's memory. */
import { compareNodeIds } from '../../../shared/index.ts';
import { listOutputs } from '../../outputs/index.ts';
import type { WipeReport } from '../../workspace/index.ts';
import { cleanUpMs, type JobRun } from './job-run.ts';

/** Wipes files and ComfyUI's memory of the run. Never throws. */
export function wipeJob(run: JobRun): Promise<WipeReport> {
  return run.ledger.time('wipeMs', () => wipe(run));
}

async function wipe(run: JobRun): Promise<WipeReport> {
  const { comfy } = run.support;
  const keep = run.input.debug === true;
  const named = run.ledger.executions.flatMap((execution) => listOutputs(execution.outputs, compareNodeIds).files);
  const forgotten = run.ledger.executions.map(async ({ promptId }) => {
    if (!keep) await comfy.forget(promptId, AbortSignal.timeout(cleanUpMs));
  });
  const [files, inputs] = await Promise.all([
    run.files.wipe(named, { keep }),
    run.inputs.release({ keep }),
    Promise.allSettled([...forgotten, ...run.asides]),
  ]);
  const report: WipeReport = {
    mode: files.mode,
    files: files.files + inputs.files,
    bytes: files.bytes + inputs.bytes,
    kept: [...files.kept, ...inputs.kept],
    ...(inputs.held > 0 && { held: inputs.held }),
  };
  if (report.mode === 'wiped' && report.kept.length > 0) {
    run.logger.error({ files: report.kept.length }, 'Files of the job could not be wiped');
  }
  return report;
}
