/**
 * How many calls an endpoint has had in the last ten seconds, from all processes of this user on this machine: RunPod answers 429 beyond its limits
 * (RunPod protocol notes §1.12), and a few commands side by side get there. Every call is counted before it is made, in seconds: the running one and
 * the ten before it, so that no ten seconds hold more than the limit wherever they begin.
 *
 * Processes share a small SQLite file beside the ledger. It is never synced to disk, and where it can't be used each process counts for itself.
 */
import { chmod, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { delay, limits } from '../../../shared/index.ts';
import { loadSqlite } from '../../ledger/load-sqlite.ts';
import type { Operation } from './http-status-error.ts';

/** File name inside the data folder. */
export const callsFile = 'calls.sqlite';

/** Bounds; the defaults are RunPod's. */
export interface CallWindowOptions {
  /** Folder of the shared file. Default: this process counts for itself. */
  readonly folder?: string | undefined;
  /** Calls in one window, all operations together. */
  readonly calls?: number;
  readonly callsOf?: Partial<Readonly<Record<Operation, number>>>;
  /** Milliseconds. */
  readonly windowMs?: number;
  readonly now?: () => number;
}

/** Calls of one operation that began in one slot of time. */
interface Slot {
  readonly operation: string;
  readonly slot: number;
  calls: number;
}

const slotsPerWindow = 10;
/** A process that holds the file for longer than this is not waited for, milliseconds. */
const busyMs = 200;

/** The calls of one endpoint. */
export class CallWindow implements Disposable {
  readonly #endpoint: string;
  readonly #options: CallWindowOptions;
  readonly #slotMs: number;
  readonly #now: () => number;
  #own: Slot[] = [];
  #shared: Promise<DatabaseSync | undefined> | undefined;
  #closed = false;

  /** `endpoint`: its address, by which processes mean the same one. */
  constructor(endpoint: string, options: CallWindowOptions = {}) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#slotMs = (options.windowMs ?? limits.callWindowMs) / slotsPerWindow;
    this.#now = options.now ?? Date.now;
  }

  /** Resolves when the call may be made. Rejects with the signal's reason. */
  async take(operation: Operation, signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const pauseMs = await this.tryTake(operation);
      if (pauseMs === 0) return;
      await delay(pauseMs, signal);
    }
  }

  /** Counts the call and answers 0, or answers how many milliseconds it has to wait at least. */
  async tryTake(operation: Operation): Promise<number> {
    this.#shared ??= this.#open();
    const database = await this.#shared;
    if (database === undefined || this.#closed) return this.#takeOwn(operation);
    try {
      return this.#takeShared(database, operation);
    } catch {
      return this.#takeOwn(operation);
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    void this.#shared?.then((database) => database?.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #slot(): number {
    return Math.floor(this.#now() / this.#slotMs);
  }

  #takeOwn(operation: Operation): number {
    const slot = this.#slot();
    this.#own = this.#own.filter((entry) => entry.slot >= slot - slotsPerWindow);
    const pauseMs = this.#pause(this.#own, operation);
    if (pauseMs > 0) return pauseMs;
    const entry = this.#own.find((one) => one.slot === slot && one.operation === operation);
    if (entry) entry.calls += 1;
    else this.#own.push({ operation, slot, calls: 1 });
    return 0;
  }

  #takeShared(database: DatabaseSync, operation: Operation): number {
    database.exec('BEGIN IMMEDIATE');
    try {
      const slot = this.#slot();
      database.prepare('DELETE FROM calls WHERE endpoint = ? AND slot < ?').run(this.#endpoint, slot - slotsPerWindow);
      const rows = database.prepare('SELECT operation, slot, calls FROM calls WHERE endpoint = ?').all(this.#endpoint);
      const pauseMs = this.#pause(
        rows.map((row) => ({
          operation: String(row['operation']),
          slot: Number(row['slot']),
          calls: Number(row['calls']),
        })),
        operation,
      );
      if (pauseMs === 0) {
        database
          .prepare(
            `INSERT INTO calls (endpoint, operation, slot, calls) VALUES (?, ?, ?, 1)
             ON CONFLICT (endpoint, operation, slot) DO UPDATE SET calls = calls + 1`,
          )
          .run(this.#endpoint, operation, slot);
      }
      database.exec('COMMIT');
      return pauseMs;
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  }

  /** Until the oldest calls that are in the way leave the window. */
  #pause(slots: readonly Slot[], operation: Operation): number {
    const wait = (which: readonly Slot[], limit: number): number => {
      const calls = which.reduce((sum, entry) => sum + entry.calls, 0);
      if (calls < limit) return 0;
      const oldest = Math.min(...which.map((entry) => entry.slot));
      return Math.max(1, (oldest + slotsPerWindow + 1) * this.#slotMs - this.#now());
    };
    const callsOf: Partial<Record<Operation, number>> = this.#options.callsOf ?? limits.callsPerWindowOf;
    const same = slots.filter((entry) => entry.operation === operation);
    return Math.max(
      wait(slots, this.#options.calls ?? limits.callsPerWindow),
      wait(same, callsOf[operation] ?? Number.POSITIVE_INFINITY),
    );
  }

  async #open(): Promise<DatabaseSync | undefined> {
    const { folder } = this.#options;
    if (folder === undefined) return undefined;
    let database: DatabaseSync | undefined;
    try {
      const { DatabaseSync } = await loadSqlite();
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const path = join(folder, callsFile);
      const made = await open(path, 'a', 0o600);
      await made.close();
      await chmod(path, 0o600);
      database = new DatabaseSync(path, { timeout: busyMs });
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
        CREATE TABLE IF NOT EXISTS calls (
          endpoint TEXT NOT NULL, operation TEXT NOT NULL, slot INTEGER NOT NULL, calls INTEGER NOT NULL,
          PRIMARY KEY (endpoint, operation, slot)
        ) STRICT, WITHOUT ROWID`);
      return database;
    } catch {
      database?.close();
      return undefined;
    }
  }
}
