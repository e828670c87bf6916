/**
 * The ledger as commands use it: it never stops a job. A ledger that can't be opened or written is told once, and the job goes on without it.
 */
import { type ComfyRunpodError, isComfyRunpodError, toComfyRunpodError } from '../../shared/index.ts';
import type { JobResult } from '../job-result.ts';
import type { SavedFile } from '../saving/save-artifacts.ts';
import { Ledger, type LedgerEnd, type LedgerIntent } from './ledger.ts';
import { type LedgerFile, type LedgerRow, openStates } from './ledger-row.ts';

/**
 * Codes of a submit after which RunPod may have the job. A gateway's 5xx and an answer without an id prove nothing; after all others RunPod has
 * provably no job.
 */
const uncertainCodes: ReadonlySet<string> = new Set([
  'SUBMIT_UNCERTAIN',
  'PLATFORM_ERROR',
  'PLATFORM_ANSWER_INVALID',
  'JOB_CANCELLED',
  'INTERNAL',
]);

/** One command's view of the ledger. */
export class JobBook implements Disposable {
  readonly #ledger: Ledger | undefined;
  readonly #complain: (error: ComfyRunpodError) => void;
  #complained = false;

  constructor(ledger: Ledger | undefined, complain: (error: ComfyRunpodError) => void) {
    this.#ledger = ledger;
    this.#complain = complain;
  }

  /** Opens the ledger in `folder`; one that can't be used is told to `complain` and done without. */
  static async open(folder: string, complain: (error: ComfyRunpodError) => void): Promise<JobBook> {
    try {
      return new JobBook(await Ledger.open(folder), complain);
    } catch (error) {
      complain(toComfyRunpodError(error));
      return new JobBook(undefined, complain);
    }
  }

  /** Keeps no record: for jobs that cost nothing and end with this process. */
  static none(): JobBook {
    return new JobBook(undefined, () => undefined);
  }

  /** The ledger itself, where it can be used. */
  get ledger(): Ledger | undefined {
    return this.#ledger;
  }

  /** Writes the intent. What comes of the job is told to the record. */
  begin(intent: LedgerIntent): JobRecord {
    const row = this.attempt((ledger) => ledger.begin(intent));
    return new JobRecord(this, row?.key ?? intent.key, row?.repeats);
  }

  /** The record of a job that an earlier command submitted; of one that the ledger does not know, nothing is written. */
  known(jobId: string): JobRecord {
    const row = this.attempt((ledger) => ledger.byJobId(jobId));
    if (row) this.attempt((ledger) => ledger.claim(row.key));
    return new JobRecord(this, row?.key, row);
  }

  /** Does something with the ledger, or nothing. */
  attempt<T>(act: (ledger: Ledger) => T): T | undefined {
    if (this.#ledger === undefined) return undefined;
    try {
      return act(this.#ledger);
    } catch (error) {
      if (!this.#complained) this.#complain(toComfyRunpodError(error));
      this.#complained = true;
      return undefined;
    }
  }

  close(): void {
    this.attempt((ledger) => ledger.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** What happens to one job, told to the ledger. */
export class JobRecord {
  readonly #book: JobBook;
  /** The job's idempotency key, when it has a place in the ledger. */
  readonly key: string | undefined;
  /** What was known of it before. */
  readonly before: LedgerRow | undefined;

  constructor(book: JobBook, key: string | undefined, before?: LedgerRow) {
    this.#book = book;
    this.key = key;
    this.before = before;
  }

  submitted(jobId: string, endpoint?: string): void {
    this.#note((ledger, key) => ledger.submitted(key, jobId, endpoint));
  }

  /** The submit threw: RunPod has no job, or nobody knows. That a repeat was refused tells nothing of what it repeats. */
  submitFailed(error: unknown): void {
    const code = isComfyRunpodError(error) ? error.code : 'INTERNAL';
    const uncertain = uncertainCodes.has(code) || this.before !== undefined;
    this.#note((ledger, key) => (uncertain ? ledger.uncertain(key) : ledger.notSent(key, code)));
    this.#note((ledger, key) => ledger.release(key));
  }

  /** The job has ended. Answers its cost: its time on the worker by `pricePerSecond`, where that is known. */
  ended(result: JobResult, pricePerSecond?: number): number | undefined {
    const { executionMs } = result.times;
    const known = executionMs !== undefined && pricePerSecond !== undefined;
    const cost = known ? (executionMs / 1_000) * pricePerSecond : undefined;
    const end: LedgerEnd = { executionMs, delayMs: result.times.delayMs, cost };
    this.#note((ledger, key) => {
      if (result.kind === 'succeeded') ledger.ended(key, { ...end, receipt: result.envelope.receipt });
      else ledger.closed(key, result.kind === 'cancelled' ? 'cancelled' : 'failed', result.error.code, end);
    });
    return cost;
  }

  /** Files that were made before the job failed are on disk. */
  savedPartly(files: readonly SavedFile[]): void {
    this.#note((ledger, key) => ledger.savedPartly(key, files.map(toLedgerFile)));
  }

  saved(files: readonly SavedFile[]): void {
    this.#note((ledger, key) => ledger.saved(key, files.map(toLedgerFile)));
    this.#note((ledger, key) => ledger.release(key));
  }

  /** RunPod does not know the job any more. One that was saved, or failed, before stays that. */
  gone(code: string): void {
    if (this.before !== undefined && !openStates.includes(this.before.state)) return;
    this.#note((ledger, key) => ledger.closed(key, 'gone', code));
  }

  #note(act: (ledger: Ledger, key: string) => void): void {
    const { key } = this;
    if (key !== undefined) this.#book.attempt((ledger) => act(ledger, key));
  }
}

/** A saved file as the ledger keeps it. */
export function toLedgerFile({ path, artifact }: SavedFile): LedgerFile {
  return { path, sha256: artifact.sha256, size: artifact.size };
}
