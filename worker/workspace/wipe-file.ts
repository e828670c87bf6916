/**
 * Wipes one file so that its bytes are gone and not only its name: opened without truncation (which would free the old pages
 * unwritten), overwritten in place, synced, read back, unlinked. Links are never followed.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';

/** Small enough to stay in the processor's cache, large enough that the steps don't count. */
const blockBytes = 1024 * 1024;
const zeros = Buffer.alloc(blockBytes);

/** What became of a file. `unlinked`: its name is gone, its content was not ours to overwrite. */
export type WipeOutcome = { readonly kind: 'wiped' | 'unlinked' | 'absent'; readonly bytes: number };

/**
 * Wipes one file. A symbolic link is unlinked and what it points to stays. A file with further hard links that is older than
 * `createdAfter` (milliseconds since the epoch) was linked here and not made here: its content stays too. Throws when bytes may remain.
 */
export async function wipeFile(path: string, createdAfter: number): Promise<WipeOutcome> {
  const stats = await lstat(path).catch(absentIsUndefined);
  if (!stats) return { kind: 'absent', bytes: 0 };
  if (stats.isDirectory()) throw new Error('is a folder');
  const foreign = !stats.isFile() || (stats.nlink > 1 && stats.mtimeMs < createdAfter);
  if (foreign) {
    await unlink(path);
    return { kind: 'unlinked', bytes: 0 };
  }
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  let bytes: number;
  try {
    bytes = await overwrite(handle, stats.ino);
  } finally {
    await handle.close();
  }
  await unlink(path);
  return { kind: 'wiped', bytes };
}

async function overwrite(handle: FileHandle, inode: number): Promise<number> {
  const stats = await handle.stat();
  // The name may have been given to something else between the look and the opening.
  if (stats.ino !== inode || !stats.isFile()) throw new Error('was replaced');
  for (let position = 0; position < stats.size; ) {
    const length = Math.min(blockBytes, stats.size - position);
    const { bytesWritten } = await handle.write(zeros, 0, length, position);
    position += bytesWritten;
  }
  await handle.sync();
  await verify(handle, stats.size);
  return stats.size;
}

async function verify(handle: FileHandle, size: number): Promise<void> {
  const block = Buffer.allocUnsafe(Math.min(blockBytes, Math.max(1, size)));
  for (let position = 0; position < size; ) {
    const { bytesRead } = await handle.read(block, 0, Math.min(block.length, size - position), position);
    if (bytesRead === 0) throw new Error('became shorter');
    if (block.compare(zeros, 0, bytesRead, 0, bytesRead) !== 0) throw new Error('still holds data');
    position += bytesRead;
  }
}

/** For `catch`: a missing file is undefined, any other error goes on. */
export function absentIsUndefined(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
    return undefined;
  throw error;
}
