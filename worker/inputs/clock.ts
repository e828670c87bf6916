/** Time as the store of held files sees it; tests bring their own. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  /** Calls `task` once after `ms` milliseconds; the answer cancels it. */
  schedule(task: () => void, ms: number): () => void;
}

/** The real time, which doesn't jump when the date is set. */
export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(task, ms) {
    const timer = setTimeout(task, Math.min(ms, 2_147_483_647));
    return () => clearTimeout(timer);
  },
};
