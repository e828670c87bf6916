/** What the ledger knows of a job before it is sent: that it need not be sent at all, or what it will take and cost. */
import type { JobInputWire } from '../../shared/index.ts';
import { pricesFrom } from '../data/prices.ts';
import { contentHash } from '../ledger/content-hash.ts';
import { earlierResult } from '../ledger/earlier-result.ts';
import type { PastRun } from '../ledger/ledger.ts';
import type { LedgerRow } from '../ledger/ledger-row.ts';
import type { CommandContext } from './command-context.ts';
import type { Target } from './target.ts';

/** Jobs of the same workflow that it takes to believe their median. */
const enoughJobs = 3;
/** A job that takes no longer has its result in the answer of /runsync, which is held for as long, milliseconds. */
const shortMs = 1_000;

/** The finished job that this one would only repeat. The ledger's troubles are no reason not to run. */
export async function findEarlier(
  input: JobInputWire,
  { endpoints }: Pick<Target, 'endpoints'>,
  context: CommandContext,
): Promise<LedgerRow | undefined> {
  if (endpoints.length === 0) return undefined;
  const { ledger } = await context.book();
  if (ledger === undefined) return undefined;
  const addresses = endpoints.map(({ address }) => address);
  return earlierResult(ledger, input, addresses).catch(() => undefined);
}

/** Says what earlier jobs took. True when the job is short enough for /runsync. */
export async function noteEstimate(
  input: JobInputWire,
  { endpoints }: Pick<Target, 'endpoints'>,
  context: CommandContext,
): Promise<boolean> {
  const book = await context.book();
  const hash = contentHash(input.workflow);
  for (const { address, price } of endpoints) {
    const past = book.attempt((ledger) => ledger.pastRun(hash, address));
    if (past === undefined) continue;
    context.note(estimateText(past, price));
    return past.same && past.jobs >= enoughJobs && past.executionMs <= shortMs;
  }
  return false;
}

function estimateText({ executionMs, jobs, same }: PastRun, price: number | undefined): string {
  const seconds = `${(executionMs / 1_000).toFixed(1)} s`;
  const cost = price === undefined ? '' : `, $${((executionMs / 1_000) * price).toFixed(5)} (prices of ${pricesFrom})`;
  const basis = `${jobs} earlier ${jobs === 1 ? 'job' : 'jobs'} ${same ? 'of this workflow' : 'at this endpoint'}`;
  return `estimate  about ${seconds} on the worker${cost}; by ${basis}`;
}
