/**
 * How the bytes of a result travel: what a job may ask for (`destination`), what the envelope says was done per artifact (`delivery`), and
 * the pieces of a result that travels over /stream. Written by the worker, read by the client of the same package.
 */
import * as z from 'zod';
import { isLoopbackUrl } from './environment.ts';

/** https, or http to loopback: a signed address and a picture must not cross a network in clear. */
const uploadUrlSchema = z
  .string()
  .max(8_192)
  .refine((text) => {
    const url = URL.parse(text.replaceAll(/\{(index|name)\}/g, 'x'));
    return url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackUrl(url.href)));
  }, 'must be an https address');

/**
 * Where results go. `auto` (default) takes the first that carries the result: the answer itself, /stream, a bucket, a network volume. The
 * others force one way. `put`: one address per artifact in the order of the envelope, or a template with `{index}` or `{name}` in it.
 */
export const destinationSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('auto') }),
  z.strictObject({ kind: z.literal('inline') }),
  z.strictObject({ kind: z.literal('stream') }),
  z
    .strictObject({
      kind: z.literal('put'),
      urls: z.array(uploadUrlSchema).min(1).max(1_000).optional(),
      template: uploadUrlSchema.refine((text) => /\{(index|name)\}/.test(text), 'needs {index} or {name}').optional(),
    })
    .refine(({ urls, template }) => (urls === undefined) !== (template === undefined), 'needs either urls or template'),
  z.strictObject({ kind: z.literal('bucket') }),
  z.strictObject({ kind: z.literal('volume') }),
]);

/** How pictures come back. `original` (default): in the format that ComfyUI wrote. */
export const outputFormatSchema = z.strictObject({
  format: z.enum(['original', 'png', 'webp', 'jpeg']).optional(),
  /** 1 to 100, for JPEG and lossy WebP. Default 90. */
  quality: z.int().min(1).max(100).optional(),
  /** WebP without loss. Default false. */
  lossless: z.boolean().optional(),
});

const reason = z.string();

/** How the bytes of one artifact travelled, and why this way. */
export const deliverySchema = z.discriminatedUnion('via', [
  z.object({
    via: z.literal('inline'),
    /** Standard base64 of the bytes. */
    data: z.string(),
    reason: reason.optional(),
  }),
  z.object({
    via: z.literal('chunked'),
    /** Names the pieces on /stream that belong to this result; an earlier attempt has another. */
    transfer: z.string(),
    chunks: z.int().min(1),
    size: z.int().min(0),
    reason,
  }),
  z.object({ via: z.literal('url'), url: z.string(), expiresAt: z.string(), reason }),
  /** At the address that the job gave. */
  z.object({ via: z.literal('put'), reason }),
  /** Absolute path on the endpoint's network volume. */
  z.object({ via: z.literal('volume'), path: z.string(), reason }),
]);

/** One piece of an artifact on /stream, as the value of `output`. */
export const resultChunkSchema = z.object({
  kind: z.literal('comfy-runpod/chunk'),
  contract: z.int().min(1),
  transfer: z.string(),
  /** Position of the artifact in the envelope, from 0. */
  artifact: z.int().min(0),
  /** Position of the piece, from 0. */
  index: z.int().min(0),
  total: z.int().min(1),
  /** SHA-256 of the piece's bytes, lower-case hex. */
  sha256: z.string(),
  /** Standard base64; every piece but the last has a multiple of three bytes. */
  data: z.string(),
});

export type Destination = z.output<typeof destinationSchema>;
export type OutputFormat = z.output<typeof outputFormatSchema>;
export type Delivery = z.output<typeof deliverySchema>;
export type ResultChunk = z.output<typeof resultChunkSchema>;

/** Reads a value of /stream as a piece of a result, or undefined when it is something else. */
export function readResultChunk(value: unknown): ResultChunk | undefined {
  const parsed = resultChunkSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
