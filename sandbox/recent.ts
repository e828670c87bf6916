/** What happened lately, for tests and people to look at: the last so many entries. A sandbox that runs for days must not grow by them. */
export class Recent<T> {
  readonly #limit: number;
  #entries: T[] = [];
  #total = 0;

  /** Keeps at least `limit` entries, and at most twice as many. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  push(entry: T): void {
    this.#total += 1;
    this.#entries.push(entry);
    if (this.#entries.length >= this.#limit * 2) this.#entries = this.#entries.slice(-this.#limit);
  }

  /** Oldest first. */
  list(): readonly T[] {
    return this.#entries;
  }

  /** How many there ever were. */
  get total(): number {
    return this.#total;
  }

  clear(): void {
    this.#entries = [];
    this.#total = 0;
  }
}
