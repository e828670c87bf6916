/** Remembers the jobs that run and the last ones that ended, for `comfy-runpod-inspect`. Ids, times, codes and receipts only. */
import type { EndedJob, Inspection, Receipt } from '../../shared/index.ts';
import type { JobRunner } from '../types.ts';

const remembered = 20;

/** See the banner. */
export class JobJournal {
  readonly #running = new Map<string, number>();
  readonly #receipts = new Map<string, Receipt>();
  #ended: readonly EndedJob[] = [];

  /** Keeps the receipt of a job that is about to end. */
  noteReceipt(id: string, receipt: Receipt): void {
    if (this.#running.has(id)) this.#receipts.set(id, receipt);
  }

  /** The same runner, with its jobs written down. */
  watch(runner: JobRunner): JobRunner {
    return {
      run: async (job, context) => {
        const startedAt = performance.now();
        this.#running.set(job.id, startedAt);
        const outcome = await runner.run(job, context).finally(() => this.#running.delete(job.id));
        const receipt = this.#receipts.get(job.id);
        this.#receipts.delete(job.id);
        const entry: EndedJob = {
          id: job.id,
          outcome: outcome.kind,
          endedAt: new Date().toISOString(),
          ms: Math.round(performance.now() - startedAt),
          ...(outcome.kind === 'failed' && { code: outcome.error.code }),
          ...(receipt && { receipt }),
        };
        this.#ended = [entry, ...this.#ended].slice(0, remembered);
        return outcome;
      },
    };
  }

  /** As it is now. */
  jobs(): Inspection['jobs'] {
    const now = performance.now();
    return {
      running: [...this.#running].map(([id, startedAt]) => ({ id, ms: Math.round(now - startedAt) })),
      ended: [...this.#ended],
    };
  }
}
