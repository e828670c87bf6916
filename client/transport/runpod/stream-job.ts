/**
 * What a streaming worker yields, through /stream (RunPod protocol notes §1.8). Reading drains: each value is delivered once, so values are
 * yielded as they arrive, before anything else can fail, and the read itself is not repeated after it may have been answered. Ends after a
 * terminal status and an empty answer: the final drain of statement 80.
 */
import { delay, isTerminalStatus } from '../../../shared/index.ts';

/** What an answer says besides its values. */
export interface StreamEnd {
  readonly status: string;
  /** Values that it had. */
  readonly count: number;
}

/** The requests behind the loop. */
export interface StreamPorts {
  stream(id: string, signal: AbortSignal): AsyncGenerator<unknown, StreamEnd, void>;
}

/** Requests start at least this far apart when the server doesn't hold them, milliseconds. */
const paceMs = 500;

/** Yields each streamed value once, in order. `leaving` ends it with the answer that is being read, or between two. */
export async function* streamJob(
  id: string,
  ports: StreamPorts,
  signal: AbortSignal,
  leaving?: AbortSignal,
): AsyncGenerator<unknown, void, void> {
  const ended = leaving ? AbortSignal.any([signal, leaving]) : signal;
  try {
    for (;;) {
      const startedAt = performance.now();
      const { status, count } = yield* ports.stream(id, signal);
      if (leaving?.aborted || (isTerminalStatus(status) && count === 0)) return;
      if (isTerminalStatus(status)) continue;
      await delay(Math.max(0, startedAt + paceMs - performance.now()), ended);
    }
  } catch (error) {
    if (leaving?.aborted && !signal.aborted && error === leaving.reason) return;
    throw error;
  }
}
