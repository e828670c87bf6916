/**
 * Keys of submissions that this worker has taken: a second job with the same key is the same submission, sent twice by a client that did not learn
 * whether its first request arrived, and is not rendered again. On a network volume the workers of an endpoint know each other's keys.
 */
import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Keys that one worker remembers. */
const rememberedKeys = 10_000;
/** RunPod forgets a job after a week at the latest (`ttl`, RunPod protocol notes §1.4): so do we on the volume. */
const volumeMs = 7 * 86_400_000;

/** Remembers keys. */
export class SeenKeys {
  readonly #jobs = new Map<string, string>();
  readonly #folder: string | undefined;
  #swept = false;

  /** `folder` lies on a network volume, or is undefined without one. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  /** Notes that `jobId` is the submission `key`. Answers with the id of the job that was it before, if there is one. A volume that fails is done without. */
  async claim(key: string, jobId: string): Promise<string | undefined> {
    const here = this.#jobs.get(key);
    if (here !== undefined) return here === jobId ? undefined : here;
    this.#jobs.set(key, jobId);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > rememberedKeys && oldest !== undefined) this.#jobs.delete(oldest);
    const there = await this.#claimOnVolume(key, jobId).catch(() => undefined);
    if (there === undefined || there === jobId) return undefined;
    this.#jobs.set(key, there);
    return there;
  }

  /** The job left no result that anybody could be sent to: the key may be used again. */
  async release(key: string, jobId: string): Promise<void> {
    if (this.#jobs.get(key) !== jobId) return;
    this.#jobs.delete(key);
    if (this.#folder !== undefined) await rm(this.#file(this.#folder, key), { force: true }).catch(() => undefined);
  }

  async #claimOnVolume(key: string, jobId: string): Promise<string | undefined> {
    const folder = this.#folder;
    if (folder === undefined) return undefined;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await this.#sweep(folder);
    const file = this.#file(folder, key);
    const written = `${file}.${randomUUID()}`;
    try {
      await writeFile(written, jobId, { flag: 'wx', mode: 0o600, flush: true });
      // Named in one step, with the id in it: two workers can't both be first, and none reads a file that is still empty.
      await link(written, file).catch((error: unknown) => {
        if (codeOf(error) === 'EEXIST') throw error;
        return this.#writeFirst(file, jobId);
      });
      return undefined;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      const text = (await readFile(file, 'utf8')).trim();
      return text === '' ? undefined : text;
    } finally {
      await rm(written, { force: true });
    }
  }

  /** For volumes without hard links. */
  async #writeFirst(path: string, jobId: string): Promise<void> {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(jobId);
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  #file(folder: string, key: string): string {
    return join(folder, createHash('sha256').update(key).digest('hex'));
  }

  async #sweep(folder: string): Promise<void> {
    if (this.#swept) return;
    this.#swept = true;
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      // Another worker may have removed it by now.
      const found = await stat(path).catch(() => undefined);
      if (found && Date.now() - found.mtimeMs > volumeMs) await rm(path, { force: true });
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
