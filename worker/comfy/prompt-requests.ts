/** Does what the oracle asks for and tells it the answer. Every request is answered: the client's time-out sees to that. */
import { type ComfyRunpodError, toComfyRunpodError, type Workflow } from '../../shared/index.ts';
import { readHistoryEntry } from './history.ts';
import { type ComfyHttp, transportFailure } from './http.ts';
import type { OracleAnswer, OracleRequest } from './oracle-types.ts';
import { readHistory, readQueue } from './prompt-state.ts';
import type { ComfyCapabilities } from './types.ts';

/** The prompt that requests are about, and the means to make them. */
export interface RequestContext {
  readonly http: ComfyHttp;
  readonly capabilities: ComfyCapabilities;
  readonly promptId: string;
  readonly prompt: Workflow;
  readonly redact: (text: string) => string;
  readonly signal: AbortSignal;
  /** Posts the prompt. */
  readonly post: (seq: number) => Promise<OracleAnswer>;
}

/** Makes one request. Never throws. */
export async function makeRequest(type: OracleRequest, seq: number, context: RequestContext): Promise<OracleAnswer> {
  try {
    return await send(type, seq, context);
  } catch (error) {
    const cause: ComfyRunpodError = toComfyRunpodError(error);
    return { type: 'failed', seq, how: transportFailure(error) ?? 'other', cause };
  }
}

async function send(type: OracleRequest, seq: number, context: RequestContext): Promise<OracleAnswer> {
  const { http, promptId, signal } = context;
  switch (type) {
    case 'post':
      return context.post(seq);
    case 'poll-queue':
      return lookAtQueue(seq, context);
    case 'poll-history': {
      const view = await readHistory(http, promptId, signal);
      if (view.kind !== 'entry') return { type: 'history', seq, view: view.kind };
      return { type: 'history', seq, view: readHistoryEntry(view.entry, context.prompt, context.redact) };
    }
    case 'dequeue':
      await http.command({ path: '/queue', json: { delete: [promptId] }, signal });
      return { type: 'done', seq };
    case 'interrupt':
      await interrupt(context);
      return { type: 'done', seq };
  }
}

async function lookAtQueue(seq: number, { http, promptId, signal }: RequestContext): Promise<OracleAnswer> {
  const { running, pending } = await readQueue(http, signal);
  const place = running.includes(promptId) ? 'running' : pending.includes(promptId) ? 'pending' : 'absent';
  const fingerprint = JSON.stringify([running, pending.length, pending.indexOf(promptId)]);
  return { type: 'queue', seq, place, fingerprint, behind: running.some((id) => id !== promptId) };
}

/** Always targeted: a bare interrupt may hit the next run (ComfyUI protocol notes §6.7). */
async function interrupt({ http, capabilities, promptId, signal }: RequestContext): Promise<void> {
  if (capabilities.jobCancel) {
    const answer = await http.send({ method: 'POST', path: `/api/jobs/${promptId}/cancel`, signal });
    if (answer.status === 200) return;
  }
  await http.command({ path: '/interrupt', json: { prompt_id: promptId }, signal });
}
