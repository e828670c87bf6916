/**
 * How long to wait before the next job-take. RunPod is expected to hold the request; when something answers at once instead, asking again at
 * once would be a hot loop. Source: RunPod protocol notes §2.24.
 */
import { backoffMs, retryAfterMs } from '../../shared/core.ts';
import type { RunpodTimings } from './runpod-config.ts';
import type { TakeAnswer } from './take-answer.ts';

/** Remembers how often in a row nothing came, and answers the pause in milliseconds before the next take. */
export interface TakePacing {
  /** `heldMs`: how long the server held the request that ended in `answer`. */
  pauseAfter(answer: TakeAnswer, heldMs: number): number;
}

/** Starts a pacing without history. */
export function createTakePacing(timings: RunpodTimings): TakePacing {
  let instant = 0;
  let failed = 0;
  let unauthorized = 0;
  const reset = () => {
    instant = 0;
    failed = 0;
    unauthorized = 0;
  };
  const empty = (heldMs: number) => {
    failed = 0;
    unauthorized = 0;
    if (heldMs >= timings.instantAnswerMs) {
      instant = 0;
      return 0;
    }
    return backoffMs(instant++, timings.emptyPause);
  };
  return {
    pauseAfter(answer, heldMs) {
      switch (answer.kind) {
        case 'jobs':
          if (answer.jobs.length === 0) return empty(heldMs);
          reset();
          return 0;
        case 'none':
        case 'unreadable':
          return empty(heldMs);
        case 'timed-out':
          reset();
          return 0;
        case 'rate-limited':
          return Math.max(
            timings.emptyPause.baseMs,
            retryAfterMs(answer.retryAfter, timings.retryAfterMaxMs) ?? timings.rateLimitPauseMs,
          );
        case 'unauthorized':
          return backoffMs(unauthorized++, timings.unauthorizedPause);
        case 'failed':
          return backoffMs(failed++, timings.failurePause);
      }
    },
  };
}
