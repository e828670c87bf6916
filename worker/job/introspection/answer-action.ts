/** Answers introspection jobs. They write nothing, post no prompt and hold no place in ComfyUI: the next job may run beside them. */
import {
  contractVersion,
  isComfyRunpodError,
  type Pong,
  packageVersion,
  raceSignal,
  readActionInput,
  toComfyRunpodError,
} from '../../../shared/index.ts';
import type { ComfyConnection, ComfyServer } from '../../comfy/index.ts';
import { createJsonBody } from '../../outputs/index.ts';
import type { JobOutcome, RunContext } from '../../types.ts';
import { describeWorker } from './describe-worker.ts';
import { bootAnswer, type WorkerFacts } from './worker-facts.ts';

/** How long a ping waits for the word of a ComfyUI that is not known to be ready. */
const pingWaitMs = 100;

/** Answers one introspection job; a malformed one fails. Never throws. */
export async function answerAction(
  comfy: ComfyConnection,
  facts: WorkerFacts,
  input: unknown,
  context: RunContext,
): Promise<JobOutcome> {
  context.onGpuFree?.();
  try {
    context.signal.throwIfAborted();
    const { action } = readActionInput(input);
    const answer = action === 'ping' ? await pong(comfy, facts, context) : await describeWorker(comfy, facts, context);
    return { kind: 'completed', output: createJsonBody([JSON.stringify(answer)]) };
  } catch (error) {
    if (context.signal.aborted) return { kind: 'cancelled' };
    return { kind: 'failed', error: toComfyRunpodError(error) };
  }
}

async function pong(comfy: ComfyConnection, facts: WorkerFacts, context: RunContext): Promise<Pong> {
  const found = await findComfy(comfy, context.signal);
  return {
    kind: 'comfy-runpod/pong',
    contract: contractVersion,
    workerVersion: packageVersion,
    workerId: facts.workerId,
    ...(facts.image !== undefined && { image: facts.image }),
    state: typeof found === 'string' ? found : 'ready',
    uptimeMs: Math.round(performance.now() - facts.startedAt),
    ...(context.results && { results: context.results() }),
    ...bootAnswer(facts),
    ...(typeof found === 'object' && { failedPacks: [...found.failedPacks] }),
  };
}

async function findComfy(comfy: ComfyConnection, signal: AbortSignal): Promise<ComfyServer | 'starting' | 'down'> {
  const late = AbortSignal.timeout(pingWaitMs);
  try {
    return await raceSignal(comfy.ready(AbortSignal.any([signal, late])), late);
  } catch (error) {
    signal.throwIfAborted();
    return late.aborted || !isComfyRunpodError(error) ? 'starting' : 'down';
  }
}
