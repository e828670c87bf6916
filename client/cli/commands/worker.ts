/** `worker`: what the container image starts. It loads nothing of the sandbox, so that asking for jobs begins at once. */
import { runWorkerProcess } from '../../../worker/index.ts';
import type { Environment } from '../../config.ts';

/** Runs the worker. Signals, log and exit code are the worker's own business. */
export function workerCommand(environment: Environment): Promise<number> {
  return runWorkerProcess(environment);
}
