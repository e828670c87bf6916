/**
 * The ledger: every job that was paid for, in a SQLite file of the user. It is written before a job is sent and at every step after, each step
 * synced to disk, so that a killed process leaves no job that nobody knows of. It holds hashes, names, ids, paths and receipts, never prompts,
 * pictures, keys or signed addresses. Several processes may use it at once.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import { ComfyRunpodError } from '../../shared/index.ts';
import { type LedgerFile, type LedgerRow, type LedgerState, readLedgerRow } from './ledger-row.ts';
import { migrateLedger } from './ledger-schema.ts';
import { loadSqlite } from './load-sqlite.ts';
import { isProcessAlive } from './process-alive.ts';

/** File name inside the data folder. */
export const ledgerFile = 'ledger.sqlite';

/** What is known of a job before it is sent. */
export interface LedgerIntent
  extends Pick<
    LedgerRow,
    'endpoint' | 'profile' | 'command' | 'workflowHash' | 'inputHash' | 'outFolder' | 'batch' | 'item'
  > {
  /** Default: a new one. */
  readonly key?: string;
  readonly seeds?: Readonly<Record<string, number>>;
}

/** What a job that has ended brings. */
export interface LedgerEnd {
  readonly receipt?: unknown;
  readonly executionMs?: number | undefined;
  readonly delayMs?: number | undefined;
  readonly cost?: number | undefined;
}

/** Which jobs to list. */
export interface LedgerQuery {
  readonly states?: readonly LedgerState[];
  readonly endpoint?: string;
  readonly batch?: string;
  /** Not older than this, milliseconds since 1970. */
  readonly since?: number;
  /** Default 1 000, latest first. */
  readonly limit?: number;
}

/** What a job of the same kind took before: the median of the latest. */
export interface PastRun {
  readonly executionMs: number;
  readonly cost?: number;
  /** Jobs that it was taken from. */
  readonly jobs: number;
  /** Whether they were jobs of the same workflow; otherwise any of the endpoint. */
  readonly same: boolean;
}

const busyMs = 10_000;
/** How long a doubtful submit is taken up again: RunPod drops a job after a day (`ttl`, RunPod protocol notes §1.4). */
export const doubtMs = 86_400_000;

/** The file and everything that is asked of it. */
export class Ledger implements Disposable {
  readonly #database: DatabaseSync;
  readonly #now: () => number;

  private constructor(database: DatabaseSync, now: () => number) {
    this.#database = database;
    this.#now = now;
  }

  /**
   * Opens the ledger in `folder`, both made when missing and readable by the user only. Throws `LEDGER_UNUSABLE` when the file is broken, of a newer
   * program, or can't be written.
   */
  static async open(folder: string, options: { readonly now?: () => number } = {}): Promise<Ledger> {
    let database: DatabaseSync | undefined;
    try {
      const { DatabaseSync } = await loadSqlite();
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const path = join(folder, ledgerFile);
      // Made with its permissions before SQLite opens it: -wal and -shm take them over.
      const made = await open(path, 'a', 0o600);
      await made.close();
      await chmod(path, 0o600);
      database = new DatabaseSync(path, { timeout: busyMs });
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
      if (!migrateLedger(database)) throw new Error('the file belongs to a newer version of comfy-runpod');
      return new Ledger(database, options.now ?? Date.now);
    } catch (error) {
      database?.close();
      const reason = error instanceof Error ? error.message : String(error);
      throw new ComfyRunpodError('LEDGER_UNUSABLE', `The ledger can not be used: ${reason.slice(0, 200)}.`, {
        cause: error,
      });
    }
  }

  /**
   * Writes that a job is about to be sent; returns when that is on disk. Without a key of its own it takes over the entry, and so the key, of a job
   * of exactly this content of which nobody knows whether RunPod has it: workers render one key once. That entry, as it was, is answered as `repeats`.
   */
  begin(intent: LedgerIntent): LedgerRow & { readonly repeats?: LedgerRow } {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const repeats = intent.key === undefined ? this.#takeOver(intent) : undefined;
      const key = repeats?.key ?? this.#insert(intent);
      this.#database.exec('COMMIT');
      return { ...this.#must(key), ...(repeats && { repeats }) };
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  /** An intent for several endpoints takes over what was meant for one of them, too. */
  #takeOver(intent: LedgerIntent): LedgerRow | undefined {
    const places = [...new Set([intent.endpoint, ...intent.endpoint.split(' ')])];
    const row = this.#database
      .prepare(
        `SELECT * FROM jobs WHERE workflow_hash = ? AND input_hash = ? AND endpoint IN (${places.map(() => '?').join(', ')})
         AND job_id IS NULL AND state IN ('sending', 'uncertain') AND created_at >= ? ORDER BY created_at, rowid`,
      )
      .all(intent.workflowHash, intent.inputHash, ...places, this.#now() - doubtMs)
      .map(readLedgerRow)
      .find((found) => found.state === 'uncertain' || !isWorkedOn(found));
    if (row === undefined) return undefined;
    this.#set(row.key, {
      state: 'sending',
      command: intent.command,
      out_folder: intent.outFolder ?? null,
      batch: intent.batch ?? null,
      item: intent.item ?? null,
      seeds: JSON.stringify(intent.seeds ?? {}),
      process_id: process.pid,
      // It is sent now, and may be queued for as long again.
      created_at: this.#now(),
    });
    return row;
  }

  /** A key that is known is sent again by whoever named it. */
  #insert(intent: LedgerIntent): string {
    const key = intent.key ?? randomUUID();
    const now = this.#now();
    this.#database
      .prepare(
        `INSERT INTO jobs (key, state, endpoint, profile, command, workflow_hash, input_hash, out_folder, batch, item, seeds, process_id, created_at, updated_at)
         VALUES (?, 'sending', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET state = 'sending', process_id = excluded.process_id, updated_at = excluded.updated_at`,
      )
      .run(
        key,
        intent.endpoint,
        intent.profile ?? null,
        intent.command,
        intent.workflowHash,
        intent.inputHash,
        intent.outFolder ?? null,
        intent.batch ?? null,
        intent.item ?? null,
        JSON.stringify(intent.seeds ?? {}),
        process.pid,
        now,
        now,
      );
    return key;
  }

  /** The request is about to go to this one of the endpoints that it was meant for. */
  sendingTo(key: string, endpoint: string): void {
    this.#set(key, { endpoint });
  }

  /** RunPod has the job. Also for a job that was moved to another endpoint. */
  submitted(key: string, jobId: string, endpoint?: string): void {
    this.#set(key, { state: 'submitted', job_id: jobId, ...(endpoint !== undefined && { endpoint }) });
  }

  /** Nobody knows whether RunPod has it. */
  uncertain(key: string): void {
    this.#set(key, { state: 'uncertain' });
  }

  /** RunPod provably does not have it. */
  notSent(key: string, code: string): void {
    this.#set(key, { state: 'not-sent', code });
  }

  /** It succeeded; its files are not on disk yet. */
  ended(key: string, end: LedgerEnd): void {
    this.#set(key, { state: 'ended', ...endColumns(end) });
  }

  /** Its files are on disk. */
  saved(key: string, files: readonly LedgerFile[], end: LedgerEnd = {}): void {
    this.#set(key, { state: 'saved', files: JSON.stringify(files), ...endColumns(end) });
  }

  /** It failed, was cancelled, or is forgotten. */
  closed(key: string, state: 'failed' | 'cancelled' | 'gone', code: string, end: LedgerEnd = {}): void {
    this.#set(key, { state, code, ...endColumns(end) });
  }

  /** Files that were made before it failed. */
  savedPartly(key: string, files: readonly LedgerFile[]): void {
    this.#set(key, { files: JSON.stringify(files) });
  }

  /** This process works on the job now. False when another living process of this machine does. */
  claim(key: string): boolean {
    const row = this.row(key);
    if (row === undefined) return false;
    if (row.processId !== process.pid && isWorkedOn(row)) return false;
    this.#set(key, { process_id: process.pid });
    return true;
  }

  /** This process is done with the job. */
  release(key: string): void {
    this.#database.prepare('UPDATE jobs SET process_id = NULL WHERE key = ? AND process_id = ?').run(key, process.pid);
  }

  row(key: string): LedgerRow | undefined {
    const row = this.#database.prepare('SELECT * FROM jobs WHERE key = ?').get(key);
    return row && readLedgerRow(row);
  }

  /** The job with RunPod's id. */
  byJobId(jobId: string): LedgerRow | undefined {
    const row = this.#database.prepare('SELECT * FROM jobs WHERE job_id = ? ORDER BY created_at DESC').get(jobId);
    return row && readLedgerRow(row);
  }

  /** Jobs, the latest first. */
  list(query: LedgerQuery = {}): LedgerRow[] {
    const where: string[] = [];
    const values: SQLInputValue[] = [];
    if (query.states) {
      where.push(`state IN (${query.states.map(() => '?').join(', ')})`);
      values.push(...query.states);
    }
    if (query.endpoint !== undefined) {
      where.push('endpoint = ?');
      values.push(query.endpoint);
    }
    if (query.batch !== undefined) {
      where.push('batch = ?');
      values.push(query.batch);
    }
    if (query.since !== undefined) {
      where.push('created_at >= ?');
      values.push(query.since);
    }
    const filter = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';
    return this.#database
      .prepare(`SELECT * FROM jobs ${filter} ORDER BY created_at DESC, rowid DESC LIMIT ?`)
      .all(...values, query.limit ?? 1_000)
      .map(readLedgerRow);
  }

  /** A saved job of exactly this content, the latest first. */
  sameContent(workflowHash: string, inputHash: string, endpoint: string): LedgerRow[] {
    return this.#database
      .prepare(
        `SELECT * FROM jobs WHERE workflow_hash = ? AND input_hash = ? AND endpoint = ? AND state = 'saved'
         ORDER BY updated_at DESC LIMIT 20`,
      )
      .all(workflowHash, inputHash, endpoint)
      .map(readLedgerRow);
  }

  /** The receipt of the job that ended last at this endpoint. */
  lastReceipt(endpoint: string): unknown {
    const row = this.#database
      .prepare('SELECT * FROM jobs WHERE endpoint = ? AND receipt IS NOT NULL ORDER BY updated_at DESC LIMIT 1')
      .get(endpoint);
    return row && readLedgerRow(row).receipt;
  }

  /** Paths of all files that the ledger knows. */
  savedPaths(): Set<string> {
    const rows = this.#database.prepare("SELECT * FROM jobs WHERE files <> '[]'").all();
    return new Set(rows.flatMap((row) => readLedgerRow(row).files.map(({ path }) => path)));
  }

  /** What such a job took before at this endpoint: of the same workflow where there is one, else of any. */
  pastRun(workflowHash: string, endpoint: string): PastRun | undefined {
    const ask = (condition: string, ...values: string[]) =>
      this.#database
        .prepare(
          `SELECT execution_ms, cost FROM jobs WHERE ${condition} AND execution_ms IS NOT NULL AND state IN ('saved', 'ended')
           ORDER BY updated_at DESC LIMIT 9`,
        )
        .all(...values);
    const same = ask('workflow_hash = ? AND endpoint = ?', workflowHash, endpoint);
    const rows = same.length > 0 ? same : ask('endpoint = ?', endpoint);
    const executionMs = median(rows.map((row) => row['execution_ms']));
    if (executionMs === undefined) return undefined;
    const cost = median(rows.map((row) => row['cost']));
    return { executionMs, jobs: rows.length, same: same.length > 0, ...(cost !== undefined && { cost }) };
  }

  /** Idempotent. */
  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #must(key: string): LedgerRow {
    const row = this.row(key);
    if (row === undefined) throw new ComfyRunpodError('INTERNAL', 'A job is missing from the ledger.');
    return row;
  }

  #set(key: string, columns: Readonly<Record<string, SQLInputValue>>): void {
    const names = Object.keys(columns);
    this.#database
      .prepare(`UPDATE jobs SET ${names.map((name) => `${name} = ?`).join(', ')}, updated_at = ? WHERE key = ?`)
      .run(...Object.values(columns), this.#now(), key);
  }
}

function isWorkedOn({ processId, updatedAt }: LedgerRow): boolean {
  return processId !== undefined && isProcessAlive(processId, updatedAt);
}

function endColumns(end: LedgerEnd): Record<string, SQLInputValue> {
  const columns: Record<string, SQLInputValue> = {};
  if (end.receipt !== undefined) columns['receipt'] = JSON.stringify(end.receipt);
  if (end.executionMs !== undefined) columns['execution_ms'] = end.executionMs;
  if (end.delayMs !== undefined) columns['delay_ms'] = end.delayMs;
  if (end.cost !== undefined) columns['cost'] = end.cost;
  return columns;
}

function median(values: readonly unknown[]): number | undefined {
  const numbers = values.filter((value) => typeof value === 'number').toSorted((a, b) => a - b);
  return numbers[Math.floor(numbers.length / 2)];
}
