/**
 * The body of job-done as pieces around the result's own text, so that a result of many megabytes is never copied into one string.
 * Source: RunPod protocol notes §2.9 and §2.12.
 */
import type { JsonBody } from '../types.ts';

/** What job-done may carry. */
export interface JobDoneParts {
  readonly output?: JsonBody;
  /** Always a string: with anything else the platform reports COMPLETED without output. */
  readonly error?: string;
  /** Tells the platform to recycle this worker (§2.16). */
  readonly stopPod?: boolean;
}

/** A JSON text as a body. */
export function textBody(text: string): JsonBody {
  const bytes = Buffer.from(text, 'utf8');
  return { byteLength: bytes.byteLength, chunks: () => [bytes] };
}

/** Builds `{"output":…,"error":"…","stopPod":true}`, leaving out what is not there. */
export function jobDoneBody(parts: JobDoneParts): JsonBody {
  const tail = [
    ...(parts.error === undefined ? [] : [`"error":${JSON.stringify(parts.error)}`]),
    ...(parts.stopPod === true ? ['"stopPod":true'] : []),
  ].join(',');
  const { output } = parts;
  if (output === undefined) return textBody(`{${tail}}`);
  const prefix = Buffer.from('{"output":');
  const suffix = Buffer.from(tail === '' ? '}' : `,${tail}}`);
  return {
    byteLength: prefix.byteLength + output.byteLength + suffix.byteLength,
    async *chunks() {
      yield prefix;
      yield* output.chunks();
      yield suffix;
    },
  };
}

/** Builds the body of a progress post. `JSON.stringify` turns NaN and Infinity into null, so they never appear as bare tokens. */
export function progressBody(value: unknown): JsonBody {
  return textBody(JSON.stringify({ status: 'IN_PROGRESS', output: value ?? null }));
}
