/**
 * Takes jobs: a long poll that is open whenever a slot is free, and paced when the server does not hold it.
 * Source: RunPod protocol notes §2.6, §2.8 and §2.24.
 *
 * 1. No request is sent while no slot is free; a freed slot is refilled at once, without a tick.
 * 2. When taking ends, a job whose answer has begun to arrive is still accepted.
 * 3. No answer, whatever it is, ends the loop.
 */
import { type ComfyRunpodError, delay, isComfyRunpodError, limits } from '../../shared/core.ts';
import type { Logger } from '../types.ts';
import type { DeliveredJob } from './delivered-job.ts';
import type { RunpodTimings } from './runpod-config.ts';
import { readTakeAnswer, type TakeAnswer } from './take-answer.ts';
import { createTakePacing } from './take-pacing.ts';
import type { Transport } from './transport.ts';
import type { RunpodUrls } from './url-template.ts';

/** What the source knows of the worker's slots. */
export interface Slots {
  /** Jobs that could start now. */
  free(): number;
  /** True while any job is queued, running or being delivered. */
  busy(): boolean;
  /** Resolves as soon as a slot is free; rejects with the signal's reason. */
  whenFree(signal: AbortSignal): Promise<void>;
}

/** Neighbours of the source. */
export interface JobSourceOptions {
  readonly transport: Transport;
  readonly urls: RunpodUrls;
  readonly timings: RunpodTimings;
  readonly slots: Slots;
  readonly logger: Logger;
  /** Takes a job in; false when it was delivered before. */
  readonly accept: (job: DeliveredJob) => boolean;
  /** Called after every take that the platform answered as it should. */
  readonly onContact: () => void;
}

/** Takes jobs until `signal` is aborted, then resolves; nothing is accepted after that. */
export async function runJobSource(options: JobSourceOptions, signal: AbortSignal): Promise<void> {
  const pacing = createTakePacing(options.timings);
  const report = createTakeReport(options.logger);
  while (!signal.aborted) {
    try {
      await options.slots.whenFree(signal);
      const startedAt = performance.now();
      const answer = await takeOnce(options, signal);
      report(answer);
      const isNews = answer.kind !== 'jobs' || answer.jobs.filter((job) => options.accept(job)).length > 0;
      if (answer.kind === 'jobs' || answer.kind === 'none' || answer.kind === 'timed-out') options.onContact();
      // Jobs that are all here already are as good as none: a server that repeats itself must not be asked without a pause.
      const pause = pacing.pauseAfter(isNews ? answer : { kind: 'none' }, performance.now() - startedAt);
      if (pause > 0) await delay(pause, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

async function takeOnce(options: JobSourceOptions, signal: AbortSignal): Promise<TakeAnswer> {
  const { transport, urls, timings, slots } = options;
  const free = slots.free();
  try {
    const answer = await transport.get(urls.take(free, slots.busy()), {
      timeoutMs: timings.takeTimeoutMs,
      // Every job of a batch may be as large as one may be.
      maxBytes: limits.jobTakeAnswerBytes * Math.max(1, free),
      signal: neverAborted,
      untilAnswered: signal,
    });
    return readTakeAnswer(answer);
  } catch (error) {
    if (signal.aborted || !isComfyRunpodError(error)) throw error;
    if (error.code === 'NETWORK_TIMEOUT') return { kind: 'timed-out' };
    if (error.code === 'PLATFORM_ANSWER_INVALID') return { kind: 'unreadable', why: error.message };
    return { kind: 'failed', error };
  }
}

const neverAborted = new AbortController().signal;

/** Logs what a person should know: every lost delivery, and each kind of outage once until it is over. */
function createTakeReport(logger: Logger): (answer: TakeAnswer) => void {
  let outage: string | undefined;
  const begin = (kind: string, write: () => void) => {
    if (outage !== kind) write();
    outage = kind;
  };
  return (answer) => {
    switch (answer.kind) {
      case 'jobs':
        for (const problem of answer.problems) {
          logger.error({ problem }, 'RunPod delivered something that is not a job (missing id); it is skipped.');
        }
        break;
      case 'unreadable':
        logger.error(
          { problem: answer.why },
          'The answer of job-take cannot be read; a job it held is lost to its lease.',
        );
        break;
      case 'rate-limited':
        begin('rate-limited', () => logger.warn({ status: 429 }, 'RunPod asks for fewer job-take requests; waiting.'));
        return;
      case 'unauthorized':
        begin('unauthorized', () => logger.error({ status: answer.status, code: 'UNAUTHORIZED' }, unauthorizedMessage));
        return;
      case 'failed':
        begin('failed', () =>
          logger.error(
            { code: 'PLATFORM_ERROR', status: answer.status ?? null, reason: reasonOf(answer.error) },
            'Taking jobs fails; trying again with growing pauses.',
          ),
        );
        return;
      case 'none':
      case 'timed-out':
        break;
    }
    if (outage !== undefined) logger.info({}, 'Taking jobs works again.');
    outage = undefined;
  };
}

const unauthorizedMessage =
  'RunPod refuses the worker key. Check RUNPOD_AI_API_KEY; on RunPod itself it is set by the platform and must not be overridden.';

function reasonOf(error: ComfyRunpodError | undefined): string | null {
  const reason = error?.details['reason'];
  return typeof reason === 'string' ? reason : null;
}
