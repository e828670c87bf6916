/** Repeats one upload with jittered pauses while that may help. Errors never hold an address: it may be signed. */
import { backoffMs, ComfyRunpodError, createDeadline, delay } from '../../../shared/index.ts';

/** How one attempt ended. */
export type UploadAttempt<T> =
  | { readonly kind: 'done'; readonly value: T }
  /** Worth another attempt: a reset, a time-out, 429, 5xx. */
  | { readonly kind: 'retry'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** When to pause and when to stop. */
export interface UploadPatience {
  readonly horizonMs: number;
  readonly pause: { readonly baseMs: number; readonly maxMs: number };
}

/** The default: five minutes, because another way may be left and a GPU waits. */
export const uploadPatience: UploadPatience = { horizonMs: 300_000, pause: { baseMs: 500, maxMs: 15_000 } };

/** Runs `attempt` until it is done. Throws `RESULT_UNDELIVERED` with `where` in its text, or the signal's reason. */
export async function uploadWithRetries<T>(
  where: string,
  attempt: (signal: AbortSignal) => Promise<UploadAttempt<T>>,
  patience: UploadPatience,
  signal: AbortSignal,
): Promise<T> {
  using horizon = createDeadline(patience.horizonMs, () => new Error('the horizon has passed'), signal);
  for (let attempts = 1; ; attempts++) {
    const result = await attempt(signal);
    signal.throwIfAborted();
    if (result.kind === 'done') return result.value;
    const failure = new ComfyRunpodError('RESULT_UNDELIVERED', `${where} did not take a file (${result.reason}).`, {
      details: { reason: result.reason, attempts },
      nextStep: `Check ${where}: its address, its keys and that they may write.`,
    });
    if (result.kind === 'refused') throw failure;
    try {
      await delay(backoffMs(attempts - 1, patience.pause), horizon.signal);
    } catch {
      signal.throwIfAborted();
      throw failure;
    }
  }
}

/** A status as an attempt that failed: 408, 425, 429 and 5xx are worth another. */
export function failedStatus(status: number): UploadAttempt<never> {
  const reason = `status ${status}`;
  return status >= 500 || [408, 425, 429].includes(status) ? { kind: 'retry', reason } : { kind: 'refused', reason };
}
