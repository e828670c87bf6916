/** Time that stands still until a test moves it. */
export class ManualClock {
  #now = 0;
  #tasks: { at: number; task: () => void }[] = [];

  /** Timers that are set. */
  get timers(): number {
    return this.#tasks.length;
  }

  now(): number {
    return this.#now;
  }

  schedule(task: () => void, ms: number): () => void {
    const entry = { at: this.#now + ms, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== entry);
    };
  }

  /** Moves on and runs what is due. */
  advance(ms: number): void {
    this.#now += ms;
    const due = this.#tasks.filter(({ at }) => at <= this.#now);
    this.#tasks = this.#tasks.filter(({ at }) => at > this.#now);
    for (const { task } of due) task();
  }
}
