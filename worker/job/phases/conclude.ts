/** Phase 7: how the work ended becomes the outcome that is delivered, with its receipt, in the words of the job's contract. */
import {
  ComfyRunpodError,
  contractVersion,
  type ForeignDelivery,
  type ResultEnvelope,
  type ResultFacts,
} from '../../../shared/index.ts';
import {
  type BodyPart,
  buildEnvelope,
  type CollectedArtifact,
  type CollectedOutputs,
  createJsonBody,
  tooLarge,
} from '../../outputs/index.ts';
import type { JobOutcome, JsonBody } from '../../types.ts';
import { wrapperBytes } from './collect.ts';
import type { Ended, JobRun } from './job-run.ts';
import type { JobWipe } from './wipe.ts';

/** Makes the outcome. A failure is `failed` in every contract. */
export async function concludeJob(run: JobRun, ended: Ended, wipe: JobWipe): Promise<JobOutcome> {
  const { collected, failure } = ended;
  const { context, ledger } = run;
  const recycle = isSpoilt(run, wipe) ? { recycle: true } : {};
  if (context.signal.aborted) return { kind: 'cancelled', ...recycle };
  const after = { ...(run.input.refresh === true && { refresh: true }), ...recycle };
  noteLeftovers(run, wipe);
  ledger.bytesOut = collected?.artifacts.reduce((sum, artifact) => sum + artifact.described.size, 0) ?? 0;
  const fail = (error: ComfyRunpodError, output?: JsonBody): JobOutcome => ({
    kind: 'failed',
    error,
    ...(output && { output }),
    ...after,
  });
  if (failure) {
    return fail(failure, collected ? await answer(run, collected, wipe, failure) : failureAnswer(run, failure));
  }
  const { resultLimitBytes } = context;
  const output = await answer(run, collected ?? { artifacts: [], values: [] }, wipe);
  if (output.byteLength + wrapperBytes > resultLimitBytes) {
    const files = collected?.artifacts.length ?? 0;
    const error = tooLarge(output.byteLength, resultLimitBytes, files, ledger.bytesOut);
    return fail(error, failureAnswer(run, error));
  }
  run.progress.enter('delivering');
  return { kind: 'completed', output, ...after };
}

/** The worker must not have another job: files of this one remain, or its prompt can't be stopped. */
function isSpoilt({ ledger }: JobRun, wipe: JobWipe): boolean {
  return hasLeftovers(wipe) || ledger.executions.some((execution) => execution.stuck === true);
}

function hasLeftovers(wipe: JobWipe): boolean {
  return wipe.mode === 'wiped' && wipe.kept.length > 0;
}

/** A result is not taken back because its files could not be wiped; its receipt says so. */
function noteLeftovers({ ledger }: JobRun, wipe: JobWipe): void {
  if (!hasLeftovers(wipe)) return;
  const { nextStep } = new ComfyRunpodError('WIPE_FAILED', '');
  ledger.warnings.push({ message: `WIPE_FAILED: ${wipe.kept.length} files could not be wiped. ${nextStep}` });
}

async function answer(
  run: JobRun,
  collected: CollectedOutputs,
  wipe: JobWipe,
  failure?: ComfyRunpodError,
): Promise<JsonBody> {
  const { request, support } = run;
  const status: ResultEnvelope['status'] = failure ? 'partial' : 'success';
  const boot = run.context.rehearsal === true ? undefined : support.firstReport();
  const receipt = { ...run.ledger.receipt(support.workerId, run.input.workflow, wipe), ...(boot && { boot }) };
  support.onReceipt?.(run.job.id, receipt);
  if (request.dialect === 'canonical') return buildEnvelope(status, collected, receipt);
  const result: ResultFacts = {
    kind: 'comfy-runpod/result',
    contract: contractVersion,
    status,
    artifacts: collected.artifacts.map((artifact) => artifact.described),
    values: [...collected.values],
    receipt,
  };
  const segments = await request.respond.result(result, failure, collected.artifacts.map(foreignDelivery));
  const parts: BodyPart[] = [];
  for (const segment of segments) {
    if (typeof segment === 'string') {
      parts.push(segment);
      continue;
    }
    const artifact = collected.artifacts[segment.artifact];
    if (!artifact || !('bytes' in artifact)) throw new TypeError('an artifact is not in the answer');
    if (segment.form === 'base64') parts.push({ base64: artifact.bytes });
    else parts.push(await request.respond.seal(new Uint8Array(artifact.bytes)));
  }
  return createJsonBody(parts);
}

function foreignDelivery(artifact: CollectedArtifact): ForeignDelivery | undefined {
  if ('bytes' in artifact) return undefined;
  if (artifact.delivery.via === 'chunked') throw new TypeError('an artifact went where its caller does not look');
  return artifact.delivery;
}

function failureAnswer({ request }: JobRun, error: ComfyRunpodError): JsonBody | undefined {
  const output = request.respond.failure(error);
  return output === undefined ? undefined : createJsonBody([JSON.stringify(output)]);
}
