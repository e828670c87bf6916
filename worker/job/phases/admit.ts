/** Phase 1: what RunPod delivered becomes a job input, or is refused before anything was touched. Pure. */
import { type JobInput, parseJobInput } from '../../../shared/index.ts';
import type { RunnerJob } from '../../types.ts';

/** A job that may run. */
export interface Admitted {
  readonly input: JobInput;
}

/** Reads a delivered job. Throws a coded error that names what is wrong with it. */
export function admitJob(job: RunnerJob): Admitted {
  return { input: parseJobInput(job.input) };
}
