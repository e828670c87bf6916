/**
 * A client whose submits are in the ledger: the intent before the request, the id or the doubt after it. The job carries the key of its entry, so that
 * it can be recognised whatever becomes of the answer.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '../client.ts';
import { jobHashes } from './content-hash.ts';
import type { JobBook } from './job-book.ts';
import type { LedgerIntent } from './ledger.ts';

/** What the ledger is told of every job besides its content. */
export type SubmitFacts = Omit<LedgerIntent, 'key' | 'workflowHash' | 'inputHash'>;

/** Wraps `client`; closing either closes both. `facts` is asked at each submit, `endpointOf` after it. */
export function recordSubmits(
  client: Client,
  book: JobBook,
  facts: () => SubmitFacts,
  endpointOf: (jobId: string) => string | undefined = () => undefined,
): Client {
  const recorded: Client = {
    ...client,
    async submit(input, options) {
      const record = book.begin({
        ...facts(),
        ...jobHashes(input),
        ...(input.key !== undefined && { key: input.key }),
      });
      const key = record.key ?? randomUUID();
      try {
        const job = await client.submit({ ...input, key }, options);
        record.submitted(job.id, endpointOf(job.id));
        return job;
      } catch (error) {
        record.submitFailed(error);
        throw error;
      }
    },
    async runSync(input, options = {}) {
      const job = await recorded.submit(input, { waitMs: 90_000, ...options, route: 'runsync' });
      return job.wait(options.signal ? { signal: options.signal } : {});
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
  return recorded;
}
