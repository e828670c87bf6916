/**
 * Runs the items of a batch: several at once, each to its own end. What happened is in the state file before the next step is taken, so that the same
 * call goes on where a killed one stopped. Invariants: an item that is done is not rendered again; an item whose job is known is followed, never sent
 * anew, also when waiting for it or saving its result failed; a failure of one item stops no other; nothing is started that could exceed the budget.
 */
import { access } from 'node:fs/promises';
import {
  ComfyRunpodError,
  delay,
  isComfyRunpodError,
  type JobInputWire,
  toComfyRunpodError,
} from '../../shared/index.ts';
import type { Client, ClientSubmitOptions } from '../client.ts';
import type { JobResult } from '../job-result.ts';
import type { LedgerRow } from '../ledger/ledger-row.ts';
import type { SavedFile } from '../saving/save-artifacts.ts';
import { runHolding } from '../submit/run-holding.ts';
import type { BatchLine, BatchState } from './batch-state.ts';
import type { BatchItem } from './read-items.ts';

/** What one item renders. */
export interface PreparedItem {
  readonly input: JobInputWire;
  /** Seeds that were chosen for it. */
  readonly seeds: Readonly<Record<string, number>>;
}

/** How an item ended. */
export interface ItemOutcome {
  readonly item: BatchItem;
  /** `skipped`: done by an earlier call. `unstarted`: the budget is used up, or the batch was left. */
  readonly state: 'done' | 'skipped' | 'failed' | 'unstarted';
  readonly jobId?: string;
  /** Absolute paths. */
  readonly files: readonly string[];
  readonly seeds: Readonly<Record<string, number>>;
  /** Milliseconds on the worker. */
  readonly executionMs?: number;
  /** US dollars. */
  readonly cost?: number;
  readonly error?: ComfyRunpodError;
}

/** Options of {@link runBatch}. */
export interface BatchOptions {
  readonly items: readonly BatchItem[];
  readonly client: Client;
  readonly state: BatchState;
  /** A hash of all that an item renders but its chosen seeds. */
  readonly keyOf: (item: BatchItem) => Promise<string>;
  /** Builds the job of an item, with the seeds of an earlier call where there was one. Throws coded errors. */
  readonly prepare: (
    item: BatchItem,
    seeds: Readonly<Record<string, number>> | undefined,
    signal: AbortSignal,
  ) => Promise<PreparedItem>;
  /** Saves the files of an item. */
  readonly save: (item: BatchItem, result: Extract<JobResult, { kind: 'succeeded' }>) => Promise<readonly SavedFile[]>;
  /** What `resume` or another command has saved of a job of an earlier call, if all of it is still there. */
  readonly savedBefore: (jobId: string) => Promise<Pick<LedgerRow, 'files' | 'executionMs' | 'cost'> | undefined>;
  /** Told of a job's end, for the ledger; answers its cost. */
  readonly ended: (result: JobResult) => number | undefined;
  readonly submit: Pick<ClientSubmitOptions, 'policy' | 'route'>;
  /** Items at once. */
  readonly concurrency: number;
  /** Items that failed in an earlier call are tried again. */
  readonly retryFailed: boolean;
  /** US dollars that this call may spend, and what an item is expected to cost before the first one has ended. */
  readonly budget?: { readonly maxCost: number; readonly expectedCost?: number };
  /** Told of every item as it ends. */
  readonly onOutcome: (outcome: ItemOutcome) => void;
  /** Stops starting items; those that run go on to their end on the worker and are followed by the next call. */
  readonly signal: AbortSignal;
}

/** Errors that every further item would meet, too. */
const fatal: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'ENDPOINT_NOT_FOUND', 'CONFIG_MISSING', 'CONFIG_INVALID']);

/** How long workers are asked to hold the pictures of a batch, seconds. */
const holdSeconds = 900;
/** Pause after a refusal for too many requests, and how often that is borne. */
const rateLimitPauseMs = 5_000;
const rateLimitPauses = 60;

/** Runs all items. Resolves with an outcome for each, in their order. Never throws for one item. */
export async function runBatch(options: BatchOptions): Promise<ItemOutcome[]> {
  const batch = new Batch(options);
  const lanes = Array.from({ length: Math.min(options.concurrency, options.items.length) }, () => batch.lane());
  await Promise.all(lanes);
  return batch.outcomes();
}

class Batch {
  readonly #options: BatchOptions;
  readonly #queue: IterableIterator<[number, BatchItem]>;
  readonly #outcomes = new Map<number, ItemOutcome>();
  readonly #budget: Budget;
  #fatal: ComfyRunpodError | undefined;

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#queue = options.items.entries();
    this.#budget = new Budget(options.budget);
  }

  outcomes(): ItemOutcome[] {
    return this.#options.items.map(
      (item, index) => this.#outcomes.get(index) ?? { item, state: 'unstarted', files: [], seeds: {} },
    );
  }

  async lane(): Promise<void> {
    for (const [index, item] of this.#queue) {
      if (this.#options.signal.aborted || this.#fatal !== undefined) return;
      const outcome = await this.#item(item);
      this.#outcomes.set(index, outcome);
      this.#options.onOutcome(outcome);
      if (outcome.error && fatal.has(outcome.error.code)) this.#fatal = outcome.error;
    }
  }

  async #item(item: BatchItem): Promise<ItemOutcome> {
    const { state, keyOf, retryFailed, signal } = this.#options;
    const key = await keyOf(item);
    const known = state.known(item.name, key);
    const nothing = { item, files: [], seeds: known?.seeds ?? {} };
    if (known?.state === 'done' && (await allThere(known))) return skipped(item, known);
    if (known?.state === 'failed' && !retryFailed) {
      const error = new ComfyRunpodError('JOB_FAILED', `It failed before (${known.code ?? 'JOB_FAILED'}).`, {
        nextStep: 'Correct what was wrong and run the same command with --retry-failed.',
      });
      return { ...nothing, state: 'failed', error };
    }
    try {
      if (known?.state === 'submitted' && known.jobId !== undefined) return await this.#follow(item, key, known);
      using reserved = await this.#budget.reserve(signal);
      if (reserved.refused) return { ...nothing, state: 'unstarted', error: this.#budget.exhausted() };
      return await this.#render(item, key, known);
    } catch (error) {
      if (signal.aborted) return { ...nothing, state: 'unstarted' };
      const failure = toComfyRunpodError(error);
      const last = state.known(item.name, key);
      const { seeds = {}, jobId } = last ?? {};
      if (!goesOn(last, failure)) {
        await state.note({ item: item.name, key, state: 'failed', code: failure.code, seeds });
      }
      return { item, files: [], seeds, state: 'failed', error: failure, ...(jobId !== undefined && { jobId }) };
    }
  }

  /** A job of an earlier call: its result is fetched, whatever became of the process that sent it. */
  async #follow(item: BatchItem, key: string, known: BatchLine): Promise<ItemOutcome> {
    const { client, signal, state, savedBefore } = this.#options;
    const { jobId = '', seeds = {} } = known;
    const saved = await savedBefore(jobId);
    if (saved === undefined) return this.#conclude(item, key, await client.job(jobId).wait({ signal }), seeds);
    const files = saved.files.map(({ path, sha256 }) => ({ path, sha256 }));
    const { executionMs, cost } = saved;
    const facts = { ...(executionMs !== undefined && { executionMs }), ...(cost !== undefined && { cost }) };
    await state.note({ item: item.name, key, state: 'done', jobId, seeds, files, ...facts });
    return { item, state: 'done', jobId, seeds, files: files.map(({ path }) => path), ...facts };
  }

  async #render(item: BatchItem, key: string, known: BatchLine | undefined): Promise<ItemOutcome> {
    const { prepare, state, client, submit, signal } = this.#options;
    const { input, seeds } = await prepare(item, known?.seeds, signal);
    await state.note({ item: item.name, key, state: 'submitting', seeds });
    const onSubmitted = ({ id }: { readonly id: string }) =>
      state.note({ item: item.name, key, state: 'submitted', jobId: id, seeds });
    const run = () =>
      runHolding(client, input, {
        ...{ ...submit, signal, seeds, item: item.name },
        ...{ onSubmitted, holdInputs: { seconds: holdSeconds } },
      });
    const result = await patiently(run, signal);
    return this.#conclude(item, key, result, seeds);
  }

  async #conclude(
    item: BatchItem,
    key: string,
    result: JobResult,
    seeds: Readonly<Record<string, number>>,
  ): Promise<ItemOutcome> {
    const { state, save, ended } = this.#options;
    const cost = ended(result);
    this.#budget.spent(cost);
    const { executionMs } = result.times;
    const { jobId } = result;
    const facts = { ...(executionMs !== undefined && { executionMs }), ...(cost !== undefined && { cost }) };
    if (result.kind !== 'succeeded') {
      await state.note({ item: item.name, key, state: 'failed', jobId, seeds, code: result.error.code, ...facts });
      return { item, state: 'failed', jobId, seeds, files: [], error: result.error, ...facts };
    }
    const files = await save(item, result);
    const saved = files.map(({ path, artifact }) => ({ path, sha256: artifact.sha256 }));
    await state.note({ item: item.name, key, state: 'done', jobId, seeds, files: saved, ...facts });
    return { item, state: 'done', jobId, seeds, files: files.map(({ path }) => path), ...facts };
  }
}

/**
 * Whether the same command goes on with an item that could not be brought to its end: its job is there, though nobody could wait for it or save its
 * result, so that it is followed and not paid for twice; or it could not be sent for a reason that is not its own.
 */
function goesOn(last: BatchLine | undefined, { code, policy }: ComfyRunpodError): boolean {
  if (last?.state === 'submitted') return code !== 'JOB_NOT_FOUND';
  return last?.state === 'submitting' && policy.blame !== 'caller' && policy.blame !== 'workflow';
}

function skipped(item: BatchItem, known: BatchLine): ItemOutcome {
  return {
    item,
    state: 'skipped',
    files: (known.files ?? []).map(({ path }) => path),
    seeds: known.seeds ?? {},
    ...(known.jobId !== undefined && { jobId: known.jobId }),
    ...(known.executionMs !== undefined && { executionMs: known.executionMs }),
    ...(known.cost !== undefined && { cost: known.cost }),
  };
}

async function allThere({ files = [] }: BatchLine): Promise<boolean> {
  const found = await Promise.all(
    files.map(({ path }) =>
      access(path).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.every(Boolean);
}

/** Repeats what RunPod refused for too many requests: that refusal proves that the job was not taken. */
async function patiently<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let pauses = 0; ; pauses++) {
    try {
      return await run();
    } catch (error) {
      const limited =
        isComfyRunpodError(error) && error.code === 'RATE_LIMITED' && error.details['jobId'] === undefined;
      if (!limited || pauses >= rateLimitPauses) throw error;
      await delay(rateLimitPauseMs, signal);
    }
  }
}

/** Keeps what is spent, and what the items that run may still cost, within the limit. */
class Budget {
  readonly #limit: number;
  readonly #expected: number | undefined;
  #spent = 0;
  #ended = 0;
  #running = 0;
  #changed = Promise.withResolvers<void>();

  constructor(budget: BatchOptions['budget']) {
    this.#limit = budget?.maxCost ?? Number.POSITIVE_INFINITY;
    this.#expected = budget?.expectedCost;
  }

  /** Waits until it is known whether another item fits; holds its share until disposed. */
  async reserve(signal: AbortSignal): Promise<Disposable & { readonly refused: boolean }> {
    if (this.#limit === Number.POSITIVE_INFINITY) return { refused: false, [Symbol.dispose]: () => undefined };
    for (;;) {
      signal.throwIfAborted();
      const each = this.#each();
      // Nobody knows what an item costs: one is run alone to learn it.
      const fits = each === undefined ? this.#running === 0 : this.#spent + (this.#running + 1) * each <= this.#limit;
      if (fits) break;
      if (this.#running === 0) return { refused: true, [Symbol.dispose]: () => undefined };
      await Promise.race([this.#changed.promise, aborted(signal)]);
    }
    this.#running += 1;
    return {
      refused: false,
      [Symbol.dispose]: () => {
        this.#running -= 1;
        this.#changed.resolve();
        this.#changed = Promise.withResolvers<void>();
      },
    };
  }

  spent(cost: number | undefined): void {
    this.#spent += cost ?? 0;
    if (cost !== undefined) this.#ended += 1;
  }

  exhausted(): ComfyRunpodError {
    return new ComfyRunpodError(
      'BUDGET_EXHAUSTED',
      `Another item could cost more than what is left of $${this.#limit}.`,
      {
        details: { spent: this.#spent },
      },
    );
  }

  #each(): number | undefined {
    return this.#ended > 0 ? this.#spent / this.#ended : this.#expected;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
