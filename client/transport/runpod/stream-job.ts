/**
 * What a streaming worker yields, through /stream (RunPod protocol notes §1.8). Reading drains: each value is delivered once, so an answer
 * is yielded before anything else can fail, and the read itself is not repeated after it may have been answered. Ends after a terminal
 * status and an empty answer: the final drain of statement 80.
 */
import { delay, isTerminalStatus, type StreamView } from '../../../shared/index.ts';

/** The requests behind the loop. */
export interface StreamPorts {
  stream(id: string, signal: AbortSignal): Promise<StreamView>;
}

/** Requests start at least this far apart when the server doesn't hold them, milliseconds. */
const paceMs = 500;

/** Yields each streamed value once, in order. */
export async function* streamJob(
  id: string,
  ports: StreamPorts,
  signal: AbortSignal,
): AsyncGenerator<unknown, void, void> {
  for (;;) {
    const startedAt = performance.now();
    const view = await ports.stream(id, signal);
    for (const chunk of view.stream) yield chunk.output;
    if (isTerminalStatus(view.status) && view.stream.length === 0) return;
    if (isTerminalStatus(view.status)) continue;
    await delay(Math.max(0, startedAt + paceMs - performance.now()), signal);
  }
}
