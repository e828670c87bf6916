/**
 * Posts one prompt. A 200 means accepted in full, or the prompt is removed again and refused; a lost answer is looked up before
 * anything else, so that a prompt never runs twice (ComfyUI protocol notes §1.3.4, §6.3).
 */
import { backoffMs, ComfyRunpodError, delay, toComfyRunpodError, type Workflow } from '../../shared/index.ts';
import { cancelPrompt } from './cancel.ts';
import { type ComfyAnswer, type ComfyHttp, parseAnswer, transportFailure, unexpectedStatus } from './http.ts';
import { locatePrompt } from './prompt-state.ts';
import { partialAcceptanceError, rejectionError } from './rejection.ts';
import type { ComfyCapabilities, ComfyTimings } from './types.ts';
import { recordOf, textOf } from './value-guards.ts';

/** What a submission needs. */
export interface Submission {
  readonly http: ComfyHttp;
  readonly capabilities: ComfyCapabilities;
  readonly timings: ComfyTimings;
  readonly promptId: string;
  readonly clientId: string;
  readonly prompt: Workflow;
  readonly extraData: Readonly<Record<string, unknown>> | undefined;
  readonly redact: (text: string) => string;
  /** Throws when the process behind the address has died. */
  readonly assertAlive: () => void;
  readonly signal: AbortSignal;
}

/** Looks for a prompt whose answer was lost, this many times. */
const lookups = 4;
const lookupGapMs = 300;

/** Posts the prompt and answers the id under which it is queued, and how often something had to be asked again. Throws a coded error. */
export async function submitPrompt(submission: Submission): Promise<{ promptId: string; retries: number }> {
  const { timings, promptId, signal } = submission;
  const refusedSince = Date.now();
  let reposted = false;
  for (let attempt = 0; ; attempt++) {
    submission.assertAlive();
    let answer: ComfyAnswer;
    try {
      answer = await post(submission);
    } catch (error) {
      const kind = transportFailure(error);
      if (kind === 'refused' && Date.now() - refusedSince < timings.outageMs) {
        await delay(backoffMs(attempt, { baseMs: 100, maxMs: 1_000 }), signal);
        continue;
      }
      if (kind === undefined || kind === 'refused') throw error;
      if (await isKnown(submission)) return { promptId, retries: attempt + 1 };
      // After a time-out the server may still be at it, and a second post may run twice. A dropped connection is over.
      if (kind === 'timeout' || reposted) throw error;
      reposted = true;
      continue;
    }
    return { promptId: await accept(submission, answer), retries: attempt };
  }
}

function post(submission: Submission): Promise<ComfyAnswer> {
  const { http, promptId, clientId, prompt, extraData, timings, signal } = submission;
  const json = { prompt, prompt_id: promptId, client_id: clientId, ...(extraData && { extra_data: extraData }) };
  return http.send({ method: 'POST', path: '/prompt', json, signal, timeoutMs: timings.submitMs });
}

async function accept(submission: Submission, answer: ComfyAnswer): Promise<string> {
  const { http, prompt, redact, signal } = submission;
  const request = { method: 'POST', path: '/prompt' } as const;
  if (answer.status === 400) throw rejectionError(parseAnswer(request, answer), prompt, redact);
  if (answer.status === 413) {
    throw new ComfyRunpodError('WORKFLOW_REJECTED', unexpectedStatus(request, answer).message, {
      nextStep:
        "The workflow is larger than ComfyUI's --max-upload-size; send pictures as files, or raise the limit in COMFY_ARGS.",
    });
  }
  if (answer.status !== 200) {
    // A 500 does not prove that nothing was queued (§1.3.1).
    if (answer.status >= 500 && (await isKnown(submission))) return submission.promptId;
    throw unexpectedStatus(request, answer);
  }
  const body = recordOf(parseAnswer(request, answer));
  // A server that is too old to take our id makes its own.
  const queuedAs = textOf(body['prompt_id']) ?? submission.promptId;
  if (Object.keys(recordOf(body['node_errors'])).length > 0) {
    await cancelPrompt({ ...submission, promptId: queuedAs, signal: AbortSignal.timeout(submission.timings.cancelMs) });
    await http.command({ path: '/history', json: { delete: [queuedAs] }, signal }).catch(() => undefined);
    throw partialAcceptanceError(body['node_errors'], prompt, redact);
  }
  return queuedAs;
}

/** True when queue or history know the id. Several looks, because the server may still be reading what we sent; one that fails is no look. */
async function isKnown({ http, promptId, signal, assertAlive, timings }: Submission): Promise<boolean> {
  const startedAt = Date.now();
  for (let look = 0; look < lookups; ) {
    assertAlive();
    try {
      if ((await locatePrompt(http, promptId, signal)) !== 'absent') return true;
      look++;
    } catch (error) {
      signal.throwIfAborted();
      if (Date.now() - startedAt > timings.outageMs) throw error;
    }
    await delay(lookupGapMs, signal);
  }
  return false;
}
