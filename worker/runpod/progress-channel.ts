/**
 * Progress of one job, in order. RunPod takes progress and result on the same route, and a progress post that arrives after the result can
 * leave the job IN_PROGRESS for ever. Source: RunPod protocol notes §2.12.
 *
 * 1. At most one post is in flight, at most one starts per interval; of the events between two posts only the newest is sent.
 * 2. After `close` has resolved no post is in flight and none will ever start.
 * 3. A post that fails is forgotten: progress never fails a job.
 */
import { createDeadline, delay, progressEventSchema, raceSignal } from '../../shared/core.ts';
import type { Logger } from '../types.ts';
import { progressBody } from './job-done-body.ts';
import type { RunpodTimings } from './runpod-config.ts';
import type { Transport } from './transport.ts';

/** The progress channel of one job. */
export interface ProgressChannel {
  /** Offers a snapshot. Never throws, never waits; ignored after `close`. */
  offer(event: unknown): void;
  /** Ends the channel: waits briefly for a post in flight, then aborts it. Idempotent. */
  close(): Promise<void>;
}

/** Neighbours of a progress channel. */
export interface ProgressChannelOptions {
  readonly transport: Transport;
  readonly url: string;
  readonly jobId: string;
  readonly timings: RunpodTimings;
  readonly logger: Logger;
}

/** Opens the progress channel of one job. */
export function openProgressChannel(options: ProgressChannelOptions): ProgressChannel {
  const { timings } = options;
  const pausing = new AbortController();
  const posting = new AbortController();
  let newest: unknown;
  let pump: Promise<void> | undefined;
  let closed: Promise<void> | undefined;

  const run = async () => {
    while (newest !== undefined && closed === undefined) {
      const event = newest;
      newest = undefined;
      const startedAt = performance.now();
      await postProgress(options, event, posting.signal);
      const rest = timings.progressIntervalMs - (performance.now() - startedAt);
      // The pause also keeps the interval from this post to the first event after a quiet spell.
      if (rest > 0) await delay(rest, pausing.signal).catch(() => undefined);
    }
    pump = undefined;
  };
  const finish = async () => {
    newest = undefined;
    pausing.abort();
    if (pump === undefined) return;
    using grace = createDeadline(timings.progressGraceMs, () => new Error('progress grace is over'));
    await raceSignal(pump, grace.signal).catch(() => undefined);
    posting.abort();
    await pump;
  };

  return {
    offer(event) {
      if (closed !== undefined) return;
      // A picture waits for the next post even when newer events overtake it: there are few of them.
      newest = withPreviewOf(newest, event);
      pump ??= run();
    },
    close() {
      closed ??= finish();
      return closed;
    },
  };
}

/** `event`, with the picture of the one that it overtakes. */
function withPreviewOf(overtaken: unknown, event: unknown): unknown {
  // Most events have no picture, and there are many of them.
  if (!hasPreview(overtaken)) return event;
  const before = progressEventSchema.safeParse(overtaken);
  const next = progressEventSchema.safeParse(event);
  if (!before.success || !next.success || before.data.preview === undefined || next.data.preview) return event;
  return { ...next.data, preview: before.data.preview };
}

function hasPreview(event: unknown): boolean {
  return typeof event === 'object' && event !== null && 'preview' in event && event.preview !== undefined;
}

async function postProgress(options: ProgressChannelOptions, event: unknown, signal: AbortSignal): Promise<void> {
  const { transport, url, jobId, timings, logger } = options;
  try {
    const answer = await transport.post(url, progressBody(event), {
      requestId: jobId,
      timeoutMs: timings.progressTimeoutMs,
      signal,
    });
    if (answer.status >= 300) logger.debug({ status: answer.status }, 'A progress update was not accepted.');
  } catch (error) {
    logger.debug({ reason: error instanceof Error ? error.name : 'unknown' }, 'A progress update was not delivered.');
  }
}
