/**
 * One command at a time in the folder of a batch: two would each render every item. The lock is a file with the number of its process; that of a
 * process which is gone is taken over.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ComfyRunpodError } from '../../shared/index.ts';
import { isProcessAlive } from '../ledger/process-alive.ts';

/** File name inside the folder of the batch. */
const lockFile = 'batch.lock';
/** How long a lock without a number counts, milliseconds. */
const unwrittenMs = 10_000;

/** Locks the folder, made when missing, until disposed. Throws `USAGE` when a living process has it, `RESULT_NOT_SAVED` when it can't be written. */
export async function lockBatch(folder: string): Promise<AsyncDisposable> {
  const path = join(folder, lockFile);
  // Whose it is, also when this process has several batches.
  const text = `${process.pid} ${randomUUID()}\n`;
  try {
    await mkdir(folder, { recursive: true });
    while (!(await created(path, text))) await removeStale(path, folder);
  } catch (error) {
    if (error instanceof ComfyRunpodError) throw error;
    throw new ComfyRunpodError('RESULT_NOT_SAVED', 'The folder of the batch can not be written.', {
      cause: error,
      nextStep: 'Name a folder of yours with --out.',
    });
  }
  return {
    async [Symbol.asyncDispose]() {
      const held = await readFile(path, 'utf8').catch(() => '');
      if (held === text) await rm(path, { force: true });
    },
  };
}

async function created(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Removes the lock of a process that is gone. It is moved away first: of two processes that find it, one does that. */
async function removeStale(path: string, folder: string): Promise<void> {
  const held = await holder(path);
  if (held === undefined) return;
  if (held.alive) {
    throw new ComfyRunpodError('USAGE', `Another command (process ${held.processId}) works on this batch.`, {
      nextStep: 'Wait until it has ended, or name another folder with --out.',
    });
  }
  const aside = join(folder, `${lockFile}.${process.pid}.old`);
  try {
    await rename(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  // Between the look and the move another command may have done the same, and have locked the folder since.
  if ((await readFile(aside, 'utf8')) === held.text) await rm(aside, { force: true });
  else await rename(aside, path);
}

interface Holder {
  readonly text: string;
  readonly processId: number;
  readonly alive: boolean;
}

/** Whose lock it is; undefined when it has gone meanwhile. */
async function holder(path: string): Promise<Holder | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    const processId = Number.parseInt(text, 10);
    // Without a number it is being written just now, or its process was killed before it could.
    const alive = processId > 0 ? isProcessAlive(processId, mtimeMs) : Date.now() - mtimeMs < unwrittenMs;
    return { text, processId, alive };
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
