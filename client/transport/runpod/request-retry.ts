/**
 * When a request is repeated, and after which pause. Only requests that change nothing twice come here (GETs and cancel); a submit has
 * its own, narrower rule in submit-job.ts. The loop itself is p-retry's.
 */
import pRetry from 'p-retry';
import { backoffMs, type ComfyRunpodError, delay, toComfyRunpodError } from '../../../shared/index.ts';

/** Bounds of repeating. */
export interface RetryBounds {
  /** Attempts in all, the first one included. */
  readonly attempts: number;
  /** No further attempt starts after this many milliseconds. */
  readonly patienceMs: number;
  readonly signal?: AbortSignal | undefined;
}

const repeatable: ReadonlySet<string> = new Set([
  'NETWORK_UNREACHABLE',
  'NETWORK_TIMEOUT',
  'RATE_LIMITED',
  'PLATFORM_ERROR',
]);

/** True when the same request may succeed a little later. */
export function isRepeatable(error: ComfyRunpodError): boolean {
  return repeatable.has(error.code);
}

/** Pause before attempt `attempt + 1` (first failed attempt: 0): what the server asked for, else exponential from 250 ms to 8 s. */
export function pauseAfter(error: ComfyRunpodError, attempt: number): number {
  const asked = error.details['retryAfterMs'];
  return typeof asked === 'number' ? asked : backoffMs(attempt, { baseMs: 250, maxMs: 8_000 });
}

/** Runs `request` until it succeeds, fails for good or the bounds are used up; then the last error is thrown. */
export async function withRetries<T>(
  request: (attempt: number) => Promise<T>,
  bounds: RetryBounds,
  mayRepeat: (error: ComfyRunpodError) => boolean = isRepeatable,
): Promise<T> {
  const startedAt = performance.now();
  return pRetry((attempt) => request(attempt), {
    retries: Math.max(0, bounds.attempts - 1),
    minTimeout: 0,
    shouldRetry: async ({ error, attemptNumber, retriesLeft }) => {
      const coded = toComfyRunpodError(error);
      if (bounds.signal?.aborted || retriesLeft === 0 || !mayRepeat(coded)) return false;
      const pause = pauseAfter(coded, attemptNumber - 1);
      if (performance.now() + pause - startedAt >= bounds.patienceMs) return false;
      await delay(pause, bounds.signal);
      return true;
    },
  });
}
