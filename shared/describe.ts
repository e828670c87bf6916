/**
 * Introspection jobs: `{"action": "ping"}` and `{"action": "describe"}`, and what a worker answers. They are told from other jobs by the key
 * `action` alone, and don't touch ComfyUI's queue. Inputs are strict like the job input; answers are read leniently.
 */
import * as z from 'zod';
import { bootReportSchema, missingModelSchema } from './boot.ts';
import { ComfyRunpodError } from './error.ts';

const contract = z.int().min(1).optional();

/** An introspection job's input. */
export const actionInputSchema = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('ping'), contract }),
  z.strictObject({ action: z.literal('describe'), contract }),
]);

/** Results of finished jobs that RunPod did not take, since the worker began to take jobs. A stopped job counts in neither. */
export const resultCountsSchema = z.object({
  /** RunPod has another word of the job or none: the result was refused, too large, or never got through. */
  undelivered: z.int().min(0),
  /** Those of them that the worker put on its volume or into its bucket. */
  kept: z.int().min(0),
});

/** Answer of `ping`. */
export const pongSchema = z.object({
  kind: z.literal('comfy-runpod/pong'),
  contract: z.int().min(1),
  workerVersion: z.string(),
  workerId: z.string(),
  /** The image that the worker runs in, as COMFY_RUNPOD_IMAGE names it. */
  image: z.string().optional(),
  /** Of ComfyUI: `starting` until it answers for the first time, `down` when it could not be started or reached. */
  state: z.enum(['starting', 'ready', 'down']),
  /** Milliseconds since this worker began to take jobs. */
  uptimeMs: z.number(),
  results: resultCountsSchema.optional(),
  /** Custom-node packs that failed to import, as far as ComfyUI's log tells; absent until ComfyUI is ready. */
  failedPacks: z.array(z.string()).optional(),
  /** How the start went, or goes. */
  boot: bootReportSchema.optional(),
  /** Models that the worker should have and has not; jobs that name one fail. */
  missingModels: z.array(missingModelSchema).optional(),
});

/** The node classes, or why they are not there. */
export const describedNodesSchema = z.object({
  /** How many classes there are, when that is known. */
  count: z.int().min(0).optional(),
  /** ComfyUI's `/object_info` as JSON, compressed. */
  encoding: z.literal('gzip+base64').optional(),
  data: z.string().optional(),
  /** Why `data` is missing. */
  omitted: z.string().optional(),
  /** Names of the classes, only where `data` is missing because it did not fit. */
  names: z.array(z.string()).optional(),
});

const spaceSchema = z.object({ totalBytes: z.number(), freeBytes: z.number() });

/** Answer of `describe`. */
export const descriptionSchema = z.object({
  kind: z.literal('comfy-runpod/description'),
  contract: z.int().min(1),
  workerId: z.string(),
  /** The image that the worker runs in, as COMFY_RUNPOD_IMAGE names it. */
  image: z.string().optional(),
  versions: z.object({
    worker: z.string(),
    node: z.string(),
    comfyui: z.string(),
    python: z.string().optional(),
    torch: z.string().optional(),
  }),
  nodeClasses: describedNodesSchema,
  /** By ComfyUI's folder names; sizes in bytes, where ComfyUI tells them. */
  models: z.record(z.string(), z.array(z.object({ name: z.string(), size: z.number().optional() }))),
  results: resultCountsSchema.optional(),
  /** Custom-node packs that failed to import, as far as ComfyUI's log tells: of one that runs for long it no longer begins at the start. */
  importFailures: z.array(z.object({ pack: z.string(), reason: z.string().optional() })).optional(),
  /** What a job may have, bytes, milliseconds and counts by name; `resultBytes` is that of this very job. */
  limits: z.record(z.string(), z.number()),
  memory: spaceSchema.optional(),
  /** Space of the folders that the worker knows, by what they are for: `input`, `output`, `temp`, `models`. */
  disks: z.record(z.string(), spaceSchema),
  gpus: z.array(spaceSchema.extend({ name: z.string(), type: z.string() })),
  /** How the start went. */
  boot: bootReportSchema.optional(),
  /** Models that the worker should have and has not. */
  missingModels: z.array(missingModelSchema).optional(),
  /** What could not be found out. */
  warnings: z.array(z.string()).optional(),
});

export type ActionInput = z.output<typeof actionInputSchema>;
export type ResultCounts = z.output<typeof resultCountsSchema>;
export type Pong = z.output<typeof pongSchema>;
export type Description = z.output<typeof descriptionSchema>;
export type DescribedNodes = z.output<typeof describedNodesSchema>;

/** True for an introspection job. A graph whose node has the id `action` is a graph. */
export function isAction(input: unknown): boolean {
  return typeof input === 'object' && input !== null && 'action' in input && typeof input.action !== 'object';
}

/** Reads an introspection job. Throws `INPUT_INVALID` for an unknown action and `INPUT_UNKNOWN_KEY` for anything beside it. */
export function readActionInput(input: unknown): ActionInput {
  const parsed = actionInputSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const unknown = parsed.error.issues.find((issue) => issue.code === 'unrecognized_keys');
  if (unknown?.code === 'unrecognized_keys') {
    const keys = unknown.keys.map((key) => JSON.stringify(key.slice(0, 60)));
    throw new ComfyRunpodError('INPUT_UNKNOWN_KEY', `An action takes no other keys: ${keys.join(', ')}.`, {
      issues: unknown.keys.map((field) => ({ field, message: 'unknown key' })),
    });
  }
  throw new ComfyRunpodError('INPUT_INVALID', 'action: expected "ping" or "describe".', {
    issues: [{ field: 'action', message: 'expected "ping" or "describe"' }],
  });
}

/** Reads a job's output as an answer of `ping`, or undefined. */
export function readPong(output: unknown): Pong | undefined {
  return pongSchema.safeParse(output).data;
}

/** Reads a job's output as an answer of `describe`, or undefined. */
export function readDescription(output: unknown): Description | undefined {
  return descriptionSchema.safeParse(output).data;
}
