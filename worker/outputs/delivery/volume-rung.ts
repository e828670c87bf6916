/** Results on a network volume: written beside their place, synced, renamed; readable by their owner only. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import path from 'node:path';
import { ComfyRunpodError } from '../../../shared/index.ts';
import { objectName } from './object-name.ts';
import type { Rung } from './rung.ts';

const pieceBytes = 1024 * 1024;

/** Writes into `folder` (absolute, on the volume), in a folder per job. */
export function volumeRung(folder: string, jobId: string): Rung {
  return {
    via: 'volume',
    maxBytes: Number.POSITIVE_INFINITY,
    maxArtifacts: Number.POSITIVE_INFINITY,
    async send({ source, extension }, index, reason, signal) {
      const target = path.join(folder, ...objectName(jobId, index, extension));
      const sha256 = await writeDurable(target, source.pieces(pieceBytes, signal), signal);
      return { sha256, delivery: { via: 'volume', path: target, reason } };
    },
    close: () => undefined,
  };
}

/** Writes a file so that its name appears only with all of its bytes. Answers their SHA-256. Throws `RESULT_UNDELIVERED`. */
export async function writeDurable(
  target: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal: AbortSignal,
): Promise<string> {
  // A name of its own: another worker that was given the same job may be writing the same file.
  const temporary = `${target}.${randomBytes(6).toString('hex')}.part`;
  try {
    await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
    const hash = createHash('sha256');
    const file = await open(temporary, 'wx', 0o600);
    try {
      for await (const piece of pieces) {
        hash.update(piece);
        await file.writeFile(piece);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    return hash.digest('hex');
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    signal.throwIfAborted();
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ComfyRunpodError('RESULT_UNDELIVERED', `The network volume could not be written to (${code}).`, {
      cause: error,
      details: { reason: code },
      nextStep: 'Check the free space of the network volume and that RESULT_VOLUME_DIR may be written to.',
    });
  }
}
