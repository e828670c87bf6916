/**
 * Input files on the disk that ComfyUI reads from, by content. A job leases the files it uses; one that asks for it keeps them for later jobs.
 *
 * 1. A file is there while a job leases it or until the latest expiry that a job asked for, and not a moment longer than the wipe takes.
 * 2. Work on one content is done in order, so a file is never handed out, written or linked while it is being wiped.
 * 3. What is held for later only is bounded; the file with the earliest expiry goes first. Leased files are never evicted.
 * 4. A file whose wipe failed is not handed out again; every later expiry and `close` try again, and `close` throws when bytes remain.
 * 5. Nobody waits for the queue of another content while holding one, or two jobs could wait for each other.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, lstat, mkdir, open, rename, rmdir, statfs } from 'node:fs/promises';
import path from 'node:path';
import { ComfyRunpodError, limits } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { type Clock, systemClock } from './clock.ts';
import { diskError } from './input-errors.ts';
import { InputFileWriter } from './input-file-writer.ts';
import { KeyedQueue } from './keyed-queue.ts';

/** Overwrites a file in place and removes it. Throws when bytes may remain. An absent file is fine. */
export type WipeFile = (path: string) => Promise<{ readonly bytes: number }>;

/** Options of {@link HeldInputs}. */
export interface HeldInputsOptions {
  /** Absolute path of the store's own folder inside ComfyUI's input folder; made when first needed. */
  readonly folder: string;
  /** What a loader input holds before the file's name, usually the folder's name and `/`. */
  readonly prefix: string;
  readonly wipe: WipeFile;
  readonly logger: Logger;
  /** Largest sum of files that no job uses. Default: `limits.heldInputBytes`. */
  readonly maxHeldBytes?: number;
  readonly clock?: Clock;
}

/** What became of a file when a lease ended. `shared`: another job uses it. */
export type LeaseEnd =
  | { readonly kind: 'held' | 'shared' }
  | { readonly kind: 'wiped'; readonly bytes: number }
  | { readonly kind: 'not-wiped' };

/** The right of one job to use one file. */
export interface InputLease {
  readonly sha256: string;
  readonly size: number;
  /** What a loader input must hold. */
  readonly value: string;
  /** Keeps the file for this long from now, milliseconds, unless it is kept for longer already. */
  keepFor(ms: number): void;
  /** The job is done with it. Never throws; twice is the same as once. */
  release(): Promise<LeaseEnd>;
}

interface Entry {
  readonly sha256: string;
  readonly size: number;
  /** Names in the folder: one file, linked once per extension that a job asked for. */
  readonly names: Set<string>;
  users: number;
  /** By the clock; -Infinity when no job asked for it to be kept. */
  keepUntil: number;
  wipeFailed: boolean;
}

/** Space kept free for ComfyUI's own files. */
const reserveBytes = 16 * 1024 * 1024;

/** The store. Its owner closes it. */
export class HeldInputs {
  readonly #options: HeldInputsOptions;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new KeyedQueue();
  #cancelTimer: (() => void) | undefined;
  #folderMade: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: HeldInputsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** True when a lease would be given now. */
  has(sha256: string): boolean {
    const entry = this.#entries.get(sha256);
    return entry !== undefined && this.#usable(entry);
  }

  /** Files and bytes that lie there, leased or not. */
  get stored(): { readonly files: number; readonly bytes: number } {
    const bytes = [...this.#entries.values()].reduce((sum, entry) => sum + entry.size, 0);
    return { files: this.#entries.size, bytes };
  }

  /** Leases a file that is there under a name with this extension (`.png`, or empty); undefined when it is not there. */
  lease(sha256: string, extension: string): Promise<InputLease | undefined> {
    this.#assertOpen();
    return this.#queue.run(sha256, async () => {
      const entry = this.#entries.get(sha256);
      return entry && this.#usable(entry) ? await this.#leaseOf(entry, extension) : undefined;
    });
  }

  /** Stores bytes whose hash is known, or leases the file of equal content. Throws `WORKSPACE_FULL` or `WORKSPACE_FAILED`. */
  async put(bytes: Uint8Array, sha256: string, extension: string): Promise<InputLease> {
    const known = await this.lease(sha256, extension);
    if (known) return known;
    await this.makeRoom(bytes.byteLength);
    return await this.receive(extension, async (writer) => {
      await writer.write(bytes);
      return { sha256 };
    });
  }

  /** Stores what `write` writes, or leases the file of equal content. Throws what `write` throws; then nothing is left behind. */
  async receive(
    extension: string,
    write: (writer: InputFileWriter) => Promise<{ readonly sha256: string }>,
  ): Promise<InputLease> {
    this.#assertOpen();
    let written = { sha256: '', size: 0 };
    const part = await this.#writePart(async (writer) => {
      const { sha256 } = await write(writer);
      written = { sha256, size: await writer.finish() };
    });
    const { sha256, size } = written;
    return this.#queue.run(sha256, async () => {
      const entry = this.#entries.get(sha256);
      if (!entry || !this.#usable(entry)) return await this.#adopt(part, sha256, size, extension);
      await this.#options.wipe(part).catch((error: unknown) => Promise.reject(diskError(error)));
      return await this.#leaseOf(entry, extension);
    });
  }

  /** Makes sure that `bytes` more fit on the disk, by wiping files that no job uses if need be. Throws `WORKSPACE_FULL`. */
  async makeRoom(bytes: number): Promise<void> {
    for (;;) {
      const free = await this.#freeBytes();
      if (free >= bytes + reserveBytes) return;
      const victim = this.#idle()[0];
      if (victim === undefined) {
        const message = `The input files of the job take ${bytes} more bytes and ${free} are free.`;
        throw new ComfyRunpodError('WORKSPACE_FULL', message, { details: { needed: bytes, free } });
      }
      await this.#evict(victim);
    }
  }

  /** Wipes everything, leased or not: no job comes any more. Throws `WIPE_FAILED` when bytes may remain. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#wipeAll();
    return this.#closing;
  }

  #assertOpen(): void {
    if (this.#closing) throw new ComfyRunpodError('WORKER_SHUTDOWN', 'The worker takes no more input files.');
  }

  #usable(entry: Entry): boolean {
    return !entry.wipeFailed && (entry.users > 0 || entry.keepUntil > this.#clock.now());
  }

  /** Entries that no job uses, the earliest expiry first. */
  #idle(): Entry[] {
    const idle = [...this.#entries.values()].filter((entry) => entry.users === 0 && !entry.wipeFailed);
    return idle.toSorted((a, b) => a.keepUntil - b.keepUntil);
  }

  async #freeBytes(): Promise<number> {
    await this.#makeFolder();
    const stats = await statfs(this.#options.folder).catch((error: unknown) => Promise.reject(diskError(error)));
    return stats.bavail * stats.bsize;
  }

  #makeFolder(): Promise<void> {
    this.#folderMade ??= makeOwnFolder(this.#options.folder).catch((error: unknown) => {
      this.#folderMade = undefined;
      throw diskError(error);
    });
    return this.#folderMade;
  }

  /** Writes a file under a temporary name and answers its path. When it fails, nothing is left behind. */
  async #writePart(write: (writer: InputFileWriter) => Promise<void>): Promise<string> {
    await this.#makeFolder();
    const part = path.join(this.#options.folder, `${randomBytes(8).toString('hex')}.part`);
    try {
      await using writer = await InputFileWriter.create(part);
      await write(writer);
    } catch (error) {
      await this.#options
        .wipe(part)
        .catch(() => this.#options.logger.error({}, 'An unfinished input file could not be wiped'));
      throw error;
    }
    return part;
  }

  /** Gives a written file its name. Runs in the queue of its content. */
  async #adopt(part: string, sha256: string, size: number, extension: string): Promise<InputLease> {
    const before = this.#entries.get(sha256);
    // Its bytes must be gone before its name is given away.
    if (before) await this.#wipeEntry(before);
    const name = contentName(sha256, extension);
    try {
      if (before && this.#entries.has(sha256)) throw new Error('an earlier file of that name could not be wiped');
      this.#assertOpen();
      await rename(part, path.join(this.#options.folder, name));
      await flushFolder(this.#options.folder);
    } catch (error) {
      await this.#options.wipe(part).catch(() => undefined);
      throw diskError(error);
    }
    const entry: Entry = { sha256, size, names: new Set([name]), users: 0, keepUntil: -Infinity, wipeFailed: false };
    this.#entries.set(sha256, entry);
    return await this.#leaseOf(entry, extension);
  }

  /** Runs in the queue of the content. */
  async #leaseOf(entry: Entry, extension: string): Promise<InputLease> {
    const name = contentName(entry.sha256, extension);
    if (!entry.names.has(name)) {
      const [first = name] = entry.names;
      try {
        // A second name for the same bytes: overwriting one overwrites both.
        await link(path.join(this.#options.folder, first), path.join(this.#options.folder, name));
      } catch (error) {
        throw diskError(error);
      }
      entry.names.add(name);
    }
    entry.users++;
    let ended: Promise<LeaseEnd> | undefined;
    return {
      sha256: entry.sha256,
      size: entry.size,
      value: `${this.#options.prefix}${name}`,
      keepFor: (ms) => {
        if (ended === undefined) entry.keepUntil = Math.max(entry.keepUntil, this.#clock.now() + ms);
      },
      release: () => {
        ended ??= this.#queue.run(entry.sha256, () => this.#release(entry));
        return ended;
      },
    };
  }

  async #release(entry: Entry): Promise<LeaseEnd> {
    entry.users--;
    if (entry.users > 0) return { kind: 'shared' };
    if (this.#entries.get(entry.sha256) !== entry) return { kind: 'wiped', bytes: 0 };
    if (entry.keepUntil > this.#clock.now() && this.#fits(entry)) {
      this.#arm();
      return { kind: 'held' };
    }
    return (await this.#wipeEntry(entry)) ? { kind: 'wiped', bytes: entry.size } : { kind: 'not-wiped' };
  }

  /** Evicts what must go so that `entry` may stay; false when it is `entry` itself that must go. */
  #fits(entry: Entry): boolean {
    const { maxHeldBytes = limits.heldInputBytes } = this.#options;
    const idle = this.#idle();
    let bytes = idle.reduce((sum, one) => sum + one.size, 0);
    let files = idle.length;
    for (const victim of idle) {
      if (bytes <= maxHeldBytes && files <= limits.heldInputFiles) return true;
      if (victim === entry) return false;
      bytes -= victim.size;
      files--;
      void this.#evict(victim);
    }
    return true;
  }

  /** Wipes an entry that no job uses. One that a job has leased meanwhile stays. */
  #evict(entry: Entry): Promise<void> {
    // From now on a lookup misses it.
    entry.keepUntil = -Infinity;
    return this.#wipeIfOver(entry);
  }

  #wipeIfOver(entry: Entry): Promise<void> {
    return this.#queue.run(entry.sha256, async () => {
      if (entry.users > 0 || this.#entries.get(entry.sha256) !== entry || this.#usable(entry)) return;
      await this.#wipeEntry(entry);
    });
  }

  /** Wipes the file under all its names; false when that failed. Never throws. Runs in the queue of the content. */
  async #wipeEntry(entry: Entry): Promise<boolean> {
    for (const name of entry.names) {
      try {
        await this.#options.wipe(path.join(this.#options.folder, name));
        entry.names.delete(name);
      } catch {
        entry.wipeFailed = true;
        this.#options.logger.error({ bytes: entry.size }, 'A held input file could not be wiped');
        return false;
      }
    }
    this.#entries.delete(entry.sha256);
    return true;
  }

  /** Sets the timer to the next expiry. */
  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const next = this.#idle()[0];
    if (next === undefined || this.#closing) return;
    const wait = Math.max(0, next.keepUntil - this.#clock.now());
    this.#cancelTimer = this.#clock.schedule(() => {
      const over = [...this.#entries.values()].filter((entry) => entry.users === 0 && !this.#usable(entry));
      void Promise.all(over.map((entry) => this.#wipeIfOver(entry))).then(() => this.#arm());
    }, wait);
  }

  async #wipeAll(): Promise<void> {
    this.#cancelTimer?.();
    await this.#queue.idle();
    for (const entry of [...this.#entries.values()]) await this.#wipeEntry(entry);
    // A folder that still holds files stays for the sweep of a later worker.
    if (this.#folderMade) await rmdir(this.#options.folder).catch(() => undefined);
    const files = this.#entries.size;
    if (files === 0) return;
    throw new ComfyRunpodError('WIPE_FAILED', `${files} held input files could not be wiped.`, { details: { files } });
  }
}

/** Equal content under equal names, so that ComfyUI's cache still helps. */
function contentName(sha256: string, extension: string): string {
  return `${sha256.slice(0, 32)}${extension}`;
}

async function makeOwnFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // A link here would let somebody else choose where inputs are written.
  if (!(await lstat(folder)).isDirectory()) throw new Error('not a folder');
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
