/**
 * What goes back to RunPod for one job: progress first, in order, then exactly one final post. Joins progress-channel and result-delivery and
 * decides what is sent instead of a result that can't be. Source: RunPod protocol notes §2.9 to §2.13, §2.24.
 *
 * 1. The progress channel is closed before the final post starts.
 * 2. A body over the limit is never sent. Its place takes an error report that says the size and the limit.
 * 3. A refused body (400, 413) is followed by exactly one small error report.
 * 4. Chunks (§2.11) go out one after the other; after the first of them job-done says isStream=true.
 * 5. A result that RunPod doesn't take, or not before the worker ends, is kept where the worker has a place; what RunPod and the log are
 *    told says where. That of a job which RunPod has forgotten meanwhile (its ttl is over) is kept likewise; that of a stopped job is not.
 */
import {
  ComfyRunpodError,
  type ErrorOrigin,
  errorToWire,
  isComfyRunpodError,
  limits,
  packageVersion,
} from '../../shared/core.ts';
import type { ResultCounts } from '../../shared/index.ts';
import type { JobOutcome, JsonBody, Logger } from '../types.ts';
import { postChunk } from './chunk-post.ts';
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

/** Keeps a result that can't be delivered and says where. Undefined: nowhere. Never throws. */
export type KeepResult = (
  jobId: string,
  body: JsonBody,
  signal: AbortSignal,
) => Promise<{ readonly where: string; readonly name: string } | undefined>;

/** The way back for one job. */
export interface JobReport {
  progress(event: unknown): void;
  /** Posts a value to /stream, after all earlier ones; resolves once RunPod has it. Throws a coded error. Absent: RunPod gave no address. */
  readonly chunk?: (body: JsonBody, signal: AbortSignal) => Promise<void>;
  /** Ends progress without posting a result: for a stopped job. */
  abandon(): Promise<void>;
  /** Ends progress and posts the outcome. Never throws. */
  finish(outcome: PostedOutcome, options: { readonly stopPod: boolean }): Promise<ReportResult>;
}

/** Opens reports. */
export interface Reporter {
  open(job: DeliveredJob, signal: AbortSignal, logger: Logger): JobReport;
  /** Results that RunPod did not take so far. */
  results(): ResultCounts;
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
  readonly keepResult?: KeepResult;
}): Reporter {
  const { config, urls, transport, keepResult } = parts;
  const timings = timingsOf(config);
  const origin: ErrorOrigin = {
    workerId: config.podId ?? 'unknown',
    hostname: config.hostname,
    version: packageVersion,
  };
  const counts: ResultCounts = { undelivered: 0, kept: 0 };
  return {
    results: () => ({ ...counts }),
    open(job, signal, logger) {
      const url = urls.done(job.id);
      const shared = { transport, url, jobId: job.id, timings, logger };
      const progress = openProgressChannel(shared);
      const horizonMs = Math.min(job.ttlMs ?? Number.POSITIVE_INFINITY, timings.resultHorizonMs);
      const streamUrl = urls.stream(job.id);
      let streamed = false;
      return {
        progress: (event) => progress.offer(event),
        ...(streamUrl !== undefined && {
          chunk(body: JsonBody, chunkSignal: AbortSignal) {
            streamed = true;
            const live = AbortSignal.any([signal, chunkSignal]);
            return postChunk(body, { ...shared, url: streamUrl, signal: live, horizonMs });
          },
        }),
        abandon: () => progress.close(),
        async finish(outcome, { stopPod }) {
          await progress.close();
          const options = { ...shared, url: urls.done(job.id, streamed), signal, horizonMs };
          return new FinalPost(outcome, stopPod, origin, options, { keepResult, counts }).send();
        },
      };
    },
  };
}

/** How long keeping a result may take; at a shutdown little time is left. */
const keepMs = 20_000;

function isShutdown(reason: unknown): boolean {
  return isComfyRunpodError(reason) && reason.code === 'WORKER_SHUTDOWN';
}

/** One final post and, when it is refused, its substitute. */
class FinalPost {
  readonly #outcome: PostedOutcome;
  readonly #stopPod: boolean;
  readonly #origin: ErrorOrigin;
  readonly #options: DeliveryOptions;
  readonly #limit: number;
  readonly #keep: KeepResult | undefined;
  readonly #counts: ResultCounts;

  constructor(
    outcome: PostedOutcome,
    stopPod: boolean,
    origin: ErrorOrigin,
    options: DeliveryOptions,
    worker: { readonly keepResult: KeepResult | undefined; readonly counts: ResultCounts },
  ) {
    this.#keep = worker.keepResult;
    this.#counts = worker.counts;
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
        return this.#lost(result, await this.#keepUndelivered(result));
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
  async #substitute(reason: ComfyRunpodError): Promise<ReportResult> {
    const outcome = this.#outcome;
    this.#counts.undelivered++;
    const why = await this.#withPlace(reason);
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

  /** The error with where the result is kept, when it is. */
  async #withPlace(why: ComfyRunpodError): Promise<ComfyRunpodError> {
    const kept = await this.#keepOutput();
    if (!kept) return why;
    return new ComfyRunpodError(why.code, why.message, {
      details: { ...why.details, keptIn: kept.where, keptAs: kept.name },
      nextStep: `The worker kept the result: it is in the ${kept.where} as ${kept.name}. ${why.nextStep}`,
    });
  }

  async #keepOutput(): ReturnType<KeepResult> {
    const { jobId } = this.#options;
    const { output } = this.#outcome;
    const kept = output && (await this.#keep?.(jobId, output, AbortSignal.timeout(keepMs)));
    if (kept) this.#counts.kept++;
    return kept;
  }

  /** Not the result of a job that RunPod stopped: nobody waits for it. */
  #keepUndelivered(result: DeliveryOutcome): ReturnType<KeepResult> {
    if (result.kind === 'aborted' && !isShutdown(this.#options.signal.reason)) return Promise.resolve(undefined);
    this.#counts.undelivered++;
    return this.#keepOutput();
  }

  #lost(result: DeliveryOutcome, kept?: { readonly where: string; readonly name: string }): ReportResult {
    const { logger } = this.#options;
    if (kept) {
      logger.error(
        { code: 'RESULT_UNDELIVERED', ending: result.kind, keptIn: kept.where, keptAs: kept.name },
        'RunPod has no result of the job; it is kept.',
      );
      return { delivered: 'nothing', bytes: 0 };
    }
    const status = 'status' in result ? { status: result.status } : {};
    if (result.kind === 'gone')
      logger.warn(status, 'RunPod no longer knows the job, and there is no place to keep its result.');
    else if (result.kind === 'aborted' && !isShutdown(this.#options.signal.reason))
      logger.info({}, 'The result is not posted: the job was stopped.');
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
