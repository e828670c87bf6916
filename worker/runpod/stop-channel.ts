/**
 * The stop channel: RunPod tells which jobs of this worker were cancelled, timed out or expired. Polled for the worker's whole life, idle or
 * not, because delivery is not acknowledged. Source: RunPod protocol notes §2.15.
 */
import * as z from 'zod';
import { delay, isComfyRunpodError, retryAfterMs } from '../../shared/core.ts';
import type { Logger } from '../types.ts';
import type { RunpodTimings } from './runpod-config.ts';
import type { HttpAnswer, Transport } from './transport.ts';
import type { RunpodUrls } from './url-template.ts';

/** Neighbours of the stop channel. */
export interface StopChannelOptions {
  readonly transport: Transport;
  readonly urls: RunpodUrls;
  readonly timings: RunpodTimings;
  readonly logger: Logger;
  /** Called for each id; false when the worker has no such job, or none that still runs. */
  readonly stop: (jobId: string) => boolean;
}

const stopAnswerBytes = 1024 * 1024;
const stopSchema = z.object({ jobsToStop: z.array(z.unknown()).optional() });

/** Listens until `signal` is aborted, then resolves. Resolves at once, after a warning, when the platform offers no stop channel. */
export async function runStopChannel(options: StopChannelOptions, signal: AbortSignal): Promise<void> {
  const { urls, logger, transport, timings } = options;
  if (urls.stop === undefined) {
    logger.warn({}, 'The job-take address has no /job-take/ in it: cancelled jobs cannot be stopped early.');
    return;
  }
  while (!signal.aborted) {
    try {
      const answer = await transport.get(urls.stop, {
        timeoutMs: timings.stopTimeoutMs,
        maxBytes: stopAnswerBytes,
        signal,
      });
      const pause = handleAnswer(answer, options);
      if (pause > 0) await delay(pause, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isComfyRunpodError(error)) throw error;
      logger.debug({ code: error.code }, 'The stop channel failed; listening again.');
      await delay(timings.stopPauseMs, signal).catch(() => undefined);
    }
  }
}

/** Stops what the answer names and tells how long to wait before listening again. */
function handleAnswer(answer: HttpAnswer, options: StopChannelOptions): number {
  const { logger, timings } = options;
  if (answer.status === 429)
    return retryAfterMs(answer.retryAfter, timings.retryAfterMaxMs) ?? timings.rateLimitPauseMs;
  if (answer.status !== 200) {
    if (answer.status !== 204) logger.debug({ status: answer.status }, 'The stop channel answered with an error.');
    return timings.stopPauseMs;
  }
  const ids = readJobsToStop(answer);
  if (ids === undefined) {
    logger.warn({}, 'The stop channel answered something that is not a list of jobs; it is ignored.');
    return timings.stopPauseMs;
  }
  const known = ids.filter((id): id is string => typeof id === 'string');
  if (known.length < ids.length) {
    logger.warn(
      { count: ids.length - known.length },
      'The stop channel named ids that are not strings; they are ignored.',
    );
  }
  // Delivery is not acknowledged: a server that names the same job again and again must not be asked without a pause.
  return known.filter((id) => options.stop(id)).length > 0 ? 0 : timings.stopPauseMs;
}

function readJobsToStop(answer: HttpAnswer): readonly unknown[] | undefined {
  if (answer.mediaType !== 'application/json') return undefined;
  try {
    const parsed = stopSchema.safeParse(JSON.parse(answer.body.toString('utf8')));
    return parsed.success ? (parsed.data.jobsToStop ?? []) : undefined;
  } catch {
    return undefined;
  }
}
