/**
 * Runs a job of a series that shares pictures: the worker is asked to hold them, and later jobs of the series name them by their hash. A worker
 * that doesn't hold them (another one, or too late) refuses the job before anything ran; then it is submitted once more with the bytes.
 */
import { createHash } from 'node:crypto';
import { type JobInputWire, parseJobInput } from '../../shared/index.ts';
import type { Client, ClientSubmitOptions } from '../client.ts';
import type { JobHandle } from '../job-handle.ts';
import type { JobResult } from '../job-result.ts';

/** Options of {@link runHolding}. */
export interface RunHoldingOptions extends ClientSubmitOptions {
  /** How long the worker is to hold the pictures after this job began, 1 to 3600 seconds. */
  readonly holdInputs: { readonly seconds: number };
  /** Told of every job that is submitted, before it is waited for. */
  readonly onSubmitted?: (job: JobHandle) => void | Promise<void>;
}

/** By client: hashes that a worker of its endpoint was asked to hold, and until when (`performance.now()`). */
const heldByClient = new WeakMap<Client, Map<string, number>>();

/**
 * Submits a job and waits for its end. Files that a job of the same client sent within the holding time go as hashes. Submits at most twice:
 * the second time, with the bytes, only after `INPUT_NOT_HELD`, which says that nothing ran. Throws what `submit` and `wait` throw.
 */
export async function runHolding(client: Client, input: JobInputWire, options: RunHoldingOptions): Promise<JobResult> {
  const { holdInputs, onSubmitted, ...submitOptions } = options;
  const whole = withHashes({ ...input, hold: { seconds: holdInputs.seconds } });
  const held = heldBy(client);
  const slim = withoutHeldBytes(whole, held);
  const startedAt = performance.now();
  const run = async (job: JobInputWire) => {
    const handle = await client.submit(job, submitOptions);
    await onSubmitted?.(handle);
    return await handle.wait(options.signal ? { signal: options.signal } : {});
  };
  let result = await run(slim);
  if (result.kind === 'failed' && result.error.code === 'INPUT_NOT_HELD' && slim !== whole) {
    for (const { sha256 } of whole.files ?? []) if (sha256 !== undefined) held.delete(sha256);
    result = await run(whole);
  }
  if (result.kind === 'succeeded') {
    for (const file of whole.files ?? []) {
      if ('data' in file && file.sha256 !== undefined) held.set(file.sha256, startedAt + holdInputs.seconds * 1_000);
    }
  }
  return result;
}

function heldBy(client: Client): Map<string, number> {
  const held = heldByClient.get(client) ?? new Map<string, number>();
  heldByClient.set(client, held);
  for (const [sha256, until] of held) if (until <= performance.now()) held.delete(sha256);
  return held;
}

/** The same job with a hash for every file that is sent. Throws what `parseJobInput` throws. */
function withHashes(input: JobInputWire): JobInputWire {
  const { files, ...rest } = parseJobInput(input);
  if (!files) return rest;
  const hashed = files.map((file) =>
    'data' in file && file.sha256 === undefined ? { ...file, sha256: sha256Of(file.data) } : file,
  );
  return { ...rest, files: hashed };
}

/** The job with hashes in place of bytes where a worker may hold them; the same object when there are none. */
function withoutHeldBytes(input: JobInputWire, held: ReadonlyMap<string, number>): JobInputWire {
  const files = (input.files ?? []).map((file) => {
    const { name, sha256 } = file;
    const known = 'data' in file && sha256 !== undefined && held.has(sha256);
    return known ? { name, sha256, held: true as const } : file;
  });
  return files.some((file) => 'held' in file) ? { ...input, files } : input;
}

function sha256Of(base64: string): string {
  return createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex');
}
