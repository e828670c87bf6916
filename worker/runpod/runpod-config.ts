/** What worker/runpod needs to speak to the platform: addresses, identity and every timing of the worker side, in one place. */

import { limits } from '../../shared/core.ts';
import type { BackoffOptions } from '../../shared/index.ts';

/** Addresses and identity, as RunPod's environment variables give them. */
export interface RunpodConfig {
  /** Template of job-take; job-stop is derived from it. */
  readonly takeTemplate: string;
  /** Template of job-done, for results and progress. */
  readonly doneTemplate: string;
  /** Template of job-stream. Without it results don't travel in chunks. */
  readonly streamTemplate?: string;
  /** Template of the heartbeat. Without it none is sent. */
  readonly pingTemplate?: string;
  /** Sent as it is in `Authorization`, without `Bearer`. */
  readonly apiKey?: string;
  /** Id of this worker in every address: the pod id, or a UUID made once. */
  readonly workerId: string;
  /** The pod id as RunPod gave it. Without it no heartbeat is sent (RunPod protocol notes §2.14). */
  readonly podId?: string;
  /** Given in error reports. */
  readonly hostname: string;
  readonly pingIntervalMs: number;
  /** `runpod_version` of the heartbeat. */
  readonly reportedVersion: string;
  readonly userAgent: string;
  /** Changes single timings; tests shorten them. */
  readonly timings?: Partial<RunpodTimings>;
}

/** Every pause and time-out of the worker side, milliseconds. Sources: RunPod protocol notes §2.6, §2.15 and §2.24. */
export interface RunpodTimings {
  readonly takeTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** An empty answer that came sooner than this was not held by the server and must be paced. */
  readonly instantAnswerMs: number;
  /** Pauses after instant empty answers. */
  readonly emptyPause: BackoffOptions;
  /** Pauses after failed takes. */
  readonly failurePause: BackoffOptions;
  /** Pauses after 401 and 403. */
  readonly unauthorizedPause: BackoffOptions;
  /** Pause after 429 without Retry-After. */
  readonly rateLimitPauseMs: number;
  /** Longest Retry-After that is honoured. */
  readonly retryAfterMaxMs: number;
  /** Pause of the stop channel after anything but a list of ids. */
  readonly stopPauseMs: number;
  readonly progressIntervalMs: number;
  readonly progressTimeoutMs: number;
  /** How long a result waits for a progress post in flight before that is aborted. */
  readonly progressGraceMs: number;
  /** Time-out of one attempt to post a result. */
  readonly resultTimeoutMs: number;
  /** Pauses between attempts to post a result. */
  readonly resultPause: BackoffOptions;
  /** How long a result is offered when the job came without a ttl of its own. */
  readonly resultHorizonMs: number;
}

const defaults: RunpodTimings = {
  takeTimeoutMs: limits.jobTakeTimeoutMs,
  stopTimeoutMs: limits.jobStopTimeoutMs,
  instantAnswerMs: 1_000,
  // No jitter: with it a run of instant answers could exceed 4 requests a second.
  emptyPause: { baseMs: 250, maxMs: 2_000, jitter: 0 },
  failurePause: { baseMs: 500, maxMs: 10_000 },
  unauthorizedPause: { baseMs: 5_000, maxMs: 60_000, jitter: 0 },
  rateLimitPauseMs: limits.workerRateLimitPauseMs,
  retryAfterMaxMs: 300_000,
  stopPauseMs: 1_000,
  progressIntervalMs: limits.progressIntervalMs,
  progressTimeoutMs: 10_000,
  progressGraceMs: 1_000,
  resultTimeoutMs: 120_000,
  resultPause: { baseMs: 500, maxMs: 30_000 },
  resultHorizonMs: limits.ttlMs.default,
};

/** The timings of a configuration, defaults filled in. */
export function timingsOf(config: RunpodConfig): RunpodTimings {
  return { ...defaults, ...config.timings };
}
