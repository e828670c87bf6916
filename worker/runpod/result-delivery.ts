/**
 * Delivers one job's final post and never gives it up silently. Posts are idempotent per job id, so whatever leaves the outcome open is retried.
 * Source: RunPod protocol notes §2.10 and §2.24.
 *
 * 1. Network errors, time-outs, 3xx, 401, 403, 408, 425, 429 and 5xx are retried with the identical body until the horizon.
 * 2. Any other refusal ends in exactly one answer `refused`; what to send instead is the caller's business.
 * 3. An aborted signal ends it at once.
 */
import {
  backoffMs,
  type ComfyRunpodError,
  createDeadline,
  delay,
  isComfyRunpodError,
  retryAfterMs,
} from '../../shared/core.ts';
import type { JsonBody, Logger } from '../types.ts';
import type { RunpodTimings } from './runpod-config.ts';
import type { Transport } from './transport.ts';

/** How a delivery ended. */
export type DeliveryOutcome =
  | { readonly kind: 'delivered'; readonly attempts: number }
  /** 404 or 410: the platform no longer knows the job. */
  | { readonly kind: 'gone'; readonly status: number }
  /** The platform will not take this body. */
  | { readonly kind: 'refused'; readonly status: number }
  /** The body itself broke while it was sent. */
  | { readonly kind: 'broken'; readonly error: ComfyRunpodError }
  /** The horizon passed without an answer that counts. */
  | { readonly kind: 'expired'; readonly attempts: number }
  | { readonly kind: 'aborted' };

/** One delivery. */
export interface DeliveryOptions {
  readonly transport: Transport;
  readonly url: string;
  readonly jobId: string;
  readonly timings: RunpodTimings;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Milliseconds during which attempts are made. */
  readonly horizonMs: number;
}

type Attempt = { readonly kind: 'retry'; readonly reason: string; readonly retryAfter?: string } | DeliveryOutcome;

/** Posts `body` until the platform has answered for good. Never throws. */
export async function deliverResult(body: JsonBody, options: DeliveryOptions): Promise<DeliveryOutcome> {
  const { timings, logger } = options;
  using horizon = createDeadline(options.horizonMs, () => new Error('the horizon has passed'), options.signal);
  for (let attempts = 1; ; attempts++) {
    const result = await attemptOnce(body, options, attempts);
    if (result.kind !== 'retry') return result;
    const backoff = backoffMs(attempts - 1, timings.resultPause);
    const pause = Math.max(backoff, retryAfterMs(result.retryAfter, timings.retryAfterMaxMs) ?? 0);
    const fields = { reason: result.reason, attempt: attempts, pauseMs: pause };
    // A long outage must not fill the log: a few lines tell all there is.
    if (attempts <= 3) logger.warn(fields, 'The result was not delivered; trying again.');
    else logger.debug(fields, 'The result is still not delivered; trying again.');
    try {
      await delay(pause, horizon.signal);
    } catch {
      return options.signal.aborted ? { kind: 'aborted' } : { kind: 'expired', attempts };
    }
  }
}

async function attemptOnce(body: JsonBody, options: DeliveryOptions, attempts: number): Promise<Attempt> {
  try {
    const answer = await options.transport.post(options.url, body, {
      requestId: options.jobId,
      timeoutMs: options.timings.resultTimeoutMs,
      signal: options.signal,
    });
    return judge(answer.status, answer.retryAfter, attempts);
  } catch (error) {
    if (options.signal.aborted) return { kind: 'aborted' };
    if (isComfyRunpodError(error) && error.code === 'INTERNAL') return { kind: 'broken', error };
    return { kind: 'retry', reason: isComfyRunpodError(error) ? error.code : 'unknown' };
  }
}

function judge(status: number, retryAfter: string | undefined, attempts: number): Attempt {
  if (status >= 200 && status < 300) return { kind: 'delivered', attempts };
  if (status === 404 || status === 410) return { kind: 'gone', status };
  if (isRetried(status))
    return { kind: 'retry', reason: `status ${status}`, ...(retryAfter !== undefined && { retryAfter }) };
  return { kind: 'refused', status };
}

function isRetried(status: number): boolean {
  return status < 400 || status >= 500 || [401, 403, 408, 425, 429].includes(status);
}
