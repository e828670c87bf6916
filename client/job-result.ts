/**
 * What a terminal job view means. Invariant: success is only what carries a result envelope of this contract; a COMPLETED job with
 * anything else is a failure that says so, never a silent success.
 */
import {
  ComfyRunpodError,
  contractVersion,
  errorFromWire,
  type JobView,
  type ResultEnvelope,
  readResultEnvelope,
} from '../shared/index.ts';

/** Facts about the job that RunPod tells, milliseconds. */
export interface JobTimes {
  /** From submission to the start of the last attempt. */
  readonly delayMs?: number;
  /** The last attempt on a worker. */
  readonly executionMs?: number;
}

interface Ended {
  readonly jobId: string;
  readonly times: JobTimes;
}

/** How a job ended. Ordinary endings are values; only a wait that could not be finished throws. */
export type JobResult =
  | (Ended & { readonly kind: 'succeeded'; readonly envelope: ResultEnvelope })
  /** `partial`: what was made before the failure. */
  | (Ended & { readonly kind: 'failed'; readonly error: ComfyRunpodError; readonly partial?: ResultEnvelope })
  | (Ended & { readonly kind: 'cancelled'; readonly error: ComfyRunpodError })
  /** No worker took the job in time, or RunPod lost it. */
  | (Ended & { readonly kind: 'timedOut'; readonly error: ComfyRunpodError });

/** Reads a terminal view. A view with any other status is a defect of the caller and throws `INTERNAL`. */
export function readJobResult(view: JobView): JobResult {
  const ended: Ended = {
    jobId: view.id,
    times: {
      ...(view.delayTime !== undefined && { delayMs: view.delayTime }),
      ...(view.executionTime !== undefined && { executionMs: view.executionTime }),
    },
  };
  const details = { jobId: view.id };
  switch (view.status) {
    case 'COMPLETED':
      return completed(view, ended);
    case 'FAILED':
      return failed(view, ended);
    case 'CANCELLED':
      return {
        ...ended,
        kind: 'cancelled',
        error: new ComfyRunpodError('JOB_CANCELLED', 'The job was cancelled.', { details }),
      };
    case 'TIMED_OUT':
      return {
        ...ended,
        kind: 'timedOut',
        error: new ComfyRunpodError('JOB_TIMED_OUT', 'RunPod gave the job up before it was done.', { details }),
      };
    default:
      throw new ComfyRunpodError('INTERNAL', 'A result was read from a job that is not done.', { details });
  }
}

function completed(view: JobView, ended: Ended): JobResult {
  // RunPod shows an `error` only for failures; a job that carries one did not succeed whatever its status says.
  if (view.error !== undefined && view.error !== null && view.error !== '') return failed(view, ended);
  const fail = (message: string, nextStep?: string, partial?: ResultEnvelope): JobResult => ({
    ...ended,
    kind: 'failed',
    error: new ComfyRunpodError('RESULT_INVALID', message, {
      details: { jobId: view.id },
      ...(nextStep !== undefined && { nextStep }),
    }),
    ...(partial && { partial }),
  });
  if (view.output === undefined || view.output === null) {
    return fail(
      "The job is COMPLETED but carries no output. The usual cause is a result over RunPod's limit, which the platform drops.",
      "Check the worker's log for a refused job-done, and that the endpoint runs a comfy-runpod worker.",
    );
  }
  const envelope = readResultEnvelope(view.output);
  if (envelope === undefined)
    return fail(`The job is COMPLETED with an output that is no comfy-runpod result (${shape(view.output)}).`);
  if (envelope.contract > contractVersion) {
    return fail(
      `The worker speaks contract ${envelope.contract}, this client ${contractVersion}.`,
      'Update comfy-runpod on this machine to the version of the worker image.',
    );
  }
  if (envelope.status === 'partial')
    return fail('The job is COMPLETED but its result says that it is partial.', undefined, envelope);
  if (envelope.artifacts.length === 0 && envelope.values.length === 0) {
    return {
      ...ended,
      kind: 'failed',
      error: new ComfyRunpodError('OUTPUT_NONE', 'The run ended without any output.', { details: { jobId: view.id } }),
    };
  }
  return { ...ended, kind: 'succeeded', envelope };
}

function failed(view: JobView, ended: Ended): JobResult {
  const text = typeof view.error === 'string' ? view.error : view.error === undefined ? '' : JSON.stringify(view.error);
  const read =
    text === '' ? new ComfyRunpodError('JOB_FAILED', 'The job failed without a message.') : errorFromWire(text);
  const error = new ComfyRunpodError(read.code, read.message, {
    issues: read.issues,
    details: { ...read.details, jobId: view.id, ...(view.workerId !== undefined && { workerId: view.workerId }) },
    nextStep: read.nextStep,
  });
  if (error.code === 'JOB_CANCELLED') return { ...ended, kind: 'cancelled', error };
  const partial = readResultEnvelope(view.output);
  return { ...ended, kind: 'failed', error, ...(partial && { partial }) };
}

/** What an output looks like, without its content. */
function shape(output: unknown): string {
  if (Array.isArray(output)) return `an array of ${output.length}`;
  if (typeof output !== 'object' || output === null) return `a ${typeof output}`;
  const keys = Object.keys(output)
    .slice(0, 5)
    .map((key) => key.slice(0, 30));
  return `an object with the keys ${keys.join(', ') || 'none'}`;
}
