/**
 * What a running worker tells `comfy-runpod-inspect` inside its container: over a socket file, to whoever may open it. Facts about the worker,
 * its jobs by id, receipts; nothing of prompts, pictures or keys. Read leniently.
 */
import * as z from 'zod';
import { bootReportSchema, missingModelSchema } from './boot.ts';
import { receiptSchema } from './job-output.ts';

/** Name of the socket in RUNTIME_DIR. */
export const inspectSocketName = 'inspect.sock';

const space = { totalBytes: z.number(), freeBytes: z.number() };

/** A job that has ended. */
export const endedJobSchema = z.object({
  id: z.string(),
  outcome: z.enum(['completed', 'failed', 'cancelled']),
  /** Code of the error of a failed one. */
  code: z.string().optional(),
  endedAt: z.string(),
  ms: z.number(),
  receipt: receiptSchema.optional(),
});

/** Everything. */
export const inspectionSchema = z.object({
  kind: z.literal('comfy-runpod/inspection'),
  mode: z.string(),
  /** `starting`, `ready`, or `interactive` where no jobs are taken. */
  state: z.string(),
  pid: z.number(),
  uptimeMs: z.number(),
  workerId: z.string().optional(),
  image: z.string().optional(),
  versions: z.object({ worker: z.string(), node: z.string(), comfyui: z.string().optional() }),
  comfy: z.object({ state: z.enum(['starting', 'ready']), url: z.string().optional() }).optional(),
  boot: bootReportSchema,
  folders: z.record(z.string(), z.object({ path: z.string(), ...space })),
  models: z.array(z.object({ name: z.string(), where: z.string(), bytes: z.number(), path: z.string().optional() })),
  missingModels: z.array(missingModelSchema),
  jobs: z.object({
    running: z.array(z.object({ id: z.string(), ms: z.number() })),
    /** Newest first. */
    ended: z.array(endedJobSchema),
  }),
});

export type EndedJob = z.output<typeof endedJobSchema>;
export type Inspection = z.output<typeof inspectionSchema>;
