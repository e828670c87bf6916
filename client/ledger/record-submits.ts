/**
 * A client whose submits are in the ledger: the intent before the request, the id or the doubt after it. The job carries the key of its entry, so that
 * it can be recognised whatever becomes of the answer.
 */
import { randomUUID } from 'node:crypto';
import { ComfyRunpodError, isComfyRunpodError } from '../../shared/index.ts';
import type { Client } from '../client.ts';
import { jobHashes } from './content-hash.ts';
import type { JobBook } from './job-book.ts';
import type { LedgerIntent } from './ledger.ts';
import type { LedgerRow } from './ledger-row.ts';

/** What the ledger is told of every job besides its content. */
export type SubmitFacts = Omit<LedgerIntent, 'key' | 'workflowHash' | 'inputHash'>;

/** How submits are recorded. */
export interface RecordOptions {
  /** Asked at each submit. */
  readonly facts: () => SubmitFacts;
  /** Asked after it: where the job went, when that was open. */
  readonly endpointOf?: (jobId: string) => string | undefined;
  /** Told before a job is sent under the key of an earlier submit of which nobody knows whether it arrived. */
  readonly onRepeat?: (earlier: LedgerRow) => void;
}

/** Wraps `client`; closing either closes both. */
export function recordSubmits(client: Client, book: JobBook, options: RecordOptions): Client {
  const recorded: Client = {
    ...client,
    async submit(input, submitOptions) {
      const record = book.begin({
        ...options.facts(),
        ...jobHashes(input),
        ...(submitOptions?.seeds && { seeds: submitOptions.seeds }),
        ...(submitOptions?.item !== undefined && { item: submitOptions.item }),
        ...(input.key !== undefined && { key: input.key }),
      });
      if (record.before) options.onRepeat?.(record.before);
      const key = record.key ?? randomUUID();
      try {
        const job = await client.submit({ ...input, key }, submitOptions);
        record.submitted(job.id, options.endpointOf?.(job.id));
        return job;
      } catch (error) {
        record.submitFailed(error);
        throw record.key === undefined ? error : withNextStep(error);
      }
    },
    async runSync(input, syncOptions = {}) {
      const job = await recorded.submit(input, { waitMs: 90_000, ...syncOptions, route: 'runsync' });
      return job.wait(syncOptions.signal ? { signal: syncOptions.signal } : {});
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
  return recorded;
}

/** With an entry in the ledger there is more to do about a doubtful submit than to look for it. */
function withNextStep(error: unknown): unknown {
  if (!isComfyRunpodError(error) || error.code !== 'SUBMIT_UNCERTAIN') return error;
  return new ComfyRunpodError(error.code, error.message, {
    cause: error,
    issues: error.issues,
    details: error.details,
    nextStep:
      'Run the same command again within a day: it is sent under the same key, and no worker renders one key twice.',
  });
}
