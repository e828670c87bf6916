/** Phase 7: how the work ended becomes the outcome that is delivered, with its receipt. */
import { buildEnvelope, type CollectedOutputs, tooLarge } from '../../outputs/index.ts';
import type { JobOutcome, JsonBody } from '../../types.ts';
import type { WipeReport } from '../../workspace/index.ts';
import { wrapperBytes } from './collect.ts';
import type { Ended, JobRun } from './job-run.ts';

/** Makes the outcome. */
export function concludeJob(run: JobRun, ended: Ended, wipe: WipeReport): JobOutcome {
  const { collected, failure } = ended;
  const { context, ledger } = run;
  if (context.signal.aborted) return { kind: 'cancelled' };
  const refresh = run.input.refresh === true ? { refresh: true } : {};
  ledger.bytesOut = collected?.artifacts.reduce((sum, artifact) => sum + artifact.described.size, 0) ?? 0;
  if (failure) {
    const output = collected && envelope(run, 'partial', collected, wipe);
    return { kind: 'failed', error: failure, ...(output && { output }), ...refresh };
  }
  const { resultLimitBytes } = context;
  const output = envelope(run, 'success', collected ?? { artifacts: [], values: [] }, wipe);
  if (output.byteLength + wrapperBytes > resultLimitBytes) {
    const files = collected?.artifacts.length ?? 0;
    return { kind: 'failed', error: tooLarge(output.byteLength, resultLimitBytes, files, ledger.bytesOut), ...refresh };
  }
  run.progress.enter('delivering');
  return { kind: 'completed', output, ...refresh };
}

function envelope(run: JobRun, status: 'success' | 'partial', collected: CollectedOutputs, wipe: WipeReport): JsonBody {
  const receipt = run.ledger.receipt(run.support.workerId, run.input.workflow, wipe);
  return buildEnvelope(status, collected, receipt);
}
