// The order in which queued jobs go out: normal before low priority, oldest first, given-back jobs at the front.

/** A queued item's id and class. */
export interface QueuedJob {
  readonly id: string;
  readonly lowPriority: boolean;
}

/** Two first-in-first-out lanes of job ids. */
export class JobQueue {
  readonly #normal = new Set<string>();
  readonly #low = new Set<string>();

  get size(): number {
    return this.#normal.size + this.#low.size;
  }

  push(job: QueuedJob): void {
    this.#lane(job).add(job.id);
  }

  /** Puts a job before all others of its class. */
  unshift(job: QueuedJob): void {
    const lane = this.#lane(job);
    const rest = [...lane].filter((id) => id !== job.id);
    lane.clear();
    lane.add(job.id);
    for (const id of rest) lane.add(id);
  }

  remove(job: QueuedJob): void {
    this.#lane(job).delete(job.id);
  }

  /** The first `count` ids, in the order they go out; they stay in the queue. */
  peek(count: number): readonly string[] {
    const ids: string[] = [];
    for (const lane of [this.#normal, this.#low]) {
      for (const id of lane) {
        if (ids.length >= count) return ids;
        ids.push(id);
      }
    }
    return ids;
  }

  /** Every queued id, in order. */
  ids(): readonly string[] {
    return [...this.#normal, ...this.#low];
  }

  #lane(job: QueuedJob): Set<string> {
    return job.lowPriority ? this.#low : this.#normal;
  }
}
