/**
 * Fetches an artifact from the signed address in the envelope into an open file: https (http to loopback only), redirects not followed, size
 * and SHA-256 checked while it streams. The address is a secret: it is in no error.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { request } from 'undici';
import {
  type Artifact,
  backoffMs,
  ComfyRunpodError,
  delay,
  isComfyRunpodError,
  isLoopbackUrl,
} from '../../shared/index.ts';

const attempts = 4;
/** Silence after which a download is given up. */
const silenceMs = 60_000;

/** Writes the artifact's bytes into `file`, which must be empty. Throws `RESULT_CORRUPT` or `RESULT_NOT_SAVED`, or the signal's reason. */
export async function downloadArtifact(
  artifact: Artifact,
  url: string,
  file: FileHandle,
  signal: AbortSignal | undefined,
): Promise<void> {
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== 'https:' && !(parsed.protocol === 'http:' && isLoopbackUrl(url)))) {
    throw new ComfyRunpodError('RESULT_NOT_SAVED', 'The address of a result is not https.');
  }
  for (let attempt = 0; ; attempt++) {
    try {
      await file.truncate(0);
      await fetchOnce(artifact, url, file, signal);
      return;
    } catch (error) {
      signal?.throwIfAborted();
      const failure = isComfyRunpodError(error) ? error : notFetched(error);
      if (attempt + 1 >= attempts || failure.policy.retry === 'never') throw failure;
      await delay(backoffMs(attempt, { baseMs: 300, maxMs: 5_000 }), signal);
    }
  }
}

async function fetchOnce(
  artifact: Artifact,
  url: string,
  file: FileHandle,
  signal: AbortSignal | undefined,
): Promise<void> {
  const answer = await request(url, {
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
    ...(signal && { signal }),
  });
  if (answer.statusCode !== 200) {
    await answer.body.dump();
    throw refused(answer.statusCode);
  }
  const hash = createHash('sha256');
  let position = 0;
  for await (const piece of answer.body) {
    const bytes = piece as Buffer;
    if (position + bytes.length > artifact.size) throw corrupt(artifact, 'more bytes than the worker sent');
    hash.update(bytes);
    await file.write(bytes, 0, bytes.length, position);
    position += bytes.length;
  }
  if (position !== artifact.size) throw corrupt(artifact, `${position} bytes instead of ${artifact.size}`);
  if (hash.digest('hex') !== artifact.sha256) throw corrupt(artifact, 'wrong SHA-256');
}

function corrupt({ node, index }: Artifact, why: string): ComfyRunpodError {
  const name = node.slice(0, 60);
  return new ComfyRunpodError('RESULT_CORRUPT', `Output ${index} of node ${name} arrived damaged: ${why}.`, {
    details: { node: name, index },
  });
}

function refused(status: number): ComfyRunpodError {
  const again = status >= 500 || status === 429;
  return new ComfyRunpodError(again ? 'PLATFORM_ERROR' : 'RESULT_NOT_SAVED', `The bucket answered ${status}.`, {
    details: { status },
    nextStep:
      "Signed addresses end after seven days at most; submit again, or fetch the object with the bucket's own tools.",
  });
}

function notFetched(cause: unknown): ComfyRunpodError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
  return new ComfyRunpodError('NETWORK_UNREACHABLE', `A result could not be fetched from the bucket (${code}).`, {
    cause,
  });
}
