/**
 * Progress events: what the worker posts while a job runs, seen by the client as `output` while the status is IN_PROGRESS
 * (RunPod protocol notes §2.12). Each event is a whole snapshot, so that a reader may miss any of them.
 */
import * as z from 'zod';

/** What the worker is doing with the job, in order. */
export const phaseSchema = z.enum(['starting', 'staging', 'queued', 'running', 'collecting', 'delivering']);

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
});

export type Phase = z.output<typeof phaseSchema>;
export type ProgressEvent = z.output<typeof progressEventSchema>;

/** Reads a value as a progress event of this contract, or undefined when it is something else. */
export function readProgressEvent(value: unknown): ProgressEvent | undefined {
  const parsed = progressEventSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
