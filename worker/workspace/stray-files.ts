/**
 * Files that nodes wrote beside their outputs: found by comparing ComfyUI's folders before and after a job.
 *
 * 1. A stray file was not there when the job began and was made (birth and change) since. Older files are never touched, links never followed.
 * 2. While jobs overlap nobody knows whose a file is: it stays, is counted as unattributed, and is wiped when the last of them ends.
 * 3. Where somebody else may use the same ComfyUI, stray files are only counted.
 */
import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { isWorkerFolder } from './folder-names.ts';
import type { WipeTally } from './wipe-tree.ts';

/** Folders to watch, by the name that reports show. */
export type WatchedFolders = Readonly<Record<string, string>>;

/** More entries than this are not compared: listing them would cost every job more than a moment. */
const maxEntries = 50_000;

/** One job's look at the folders. */
export interface StrayLook {
  /** The job is over: wipes what is certain into `tally` and answers how many files are left. `keep`: the job's files are to stay. */
  end(tally: WipeTally, keep: boolean): Promise<number>;
}

interface Look {
  readonly before: Promise<ReadonlySet<string> | undefined>;
  readonly openedAt: number;
  overlapped: boolean;
}

/** Watches the folders of one workspace. */
export class StrayFiles {
  readonly #folders: WatchedFolders;
  readonly #exclusive: boolean;
  readonly #open = new Set<Look>();
  /** Seen while jobs overlapped, with when the earliest of them began. */
  readonly #pending = new Map<string, number>();
  /** Kept on request. */
  readonly #spared = new Set<string>();

  constructor(folders: WatchedFolders, exclusive: boolean) {
    this.#folders = folders;
    this.#exclusive = exclusive;
  }

  /** A job begins. `openedAt`: milliseconds since the epoch, with the slack of coarse clocks taken off. */
  begin(openedAt: number): StrayLook {
    for (const other of this.#open) other.overlapped = true;
    const look: Look = { before: this.#list(), openedAt, overlapped: this.#open.size > 0 };
    look.before.catch(() => undefined);
    this.#open.add(look);
    return { end: (tally, keep) => this.#end(look, tally, keep) };
  }

  async #end(look: Look, tally: WipeTally, keep: boolean): Promise<number> {
    if (!this.#open.has(look)) return 0;
    try {
      const before = await look.before;
      const after = before && (await this.#list());
      if (!before || !after) return 0;
      const found = [...after].filter((name) => !before.has(name) && !this.#spared.has(name));
      const made: string[] = [];
      for (const name of found) if (await this.#madeSince(name, look.openedAt)) made.push(name);
      if (keep) {
        for (const name of made) this.#spared.add(name);
        return made.length;
      }
      if (!this.#exclusive) return made.length;
      // Another job may run, or have run beside this one: the last of them cleans up.
      if (look.overlapped || this.#open.size > 1) {
        for (const name of made) this.#pending.set(name, Math.min(look.openedAt, this.#pending.get(name) ?? Infinity));
        made.length = 0;
      }
      for (const name of made) await this.#wipe(name, look.openedAt, tally);
      this.#open.delete(look);
      if (this.#open.size > 0) return this.#pending.size;
      await this.#wipePending(tally);
      return 0;
    } finally {
      this.#open.delete(look);
    }
  }

  async #wipePending(tally: WipeTally): Promise<void> {
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const [name, since] of pending) {
      if (!this.#spared.has(name)) await this.#wipe(name, since, tally);
    }
  }

  async #wipe(name: string, since: number, tally: WipeTally): Promise<void> {
    if (await this.#madeSince(name, since)) await tally.file(this.#absolute(name), name, since);
  }

  async #madeSince(name: string, since: number): Promise<boolean> {
    const stats = await lstat(this.#absolute(name)).catch(() => undefined);
    if (!stats?.isFile()) return false;
    // Some file systems tell no birth: then it is 0 and the change has to do.
    return stats.ctimeMs >= since && (stats.birthtimeMs === 0 || stats.birthtimeMs >= since);
  }

  #absolute(name: string): string {
    const [folder = '', ...rest] = name.split('/');
    return path.join(this.#folders[folder] ?? '', ...rest);
  }

  /** Names of the plain files, each with its folder first; the worker's own folders are left out. Undefined when there are too many. */
  async #list(): Promise<ReadonlySet<string> | undefined> {
    const names = new Set<string>();
    for (const [shown, folder] of Object.entries(this.#folders)) await listInto(names, folder, shown);
    return names.size > maxEntries ? undefined : names;
  }
}

async function listInto(names: Set<string>, folder: string, shown: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (names.size > maxEntries) return;
    const name = `${shown}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!isWorkerFolder(entry.name)) await listInto(names, path.join(folder, entry.name), name);
    } else if (entry.isFile()) names.add(name);
  }
}
