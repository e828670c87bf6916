/** Where a prompt is: ComfyUI's queue and history, the only truth about a run (ComfyUI protocol notes §6.2). */
import { type ComfyHttp, parseAnswer, unexpectedStatus } from './http.ts';
import { isRecord, listOf, recordOf } from './value-guards.ts';

/** Ids in ComfyUI's queue. */
export interface QueueView {
  readonly running: readonly string[];
  readonly pending: readonly string[];
}

/** What `/history/{id}` says. `unreadable`: the run is over and its record can't be told, a 500 for good (§6.6). */
export type HistoryView =
  | { readonly kind: 'absent' }
  | { readonly kind: 'entry'; readonly entry: unknown }
  | { readonly kind: 'unreadable' };

/** Reads the queue. */
export async function readQueue(http: ComfyHttp, signal: AbortSignal): Promise<QueueView> {
  const queue = recordOf(await http.json({ path: '/queue', signal }));
  const ids = (items: unknown) => listOf(items).flatMap((item) => listOf(item).slice(1, 2).map(String));
  return { running: ids(queue['queue_running']), pending: ids(queue['queue_pending']) };
}

/** Reads the history entry of one prompt. */
export async function readHistory(http: ComfyHttp, promptId: string, signal: AbortSignal): Promise<HistoryView> {
  const request = { path: `/history/${encodeURIComponent(promptId)}`, signal };
  const answer = await http.send(request);
  if (answer.status === 500) return { kind: 'unreadable' };
  if (answer.status !== 200) throw unexpectedStatus(request, answer);
  const entry = recordOf(parseAnswer(request, answer))[promptId];
  return isRecord(entry) ? { kind: 'entry', entry } : { kind: 'absent' };
}

/** Removes a prompt's history entry: graph, outputs and error inputs (§5.4). */
export function deleteHistory(http: ComfyHttp, promptId: string, signal: AbortSignal): Promise<void> {
  return http.command({ path: '/history', json: { delete: [promptId] }, signal });
}
