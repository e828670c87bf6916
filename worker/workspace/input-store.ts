/**
 * Staged input files on a disk shared with ComfyUI: one folder for all jobs of this workspace, one file per content, counted by the jobs
 * that use it and wiped when the last one is done. Jobs overlap: the next may bring the very content that the last is just wiping.
 */
import { lstat, mkdir, rmdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { ComfyRunpodError } from '../../shared/index.ts';
import type { DecodedFile } from './decode-sent-file.ts';
import { releaseFolderName, takeFolderName } from './folder-names.ts';
import type { WipeTally } from './wipe-tree.ts';
import { workspaceError, writeDurably } from './write-durably.ts';

interface Held {
  users: number;
  readonly size: number;
  readonly written: Promise<void>;
}

/** Input files by content. */
export class InputStore {
  readonly #inputDir: string;
  readonly #folder = takeFolderName();
  readonly #held = new Map<string, Held>();
  /** Files whose last user has gone, until they are wiped: nobody may write them anew before that. */
  readonly #wiping = new Map<string, Promise<void>>();

  constructor(inputDir: string) {
    this.#inputDir = inputDir;
  }

  /** Throws `WORKSPACE_FULL` when `bytes` more do not fit. */
  async assertSpace(bytes: number): Promise<void> {
    const stats = await statfs(this.#inputDir).catch((error: unknown) => {
      throw workspaceError(error);
    });
    const free = stats.bavail * stats.bsize;
    if (free >= bytes) return;
    throw new ComfyRunpodError(
      'WORKSPACE_FULL',
      `The job's files take ${bytes} bytes and ${free} are free in ComfyUI's input folder.`,
      {
        details: { needed: bytes, free },
      },
    );
  }

  /** Puts a file there, or uses the one of equal content, and answers the value for a loader input. Release it by that value. */
  async hold(file: DecodedFile): Promise<string> {
    const value = `${this.#folder}/${file.contentName}`;
    const known = this.#held.get(value);
    const held = known ?? { users: 0, size: file.bytes.length, written: this.#write(file, this.#wiping.get(value)) };
    held.users++;
    this.#held.set(value, held);
    try {
      await held.written;
    } catch (error) {
      this.#forget(value);
      throw error;
    }
    return value;
  }

  /** One job is done with a file; the last one wipes it. */
  async release(value: string, tally: WipeTally): Promise<void> {
    if (!this.#forget(value)) return;
    const wiped = tally.file(path.join(this.#inputDir, value), `input/${value}`, 0);
    this.#wiping.set(value, wiped);
    await wiped;
    if (this.#wiping.get(value) === wiped) this.#wiping.delete(value);
  }

  /** Removes the empty folder. One that still holds files stays for a later sweep. */
  async close(): Promise<void> {
    await rmdir(path.join(this.#inputDir, this.#folder)).catch(() => undefined);
    releaseFolderName(this.#folder);
  }

  /** True when nobody needs the file any more. */
  #forget(value: string): boolean {
    const held = this.#held.get(value);
    if (!held) return false;
    held.users--;
    if (held.users > 0) return false;
    this.#held.delete(value);
    return true;
  }

  /** `before`: the wipe of an earlier file of that name. */
  async #write(file: DecodedFile, before: Promise<void> | undefined): Promise<void> {
    await before;
    const folder = path.join(this.#inputDir, this.#folder);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      // A link here would let somebody else choose where inputs are written.
      if (!(await lstat(folder)).isDirectory()) throw new Error('not a folder');
    } catch (error) {
      throw workspaceError(error);
    }
    await writeDurably(path.join(folder, file.contentName), file.bytes);
  }
}
