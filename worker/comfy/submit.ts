/** Posts one prompt and reads what ComfyUI made of it (ComfyUI protocol notes §1.3). What follows from that is the oracle's business. */
import { ComfyRunpodError, type Workflow } from '../../shared/index.ts';
import { type ComfyHttp, parseAnswer, unexpectedStatus } from './http.ts';
import type { OracleAnswer } from './oracle-types.ts';
import { partialAcceptanceError, rejectionError } from './rejection.ts';
import { recordOf, textOf } from './value-guards.ts';

/** What a submission needs. */
export interface Submission {
  readonly http: ComfyHttp;
  readonly promptId: string;
  readonly clientId: string;
  readonly prompt: Workflow;
  readonly extraData: Readonly<Record<string, unknown>> | undefined;
  readonly redact: (text: string) => string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** A server that is too old to take our id makes its own. */
  readonly onQueuedAs: (promptId: string) => void;
}

const route = { method: 'POST', path: '/prompt' } as const;

/** Posts the prompt once. Throws only when no readable answer came. */
export async function submitPrompt(submission: Submission, seq: number): Promise<OracleAnswer> {
  const { http, promptId, clientId, prompt, extraData, timeoutMs, redact, signal } = submission;
  const json = { prompt, prompt_id: promptId, client_id: clientId, ...(extraData && { extra_data: extraData }) };
  const answer = await http.send({ ...route, json, signal, timeoutMs });
  if (answer.status === 400) {
    return { type: 'rejected', seq, cause: rejectionError(parseAnswer(route, answer), prompt, redact) };
  }
  if (answer.status === 413) {
    const cause = new ComfyRunpodError('WORKFLOW_REJECTED', unexpectedStatus(route, answer).message, {
      nextStep:
        "The workflow is larger than ComfyUI's --max-upload-size; send pictures as files, or raise the limit in COMFY_ARGS.",
    });
    return { type: 'rejected', seq, cause };
  }
  if (answer.status !== 200) {
    return { type: answer.status >= 500 ? 'doubtful' : 'rejected', seq, cause: unexpectedStatus(route, answer) };
  }
  const body = recordOf(parseAnswer(route, answer));
  submission.onQueuedAs(textOf(body['prompt_id']) ?? promptId);
  const refused = Object.keys(recordOf(body['node_errors'])).length > 0;
  return {
    type: 'accepted',
    seq,
    ...(refused && { partial: partialAcceptanceError(body['node_errors'], prompt, redact) }),
  };
}
