/** Phase 1: what RunPod delivered becomes a job input, whatever contract it was written for, or is refused before anything was touched. */
import {
  ComfyRunpodError,
  detectDialect,
  type JobRequest,
  readJobRequest,
  shapeFailure,
} from '../../../shared/index.ts';
import { createJsonBody } from '../../outputs/index.ts';
import type { JobOutcome, RunnerJob } from '../../types.ts';

/** Reads a delivered job. Throws a coded error that names what is wrong with it, in the words of its caller. */
export async function admitJob(job: RunnerJob, encryptionKey: string | undefined): Promise<JobRequest> {
  const request = await readJobRequest(job.input, encryptionKey === undefined ? {} : { fernetKey: encryptionKey });
  if (request.job.privacy === 'strict' && request.job.debug === true) {
    throw new ComfyRunpodError('INPUT_INVALID', 'debug keeps files and privacy strict leaves none: choose one.', {
      issues: [{ field: 'debug', message: 'not together with privacy strict' }],
    });
  }
  return request;
}

/** The outcome of a job that could not be read, as its caller's contract tells failures. */
export function refuseJob(job: RunnerJob, error: ComfyRunpodError): JobOutcome {
  const output = shapeFailure(detectDialect(job.input), error);
  return { kind: 'failed', error, ...(output !== undefined && { output: createJsonBody([JSON.stringify(output)]) }) };
}
