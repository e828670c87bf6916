// Every knob of the RunPod emulator with its default. The defaults are those of the RunPod protocol notes, Appendix A.
import { z } from 'zod';

const MIB = 1024 * 1024;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

const milliseconds = z.number().int().nonnegative();
const bytes = z.number().int().positive();

const waitRange = (initial: number, min: number, max: number) =>
  z
    .strictObject({
      defaultMs: milliseconds.default(initial),
      minMs: milliseconds.default(min),
      maxMs: milliseconds.default(max),
    })
    .prefault({});

const boundary = (min: number, max: number) =>
  z.strictObject({ minMs: milliseconds.default(min), maxMs: milliseconds.default(max) }).prefault({});

/** Operations that RunPod limits per endpoint (RunPod protocol notes §1.12). */
export const RATE_LIMITED_OPERATIONS = [
  'run',
  'runsync',
  'status',
  'status-sync',
  'stream',
  'cancel',
  'purge-queue',
  'requests',
] as const;

/** One of {@link RATE_LIMITED_OPERATIONS}. */
export type RateLimitedOperation = (typeof RATE_LIMITED_OPERATIONS)[number];

const rateLimit = z.strictObject({
  /** Requests allowed in any 10 seconds. */
  perTenSeconds: z.number().int().positive(),
  /** Requests allowed at the same time; null = not limited. */
  concurrent: z.number().int().positive().nullable(),
});

/** A limit of one operation. */
export type RateLimit = z.output<typeof rateLimit>;

/** The published limits (RunPod protocol notes §1.12), used when rate limits are switched on. */
export const PUBLISHED_RATE_LIMITS: Readonly<Record<RateLimitedOperation, RateLimit>> = {
  run: { perTenSeconds: 1000, concurrent: 200 },
  runsync: { perTenSeconds: 2000, concurrent: 400 },
  status: { perTenSeconds: 2000, concurrent: 400 },
  'status-sync': { perTenSeconds: 2000, concurrent: 400 },
  stream: { perTenSeconds: 2000, concurrent: 400 },
  cancel: { perTenSeconds: 100, concurrent: 20 },
  'purge-queue': { perTenSeconds: 2, concurrent: null },
  requests: { perTenSeconds: 10, concurrent: 2 },
};

/** Settings of one emulated endpoint; every field but `id` has a default. Durations are milliseconds, sizes bytes. */
export const endpointSettingsSchema = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/),
  /** Suffix of job ids, as in `<uuid>-u1`. */
  region: z
    .string()
    .regex(/^[a-z0-9]+$/)
    .default('u1'),

  /** How long job-take and job-stop are held; must stay under the SDK's 90 s. */
  takeHoldMs: milliseconds.max(89_999).default(25 * SECOND),
  stopHoldMs: milliseconds.max(89_999).default(25 * SECOND),
  /** `/stream`: hold when nothing is there and no `wait` is given, and what `wait` is clamped to. */
  streamWait: waitRange(10 * SECOND, 0, 90 * SECOND),
  /** `/runsync` and `/status-sync`. */
  syncWait: waitRange(90 * SECOND, 1 * SECOND, 300 * SECOND),

  /** A running job whose id is in no ping of its worker for this long is lost. */
  leaseMs: milliseconds.default(40 * SECOND),
  /** How often a lost job is put back into the queue before it fails. */
  leaseRetries: z.number().int().nonnegative().default(1),
  /** Status of a job lost for good: what is observed, or what the docs say. */
  lostJobStatus: z.enum(['FAILED', 'TIMED_OUT']).default('FAILED'),
  /** What a job becomes whose ttl ends before any worker took it. A running job is always deleted. */
  queuedTtlOutcome: z.enum(['TIMED_OUT', 'deleted']).default('TIMED_OUT'),

  executionTimeoutMs: milliseconds.default(10 * MINUTE),
  ttlMs: milliseconds.default(DAY),
  /** Accepted range of a request's own `policy`; outside of it the submit answers 400. */
  executionTimeoutBounds: boundary(5 * SECOND, 7 * DAY),
  ttlBounds: boundary(10 * SECOND, 7 * DAY),
  retentionRunMs: milliseconds.default(30 * MINUTE),
  retentionRunsyncMs: milliseconds.default(1 * MINUTE),
  /** A longer `wait` of `/runsync` lengthens the retention up to this. */
  retentionRunsyncMaxMs: milliseconds.default(5 * MINUTE),

  runBodyLimit: bytes.default(10 * MIB),
  runsyncBodyLimit: bytes.default(20 * MIB),
  /** Limit of a job-done body, by the route the job was submitted on. */
  runResultLimit: bytes.default(10 * MIB),
  runsyncResultLimit: bytes.default(20 * MIB),
  /** Limit of a job-stream body. */
  chunkLimit: bytes.default(1 * MIB),

  /** Queued jobs above which submits answer 429. */
  maxQueuedJobs: z.number().int().positive().default(50_000),
  /** false = off, true = the published table, or limits of your own for some operations. */
  rateLimits: z.union([z.boolean(), z.partialRecord(z.enum(RATE_LIMITED_OPERATIONS), rateLimit)]).default(false),

  webhookAttempts: z.number().int().positive().default(3),
  webhookRetryMs: milliseconds.default(10 * SECOND),
  /** How long a receiver may take to answer one attempt. */
  webhookTimeoutMs: milliseconds.default(30 * SECOND),

  /** Handed to workers as RUNPOD_PING_INTERVAL. */
  pingIntervalMs: milliseconds.default(4 * SECOND),
  /** Deliver a job with empty or missing input without the `input` key, as the platform does. */
  dropEmptyInput: z.boolean().default(false),
  /** Answer 400 to a job-done whose `error` is not a string, instead of the platform's COMPLETED without output. */
  strictErrors: z.boolean().default(false),
  /** A worker that pings but takes no job for this long counts as unhealthy. */
  workerInitTimeoutMs: milliseconds.default(7 * MINUTE),
  /** A worker without open connections and without a request for this long is gone. */
  workerGoneMs: milliseconds.default(30 * SECOND),
  /** Reported as is by /health. */
  throttledWorkers: z.number().int().nonnegative().default(0),
});

/** What a caller may say about an endpoint. */
export type EndpointOptions = z.input<typeof endpointSettingsSchema>;

/** An endpoint's settings with every default filled in. */
export type EndpointSettings = z.output<typeof endpointSettingsSchema>;

/** The endpoint a bare emulator offers. */
export const DEFAULT_ENDPOINT_ID = 'ep1';

/** The API key a bare emulator accepts; it opens nothing but the emulator. */
export const DEFAULT_API_KEY = 'sandbox';
