/**
 * Writes a file so that whoever sees its name sees all of it: temporary name in the same folder, write, flush, size check, rename, folder
 * flush. On a RAM disk the close and the rename are what matters, on a disk the flushes are (ComfyUI protocol notes §6.8).
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import path from 'node:path';
import { ComfyRunpodError } from '../../shared/index.ts';
import { wipeFile } from './wipe-file.ts';

const exclusive = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/** Puts `bytes` at `target`, readable by the owner only. Throws `WORKSPACE_FULL` or `WORKSPACE_FAILED`; then nothing is left behind. */
export async function writeDurably(target: string, bytes: Buffer): Promise<void> {
  const temporary = `${target}.${randomBytes(6).toString('hex')}.part`;
  const startedAt = Date.now() - 1_000;
  try {
    await writeAll(temporary, bytes);
    await rename(temporary, target);
    await flushFolder(path.dirname(target));
  } catch (error) {
    await wipeFile(temporary, startedAt).catch(() => undefined);
    throw workspaceError(error);
  }
}

async function writeAll(file: string, bytes: Buffer): Promise<void> {
  const handle = await open(file, exclusive, 0o600);
  try {
    for (let position = 0; position < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, position, bytes.length - position, position);
      position += bytesWritten;
    }
    await handle.sync();
    const { size } = await handle.stat();
    if (size !== bytes.length) throw new Error('short file');
  } finally {
    await handle.close();
  }
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The coded error for a failed file operation. Paths stay out of the message. */
export function workspaceError(error: unknown): ComfyRunpodError {
  if (error instanceof ComfyRunpodError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ComfyRunpodError(
      'WORKSPACE_FULL',
      "There is no space left in ComfyUI's folders for the files of the job.",
      {
        cause: error,
      },
    );
  }
  return new ComfyRunpodError('WORKSPACE_FAILED', `A file of the job could not be written (${code}).`, {
    cause: error,
  });
}
