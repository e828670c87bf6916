/**
 * Progress events: what the worker posts while a job runs, seen by the client as `output` while the status is IN_PROGRESS
 * (RunPod protocol notes §2.12). Each event is a whole snapshot, so that a reader may miss any of them.
 */
import * as z from 'zod';

/** What the worker is doing with the job, in order. */
export const phaseSchema = z.enum(['starting', 'staging', 'queued', 'running', 'collecting', 'delivering']);

/** A small picture of an unfinished result. */
export const previewSchema = z.object({
  contentType: z.enum(['image/jpeg', 'image/png']),
  /** Standard base64, at most 64 KiB. */
  data: z.string(),
});

/** One snapshot of a job's progress. */
export const progressEventSchema = z.object({
  kind: z.literal('comfy-runpod/progress'),
  contract: z.int().min(1),
  /** Grows by at least one from event to event of a job. */
  sequence: z.int().min(0),
  phase: phaseSchema,
  /** The node that runs now. */
  node: z.object({ id: z.string(), classType: z.string(), title: z.string() }).optional(),
  /** Step of that node, from 0 to `max`. */
  step: z.object({ value: z.number(), max: z.number() }).optional(),
  /** Nodes that are done (cached ones included) of those that will run. */
  nodes: z.object({ done: z.int(), total: z.int() }).optional(),
  /** Whole-graph share from 0 to 1, by nodes and steps. */
  fraction: z.number().min(0).max(1).optional(),
  /** Milliseconds since the worker took the job. */
  elapsedMs: z.number(),
  /** Milliseconds that the run will still take, by what its nodes took before; absent while that can't be known. */
  remainingMs: z.number().min(0).optional(),
  /** What the run is making just now, for jobs with `previews: true`. */
  preview: previewSchema.optional(),
});

export type Phase = z.output<typeof phaseSchema>;
export type Preview = z.output<typeof previewSchema>;
export type ProgressEvent = z.output<typeof progressEventSchema>;

/** Reads a value as a progress event of this contract, or undefined when it is something else. */
export function readProgressEvent(value: unknown): ProgressEvent | undefined {
  const parsed = progressEventSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
