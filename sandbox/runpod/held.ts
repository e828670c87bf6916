// A held answer: the long-poll primitive behind job-take, job-stop, /status-sync, /runsync and /stream.
import type { Clock } from './clock.ts';

/** What {@link held} waits for, and for how long. */
export interface HoldOptions {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal: AbortSignal;
  readonly label: string;
}

/**
 * Waits until `start`'s callback is called, or `ms` pass (resolves `undefined`), or the signal aborts (rejects with its
 * reason). `start` returns how to stop listening; that runs exactly once, whichever way the wait ends.
 */
export function held<T>(
  options: HoldOptions,
  start: (resolve: (value: T) => void) => () => void,
): Promise<T | undefined> {
  const { clock, ms, signal, label } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortReason(signal));
      return;
    }
    let ended = false;
    let stop: (() => void) | undefined;
    const timer = clock.setTimeout(() => finish(() => resolve(undefined)), ms, label);
    const onAbort = (): void => finish(() => reject(abortReason(signal)));
    function finish(settle: () => void): void {
      if (ended) return;
      ended = true;
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      stop?.();
      settle();
    }
    signal.addEventListener('abort', onAbort, { once: true });
    stop = start((value) => finish(() => resolve(value)));
    if (ended) stop();
  });
}

/** Waits `ms` on the clock; rejects with the signal's reason when it aborts first. */
export async function pause(options: HoldOptions): Promise<void> {
  await held<never>(options, () => () => undefined);
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}
