/**
 * The canonical job input: what RunPod carries as `input`. Strict, because people write it: an unknown key is an error that names
 * the key and the nearest known one. The client builds it, the worker parses it.
 */
import * as z from 'zod';
import { isStrictBase64, stripDataUrl } from './base64.ts';
import { destinationSchema, outputFormatSchema } from './delivery.ts';
import { isLoopbackUrl } from './environment.ts';
import { unsafeNameReason } from './file-names.ts';
import { limits } from './limits.ts';
import { workflowSchema } from './workflow.ts';

const fileNameSchema = z.string().superRefine((name, context) => {
  const reason = unsafeNameReason(name);
  if (reason !== undefined)
    context.addIssue({
      code: 'custom',
      message: `unsafe file name: ${reason}`,
      params: { errorCode: 'FILE_NAME_UNSAFE' },
    });
});

const base64Schema = z
  .string()
  .transform(stripDataUrl)
  .superRefine((text, context) => {
    if (text === '')
      context.addIssue({ code: 'custom', message: 'the file is empty', params: { errorCode: 'FILE_EMPTY' } });
    else if (!isStrictBase64(text))
      context.addIssue({ code: 'custom', message: 'not valid base64', params: { errorCode: 'FILE_BASE64_INVALID' } });
  });

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, 'not a lower-case hex SHA-256');

/** Only the form: what a worker may fetch it decides itself, by the network addresses behind the host. */
const inputUrlSchema = z
  .string()
  .max(limits.inputUrlChars)
  .superRefine((text, context) => {
    const refuse = (message: string) =>
      context.addIssue({ code: 'custom', message, params: { errorCode: 'INPUT_URL_REFUSED' } });
    const url = URL.parse(text);
    if (url === null || (url.protocol !== 'https:' && !isLoopbackUrl(text))) refuse('not an https address');
    else if (url.username !== '' || url.password !== '') refuse('holds a user name or password');
  });

/** Relative name, sub-folders allowed: the value that loader inputs of the workflow hold. */
const inputName = { name: fileNameSchema };

/** A file that travels with the job. */
export const sentFileSchema = z.strictObject({
  ...inputName,
  /** The bytes as standard base64; a `data:` URL prefix is accepted. */
  data: base64Schema,
  /** SHA-256 of the bytes in lower-case hex; checked by the worker when given. */
  sha256: sha256Schema.optional(),
});

/** A file that the worker fetches. */
export const fetchedFileSchema = z.strictObject({
  ...inputName,
  /** Address of the file: https, a public host. The answer must be the file itself. */
  url: inputUrlSchema,
  /** As with `data`. A worker that still holds a file of this hash does not fetch it. */
  sha256: sha256Schema.optional(),
});

/** A file that an earlier job asked the worker to hold. A worker that doesn't hold it answers `INPUT_NOT_HELD`. */
export const heldFileSchema = z.strictObject({
  ...inputName,
  sha256: sha256Schema,
  held: z.literal(true),
});

/** One input file. `name` is how the workflow refers to it; on the worker it is staged under a content-addressed name. */
export const inputFileSchema = z.union([sentFileSchema, fetchedFileSchema, heldFileSchema]);

/** Keeps the job's input files on the worker for later jobs, which name them by their hash. */
export const holdSchema = z.strictObject({
  /** From the start of the job; the latest expiry that any job asked for counts. */
  seconds: z.int().min(limits.holdSeconds.min).max(limits.holdSeconds.max),
});

/** Puts a file or a value into an input of a node before the run. */
export const injectionSchema = z.union([
  z.strictObject({ node: z.string(), input: z.string(), file: fileNameSchema }),
  z.strictObject({
    node: z.string(),
    input: z.string(),
    value: z.unknown().refine((value) => value !== undefined, 'missing'),
  }),
]);

/** Time limits of the run, milliseconds. */
export const jobLimitsSchema = z.strictObject({
  /** The whole job on the worker, staging to delivery. Default: RunPod's executionTimeout, less a margin. */
  executionMs: z.int().min(1_000).max(limits.executionTimeoutMs.max).optional(),
  /** Silence of ComfyUI after which the run counts as stalled. */
  stallMs: z.int().min(1_000).max(limits.executionTimeoutMs.max).optional(),
});

/** Which outputs come back. */
export const outputSelectionSchema = z.strictObject({
  /** Also return files of the temp folder (previews). */
  temp: z.boolean().optional(),
  /** Only outputs of these node ids. */
  nodes: z.array(z.string()).max(limits.workflowNodes).optional(),
});

/** The canonical job input. */
export const jobInputSchema = z.strictObject({
  /** Version of the contract that the client speaks. */
  contract: z.int().min(1).optional(),
  /** The workflow in API format. */
  workflow: workflowSchema,
  /** Files that loader nodes of the workflow name. */
  files: z.array(inputFileSchema).max(limits.jobFiles).optional(),
  hold: holdSchema.optional(),
  /** Files and values to put into nodes before the run. */
  injections: z.array(injectionSchema).max(limits.jobInjections).optional(),
  destination: destinationSchema.optional(),
  /** Format of pictures. */
  output: outputFormatSchema.optional(),
  limits: jobLimitsSchema.optional(),
  outputs: outputSelectionSchema.optional(),
  /** Send small preview pictures with the progress, at most one per two seconds. ComfyUI must make previews: `--preview-method auto` in COMFY_ARGS, or a version that lets a job choose. */
  previews: z.boolean().optional(),
  /** Ask for a fresh worker after this job: RunPod recycles the one that ran it. */
  refresh: z.boolean().optional(),
  /** Run the workflow although ComfyUI refuses some of its outputs; the receipt warns of each. By default such a job is refused. */
  allowPartial: z.boolean().optional(),
  /**
   * Names this submission: a client that does not learn whether its request arrived finds the job by it. Two jobs with the same key are the same
   * submission, never two.
   */
  key: z
    .string()
    .regex(/^[A-Za-z0-9._-]{8,64}$/, 'must be 8 to 64 letters, digits, dots, dashes or underscores')
    .optional(),
  /** Keep the job's files on the worker for inspection instead of wiping them. */
  debug: z.boolean().optional(),
  /**
   * `strict` also makes ComfyUI drop its caches (models too) and overwrites what it remembers of the last graph before the result is
   * delivered, and sends no preview pictures. The next job starts cold. Not together with `debug`.
   */
  privacy: z.enum(['standard', 'strict']).optional(),
  /**
   * `strip` (default) removes prompt, workflow and other text metadata from results: PNG, JPEG, WebP, GIF, SVG, AVIF, HEIC, MP4, MOV, WebM,
   * Matroska, FLAC, Ogg, MP3, WAV, GLB and safetensors. Any other format stays as it is, with a warning in the receipt. `keep` leaves all
   * files as ComfyUI wrote them.
   */
  metadata: z.enum(['strip', 'keep']).optional(),
  /** Key for ComfyUI's paid API nodes; passed on as `extra_data.api_key_comfy_org`, never stored or logged. */
  comfyOrgApiKey: z.string().min(1).max(1_000).optional(),
});

/** Canonical job input after parsing. */
export type JobInput = z.output<typeof jobInputSchema>;
/** Canonical job input as it travels. */
export type JobInputWire = z.input<typeof jobInputSchema>;
export type InputFile = z.output<typeof inputFileSchema>;
export type Injection = z.output<typeof injectionSchema>;
export type OutputSelection = z.output<typeof outputSelectionSchema>;
