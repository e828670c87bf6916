// Keeps the event loop alive while a node computes: sockets must be served during a blur of a 16-megapixel picture.
// Neighbours: every loop over rows in this folder. Invariant: between two turns of the event loop at most about
// SLICE_MS plus the time of one row passes.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Milliseconds of arithmetic after which a loop should let the event loop have a turn. */
const SLICE_MS = 12;

/** Tells a loop when to pause: `if (pacer.due()) await pacer.turn();` once a row. */
export class Pacer {
  #started = performance.now();

  /** True once the current slice is used up. */
  due(): boolean {
    return performance.now() - this.#started >= SLICE_MS;
  }

  /** Lets the event loop run once and starts a new slice. */
  async turn(): Promise<void> {
    await nextTurn();
    this.#started = performance.now();
  }
}
