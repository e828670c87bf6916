/** Reads a whole file that a person named, and says what is wrong with it in their words. */
import { readFile, stat } from 'node:fs/promises';
import { ComfyRunpodError } from '../../shared/index.ts';

/** A file to read. */
export interface FileToRead {
  /** Absolute path. */
  readonly path: string;
  /** How messages call it, quoted. */
  readonly shown: string;
  /** Throws when a file of this size is not wanted; called before anything is read. */
  readonly checkSize?: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Reads the file. Throws `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_EMPTY`, or what `checkSize` throws. */
export async function readRegularFile({ path, shown, checkSize, signal }: FileToRead): Promise<Buffer> {
  try {
    // Before opening: a pipe or a device would block or never end.
    const found = await stat(path);
    if (!found.isFile()) {
      throw new ComfyRunpodError(
        'FILE_UNREADABLE',
        `${shown} is ${found.isDirectory() ? 'a folder' : 'no regular file'}.`,
      );
    }
    if (found.size === 0) throw new ComfyRunpodError('FILE_EMPTY', `${shown} is empty.`);
    checkSize?.(found.size);
    return await readFile(path, signal ? { signal } : {});
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof ComfyRunpodError) throw error;
    throw systemError(error, shown);
  }
}

function systemError(error: unknown, shown: string): ComfyRunpodError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new ComfyRunpodError('FILE_NOT_FOUND', `${shown} does not exist.`, { cause: error });
  }
  return new ComfyRunpodError('FILE_UNREADABLE', `${shown} can't be read (${code}).`, { cause: error });
}
