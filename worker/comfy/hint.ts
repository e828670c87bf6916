/** A wait that others can cut short: polling that events make faster. */

/** Wakes one waiter. A hint that comes while nobody waits is kept for the next wait. */
export class Hint {
  #wake: (() => void) | undefined;
  #pending = false;

  /** Ends the current wait, or the next one at once. */
  give(): void {
    if (this.#wake) this.#wake();
    else this.#pending = true;
  }

  /** Waits `ms` milliseconds or for a hint. Rejects with the signal's reason when it is aborted. Answers whether it was a hint. */
  wait(ms: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      if (this.#pending) {
        this.#pending = false;
        return resolve(true);
      }
      const end = (settle: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        this.#wake = undefined;
        settle();
      };
      const onAbort = () => end(() => reject(signal.reason as Error));
      const timer = setTimeout(() => end(() => resolve(false)), ms);
      this.#wake = () => end(() => resolve(true));
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
