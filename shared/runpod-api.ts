/**
 * RunPod's public answers, read leniently: only the fields that we use, unknown ones ignored.
 * Source: RunPod protocol notes §1.5 to §1.10 and §4.3.
 */
import * as z from 'zod';

/** Statuses that end a job. Any other string is non-terminal (§5 statement 78). */
export const terminalStatuses = ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'] as const;
export type TerminalStatus = (typeof terminalStatuses)[number];

/** True when a job with this status will not change any more. */
export function isTerminalStatus(status: string): status is TerminalStatus {
  return (terminalStatuses as readonly string[]).includes(status);
}

/** A job as `/run`, `/runsync`, `/status`, `/status-sync`, `/cancel` and `/retry` show it. Times in milliseconds. */
export const jobViewSchema = z.object({
  id: z.string().min(1),
  status: z.string().min(1),
  delayTime: z.number().optional(),
  executionTime: z.number().optional(),
  /** Final output, or the latest progress value while the job runs. */
  output: z.unknown().optional(),
  error: z.unknown().optional(),
  retries: z.number().optional(),
  workerId: z.string().optional(),
});

/** Answer of `/stream`. A missing array is treated as empty (§5 statement 81). */
export const streamViewSchema = z.object({
  status: z.string().min(1),
  stream: z.array(z.looseObject({ output: z.unknown().optional() })).default([]),
});

const count = z.number().int().min(0).default(0);

/** Answer of `/health`: counters of jobs and workers. */
export const healthViewSchema = z.object({
  jobs: z.object({ completed: count, failed: count, inProgress: count, inQueue: count, retried: count }),
  workers: z.object({
    idle: count,
    initializing: count,
    ready: count,
    running: count,
    throttled: count,
    unhealthy: count,
  }),
});

/** Answer of `/purge-queue`. */
export const purgeViewSchema = z.object({ removed: z.number(), status: z.string() });

/** Body of `/run` and `/runsync` (§1.3). */
export const submitBodySchema = z.object({
  input: z.record(z.string(), z.unknown()),
  webhook: z.url().optional(),
  policy: z
    .object({ executionTimeout: z.int().optional(), ttl: z.int().optional(), lowPriority: z.boolean().optional() })
    .optional(),
});

export type JobView = z.output<typeof jobViewSchema>;
export type StreamView = z.output<typeof streamViewSchema>;
export type HealthView = z.output<typeof healthViewSchema>;
export type SubmitBody = z.output<typeof submitBodySchema>;
