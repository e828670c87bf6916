// Stop signals on their way to workers through job-stop (RunPod protocol notes §2.15): kept per worker until a poll takes
// them, delivered at most once. Deliveries happen in an immediate, after every socket event of the same turn has been seen,
// so that a poll whose client just went away does not swallow one.
import type { Clock } from './clock.ts';
import { held } from './held.ts';

interface Poll {
  readonly workerId: string;
  readonly alive: () => boolean;
  readonly resolve: (jobIds: readonly string[]) => void;
}

/** One job-stop request. */
export interface StopPoll {
  readonly workerId: string;
  readonly holdMs: number;
  readonly signal: AbortSignal;
  readonly alive: () => boolean;
}

/** Job ids to stop, per worker. */
export class StopSignals {
  readonly #waiting = new Map<string, string[]>();
  readonly #polls = new Set<Poll>();
  readonly #clock: Clock;
  #immediate: NodeJS.Immediate | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  push(workerId: string, jobId: string): void {
    this.#waiting.set(workerId, [...(this.#waiting.get(workerId) ?? []), jobId]);
    this.#schedule();
  }

  /** Puts ids back whose delivery failed. */
  giveBack(workerId: string, jobIds: readonly string[]): void {
    this.#waiting.set(workerId, [...jobIds, ...(this.#waiting.get(workerId) ?? [])]);
    this.#schedule();
  }

  /** Forgets a signal that must not hit the job's next attempt. */
  forget(jobId: string): void {
    for (const [workerId, ids] of this.#waiting) {
      const left = ids.filter((id) => id !== jobId);
      if (left.length > 0) this.#waiting.set(workerId, left);
      else this.#waiting.delete(workerId);
    }
  }

  /** Waits for ids for this worker; `undefined` when the hold passes. */
  poll({ workerId, holdMs, signal, alive }: StopPoll): Promise<readonly string[] | undefined> {
    return held<readonly string[]>({ clock: this.#clock, ms: holdMs, signal, label: 'job-stop' }, (resolve) => {
      const poll: Poll = { workerId, alive, resolve };
      this.#polls.add(poll);
      this.#schedule();
      return () => void this.#polls.delete(poll);
    });
  }

  close(): void {
    clearImmediate(this.#immediate);
  }

  #schedule(): void {
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      for (const poll of [...this.#polls]) {
        const ids = this.#waiting.get(poll.workerId);
        if (!ids || !poll.alive()) continue;
        this.#waiting.delete(poll.workerId);
        poll.resolve(ids);
      }
    });
  }
}
