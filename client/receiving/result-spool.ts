/**
 * Where pieces of results wait until they are saved, a folder for each job. RunPod hands each piece out once, so that what one process has read may
 * not be lost with it.
 *
 * 1. Shared (the command line, beside its ledger): the folder outlives the process, and another one goes on from what is there.
 * 2. Private (a program that names none): among the system's temporary files, gone when the client is closed or the process ends.
 * 3. Either way, what nobody has touched for a day is removed: RunPod keeps the result that it belongs to for half an hour.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ComfyRunpodError } from '../../shared/index.ts';
import { isProcessAlive } from '../ledger/process-alive.ts';

const prefix = 'comfy-runpod-results-';
/** A process id may be another's in another container: what looks left behind is removed only when it is old as well. */
const leftoverAgeMs = 86_400_000;

/** Private folders to remove when the process ends. */
const atExit = new Set<string>();

function removeAll(): void {
  for (const folder of atExit) rmSync(folder, { recursive: true, force: true });
}

/** Options of {@link ResultSpool}; at most one of them. */
export interface SpoolPlace {
  /** A folder that all processes of this machine share. */
  readonly shared?: string | undefined;
  /** Where the private folder is made. Default: the system's temporary files. */
  readonly base?: string;
}

/** Files of one client. Close it. */
export class ResultSpool {
  /** True when other processes may add to what is here. */
  readonly isShared: boolean;
  readonly #place: SpoolPlace;
  #root: Promise<string> | undefined;
  #closed = false;

  constructor(place: SpoolPlace = {}) {
    this.#place = place;
    this.isShared = place.shared !== undefined;
  }

  /** The folder of a job, made when it isn't there. Throws `RESULT_NOT_SAVED`. */
  async folderOf(jobId: string): Promise<string> {
    if (this.#closed) throw new ComfyRunpodError('RESULT_NOT_SAVED', 'The client was closed.');
    try {
      this.#root ??= this.#open();
      const folder = join(await this.#root, createHash('sha256').update(jobId).digest('hex').slice(0, 24));
      await mkdir(folder, { recursive: true, mode: 0o700 });
      return folder;
    } catch (error) {
      this.#root = undefined;
      throw this.failure(error);
    }
  }

  /** The coded error of a file that could not be written or read. */
  failure(error: unknown): ComfyRunpodError {
    if (error instanceof ComfyRunpodError) return error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const where = this.isShared
      ? 'in the data folder, or name another one in COMFY_RUNPOD_DATA_DIR'
      : 'among the temporary files, or name another folder for them in TMPDIR';
    return new ComfyRunpodError('RESULT_NOT_SAVED', `The result could not be kept in a file (${code}).`, {
      cause: error,
      details: { cause: code },
      nextStep: `Make room ${where}, and submit again.`,
    });
  }

  /** Removes what is private. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const root = await this.#root?.catch(() => undefined);
    if (root === undefined || this.isShared) return;
    await rm(root, { recursive: true, force: true });
    atExit.delete(root);
    if (atExit.size === 0) process.off('exit', removeAll);
  }

  async #open(): Promise<string> {
    const { shared, base = tmpdir() } = this.#place;
    if (shared !== undefined) {
      await mkdir(shared, { recursive: true, mode: 0o700 });
      return shared;
    }
    await removeLeftovers(base, isAbandoned);
    const folder = await mkdtemp(join(base, `${prefix}${process.pid}-`));
    if (atExit.size === 0) process.once('exit', removeAll);
    atExit.add(folder);
    return folder;
  }
}

/** Removes what waits in a shared folder and was not touched for a day. Never throws. */
export function clearAbandonedResults(shared: string): Promise<void> {
  return removeLeftovers(shared, () => true);
}

function isAbandoned(name: string): boolean {
  const owner = Number(name.slice(prefix.length).split('-')[0]);
  return name.startsWith(prefix) && Number.isInteger(owner) && !isProcessAlive(owner);
}

async function removeLeftovers(base: string, mayGo: (name: string) => boolean): Promise<void> {
  for (const name of (await readdir(base).catch(() => [])).filter(mayGo)) {
    const folder = join(base, name);
    const touchedAt = (await stat(folder).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - touchedAt < leftoverAgeMs) continue;
    await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}
