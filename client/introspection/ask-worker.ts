/** Submits an introspection job and waits for its answer. */
import {
  ComfyRunpodError,
  contractVersion,
  createDeadline,
  isTerminalStatus,
  type JobView,
} from '../../shared/index.ts';
import type { WaitOptions } from '../job-handle.ts';
import { readJobResult } from '../job-result.ts';
import type { Transport } from '../transport/transport.ts';

/** Asks. Throws the job's error, `RESULT_INVALID` for an answer of another kind, `WAIT_TIMEOUT`, or the signal's reason. */
export async function askWorker<T>(
  transport: Transport,
  action: 'ping' | 'describe',
  read: (output: unknown) => T | undefined,
  maxWaitMs: number,
  { signal }: WaitOptions = {},
): Promise<T> {
  const late = () =>
    new ComfyRunpodError('WAIT_TIMEOUT', `No worker answered within ${Math.round(maxWaitMs / 1000)} s.`);
  using deadline = createDeadline(maxWaitMs, late, signal);
  // 20 MiB of result instead of 10; the answer is taken at once.
  const submission = { input: { contract: contractVersion, action } };
  const submitted = await transport.submit(submission, { route: 'runsync', waitMs: 90_000, signal: deadline.signal });
  const view = isTerminalStatus(submitted.status) ? submitted : await follow(transport, submitted.id, deadline.signal);
  if (view.status !== 'COMPLETED') throw failureOf(view);
  const answer = read(view.output);
  if (answer !== undefined) return answer;
  throw new ComfyRunpodError('RESULT_INVALID', `The answer to ${action} is not that of a comfy-runpod worker.`, {
    details: { jobId: view.id },
    nextStep: 'Check that the endpoint runs a comfy-runpod worker of at least the version of this client.',
  });
}

async function follow(transport: Transport, id: string, signal: AbortSignal): Promise<JobView> {
  for await (const view of transport.follow(id, { signal })) {
    if (isTerminalStatus(view.status)) return view;
  }
  throw new ComfyRunpodError('INTERNAL', 'The transport stopped before the job was done.', { details: { jobId: id } });
}

function failureOf(view: JobView): ComfyRunpodError {
  const result = readJobResult(view);
  if (result.kind !== 'succeeded') return result.error;
  return new ComfyRunpodError('INTERNAL', 'A job that did not complete succeeded.', { details: { jobId: view.id } });
}
