/**
 * What goes back to RunPod for one job: progress first, in order, then exactly one final post. Joins progress-channel and result-delivery and
 * decides what is sent instead of a result that can't be. Source: RunPod protocol notes §2.9 to §2.13, §2.24.
 *
 * 1. The progress channel is closed before the final post starts.
 * 2. A body over the limit is never sent. Its place takes an error report that says the size and the limit.
 * 3. A refused body (400, 413) is followed by exactly one small error report.
 */
import {
  ComfyRunpodError,
  type ErrorOrigin,
  errorToWire,
  limits,
  type ProgressEvent,
  packageVersion,
} from '../../shared/index.ts';
import type { JobOutcome, JsonBody, Logger } from '../types.ts';
import type { DeliveredJob } from './delivered-job.ts';
import { jobDoneBody } from './job-done-body.ts';
import { openProgressChannel } from './progress-channel.ts';
import { type DeliveryOptions, type DeliveryOutcome, deliverResult } from './result-delivery.ts';
import { type RunpodConfig, timingsOf } from './runpod-config.ts';
import type { Transport } from './transport.ts';
import type { RunpodUrls } from './url-template.ts';

/** An outcome that is posted; a cancelled job posts nothing. */
export type PostedOutcome = Exclude<JobOutcome, { kind: 'cancelled' }>;

/** How reporting ended, for the log and for the list of finished jobs. */
export interface ReportResult {
  /** `result`: as given. `report`: an error report took its place. `nothing`: RunPod has no word of how the job ended. */
  readonly delivered: 'result' | 'report' | 'nothing';
  readonly bytes: number;
}

/** The way back for one job. */
export interface JobReport {
  progress(event: ProgressEvent): void;
  /** Ends progress without posting a result: for a stopped job. */
  abandon(): Promise<void>;
  /** Ends progress and posts the outcome. Never throws. */
  finish(outcome: PostedOutcome, options: { readonly stopPod: boolean }): Promise<ReportResult>;
}

/** Opens reports. */
export interface Reporter {
  open(job: DeliveredJob, signal: AbortSignal, logger: Logger): JobReport;
}

/** Largest job-done body for a job: ids of `/runsync` start with `sync-` (RunPod protocol notes §1.7). */
export function resultLimitBytes(jobId: string): number {
  return jobId.startsWith('sync-') ? limits.runsyncResultBytes : limits.runResultBytes;
}

/** Makes the reporter of one worker. */
export function createReporter(parts: {
  readonly config: RunpodConfig;
  readonly urls: RunpodUrls;
  readonly transport: Transport;
}): Reporter {
  const { config, urls, transport } = parts;
  const timings = timingsOf(config);
  const origin: ErrorOrigin = {
    workerId: config.podId ?? 'unknown',
    hostname: config.hostname,
    version: packageVersion,
  };
  return {
    open(job, signal, logger) {
      const url = urls.done(job.id);
      const shared = { transport, url, jobId: job.id, timings, logger };
      const progress = openProgressChannel(shared);
      const horizonMs = job.ttlMs ?? timings.resultHorizonMs;
      return {
        progress: (event) => progress.offer(event),
        abandon: () => progress.close(),
        async finish(outcome, { stopPod }) {
          await progress.close();
          return new FinalPost(outcome, stopPod, origin, { ...shared, signal, horizonMs }).send();
        },
      };
    },
  };
}

/** One final post and, when it is refused, its substitute. */
class FinalPost {
  readonly #outcome: PostedOutcome;
  readonly #stopPod: boolean;
  readonly #origin: ErrorOrigin;
  readonly #options: DeliveryOptions;
  readonly #limit: number;

  constructor(outcome: PostedOutcome, stopPod: boolean, origin: ErrorOrigin, options: DeliveryOptions) {
    this.#outcome = outcome;
    this.#stopPod = stopPod;
    this.#origin = origin;
    this.#options = options;
    this.#limit = resultLimitBytes(options.jobId);
  }

  async send(): Promise<ReportResult> {
    const body = this.#body();
    if (body.byteLength > this.#limit) return this.#substitute(this.#tooLarge(body.byteLength));
    const result = await deliverResult(body, this.#options);
    switch (result.kind) {
      case 'delivered':
        return { delivered: 'result', bytes: body.byteLength };
      case 'refused':
        return this.#substitute(this.#refused(body.byteLength, result.status));
      case 'broken':
        return this.#substitute(result.error);
      case 'gone':
      case 'expired':
      case 'aborted':
        return this.#lost(result);
    }
  }

  #body(): JsonBody {
    const outcome = this.#outcome;
    return jobDoneBody({
      ...(outcome.output !== undefined && { output: outcome.output }),
      ...(outcome.kind === 'failed' && { error: errorToWire(outcome.error, this.#origin) }),
      stopPod: this.#stopPod,
    });
  }

  /** Posts `why` alone. A job that had failed anyway keeps its own error: it says more than the trouble with its delivery. */
  async #substitute(why: ComfyRunpodError): Promise<ReportResult> {
    const outcome = this.#outcome;
    const error =
      outcome.kind === 'failed'
        ? new ComfyRunpodError(outcome.error.code, outcome.error.message, {
            nextStep: outcome.error.nextStep,
            details: { ...outcome.error.details, ...why.details, undelivered: why.code },
          })
        : why;
    this.#options.logger.error(
      { code: why.code, ...why.details },
      'The result cannot be delivered; an error report takes its place.',
    );
    const body = jobDoneBody({ error: errorToWire(error, this.#origin), stopPod: this.#stopPod });
    const result = await deliverResult(body, this.#options);
    return result.kind === 'delivered' ? { delivered: 'report', bytes: body.byteLength } : this.#lost(result);
  }

  #lost(result: DeliveryOutcome): ReportResult {
    const { logger } = this.#options;
    const status = 'status' in result ? { status: result.status } : {};
    if (result.kind === 'gone') logger.warn(status, 'RunPod no longer knows the job; its result is dropped.');
    else if (result.kind === 'aborted') logger.info({}, 'The result is not posted: the job was stopped.');
    else
      logger.error({ code: 'RESULT_UNDELIVERED', ending: result.kind, ...status }, 'RunPod has no result of the job.');
    return { delivered: 'nothing', bytes: 0 };
  }

  #tooLarge(size: number, status?: number): ComfyRunpodError {
    const limit = this.#limit;
    const answered = status === undefined ? '' : ` RunPod answered ${status}.`;
    return new ComfyRunpodError(
      'RESULT_TOO_LARGE',
      `The result takes ${size} bytes; the limit is ${limit}.${answered}`,
      {
        details: { size, limit, ...(status !== undefined && { status }) },
      },
    );
  }

  #refused(size: number, status: number): ComfyRunpodError {
    // RunPod refuses oversized results with a bare 400 as well (§2.10); a small body can't have been refused for its size.
    if (status === 413 || (status === 400 && size > this.#limit / 2)) return this.#tooLarge(size, status);
    return new ComfyRunpodError(
      'RESULT_UNDELIVERED',
      `RunPod refused the result (${size} bytes) with status ${status}.`,
      {
        details: { size, limit: this.#limit, status },
      },
    );
  }
}
