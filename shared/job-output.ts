/**
 * The result envelope: what job-done carries as `output` of a finished run, whether it succeeded or failed with some outputs made before.
 * Written by the worker of the same package; read leniently, so that a newer worker's extra keys don't break an older client.
 */
import * as z from 'zod';
import { bootReportSchema } from './boot.ts';
import { deliverySchema } from './delivery.ts';

/** What a file is, judged by its content type. */
export const artifactKindSchema = z.enum(['image', 'video', 'audio', 'model', 'text', 'other']);

/** One file that the run produced. */
export const artifactSchema = z.object({
  /** Base name as ComfyUI would give it in an empty output folder, for example `portrait_00001_.png`. */
  name: z.string(),
  /** Sub-folder that the workflow asked for, with `/`, or empty. */
  subfolder: z.string(),
  /** Folder of ComfyUI it was in. */
  type: z.enum(['output', 'temp', 'input']),
  /** Node id in the submitted workflow. */
  node: z.string(),
  /** Class of that node. */
  classType: z.string(),
  /** Key of the node's output under which the file was listed: `images`, `gifs`, `audio`, ... */
  key: z.string(),
  /** Position under that key, from 0. */
  index: z.int().min(0),
  kind: artifactKindSchema,
  /** MIME type, sniffed from the bytes. */
  contentType: z.string(),
  /** Bytes as delivered. */
  size: z.int().min(0),
  /** SHA-256 of the bytes as delivered, lower-case hex. */
  sha256: z.string(),
  /** `stripped`: text metadata was removed; `kept`: the bytes are as ComfyUI wrote them. */
  metadata: z.enum(['stripped', 'kept']),
  /** Present when the picture was written anew: MIME types before and after, and why. */
  encoding: z.object({ from: z.string(), to: z.string(), why: z.string() }).optional(),
  delivery: deliverySchema,
});

/** A text or other JSON value that a node put out. */
export const valueOutputSchema = z.object({
  node: z.string(),
  classType: z.string(),
  key: z.string(),
  value: z.unknown(),
});

/** Milliseconds spent per phase of the job on the worker. */
export const timingsSchema = z.object({
  /** Placing the input files; 0 where they were placed while ComfyUI booted, as a part of `bootMs`. */
  stageMs: z.number(),
  /** From posting the prompt to its history entry: ComfyUI's own time, its queue included. */
  runMs: z.number(),
  collectMs: z.number(),
  /** From the take to the end of the wipe. */
  totalMs: z.number(),
  /** From the take until a slot was free. */
  takenMs: z.number().optional(),
  /** Waiting for ComfyUI to answer, and checking the graph against it. */
  bootMs: z.number().optional(),
  /** Waiting in ComfyUI's queue behind another job; a part of `runMs`. */
  queueMs: z.number().optional(),
  /** Reading, stripping, hashing and encoding what was found, and delivering what doesn't fit into the answer; a part of `collectMs`. */
  encodeMs: z.number().optional(),
  wipeMs: z.number().optional(),
});

/** What was done and what was left, told by the worker. */
export const receiptSchema = z.object({
  promptId: z.string(),
  workerId: z.string(),
  workerVersion: z.string(),
  comfyVersion: z.string(),
  timings: timingsSchema,
  /** Milliseconds per executed node, as far as ComfyUI told. */
  nodes: z.array(z.object({ node: z.string(), classType: z.string(), ms: z.number() })),
  bytes: z.object({ in: z.number(), out: z.number() }),
  /** GPU memory at the end of the run, bytes: what ComfyUI and its models held of the whole. Absent without a GPU. */
  vram: z.object({ usedBytes: z.number(), totalBytes: z.number() }).optional(),
  /** Node ids that ComfyUI served from its cache. */
  cached: z.array(z.string()),
  /** `debug`: files were kept on request. `remote`: the worker shares no disk with ComfyUI, so uploads stay there. */
  wipe: z.object({
    mode: z.enum(['wiped', 'debug', 'remote']),
    files: z.number(),
    bytes: z.number(),
    kept: z.array(z.string()),
    /** Read back afterwards: the job's files and its history entry are gone. Only with `wiped`. */
    verified: z.boolean().optional(),
    /** Files that appeared during the job and may be another's; they stay until no job runs, or where others use the same ComfyUI. */
    unattributed: z.number().optional(),
    /** With `privacy: strict`: caches were freed and ComfyUI's memory of the last graph was overwritten. */
    strict: z.boolean().optional(),
    /** Input files that stay on the worker because a job asked to hold them. */
    held: z.number().optional(),
  }),
  /** How the worker started; in its first result only. */
  boot: bootReportSchema.optional(),
  /** Times the prompt was submitted again or an answer had to be asked for again. */
  retries: z.number(),
  /** What went other than asked although the job succeeded, for example an output node that delivered nothing. */
  warnings: z.array(z.object({ node: z.string().optional(), message: z.string() })).optional(),
});

/** The result envelope. */
export const resultEnvelopeSchema = z.object({
  kind: z.literal('comfy-runpod/result'),
  contract: z.int().min(1),
  /** `partial` comes with an `error` beside the output: these were made before the failure. */
  status: z.enum(['success', 'partial']),
  artifacts: z.array(artifactSchema),
  values: z.array(valueOutputSchema),
  receipt: receiptSchema,
});

export type ArtifactKind = z.output<typeof artifactKindSchema>;
export type Artifact = z.output<typeof artifactSchema>;
export type ValueOutput = z.output<typeof valueOutputSchema>;
export type Receipt = z.output<typeof receiptSchema>;
export type ResultEnvelope = z.output<typeof resultEnvelopeSchema>;

/** Reads a job's `output` as a result envelope, or undefined when it is something else. */
export function readResultEnvelope(output: unknown): ResultEnvelope | undefined {
  const parsed = resultEnvelopeSchema.safeParse(output);
  return parsed.success ? parsed.data : undefined;
}
