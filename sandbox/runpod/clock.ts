// Time for the emulator: the machine's, or a virtual one that tests move by hand.
// Everything in sandbox/runpod that waits goes through a Clock; nothing calls the global timers directly.

/** A pending timer. `cancel()` is idempotent and safe after it fired. */
export interface ClockTimer {
  cancel(): void;
}

/** The emulator's only source of time. All values are milliseconds. */
export interface Clock {
  /** Milliseconds since some fixed point; never goes backwards. */
  now(): number;
  /** Runs `callback` once, `delayMs` from now. `label` says what is waited for and shows up in {@link VirtualClock.pending}. */
  setTimeout(callback: () => void, delayMs: number, label?: string): ClockTimer;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock: epoch milliseconds that stay monotonic when the wall clock is set back. */
export function systemClock(): Clock {
  return {
    now: () => performance.timeOrigin + performance.now(),
    setTimeout(callback, delayMs) {
      // Longer than the platform can wait in one piece: fires early, and every user of a deadline re-arms when it is early.
      const handle = setTimeout(callback, Math.max(0, Math.min(delayMs, LONGEST_TIMER_MS)));
      return { cancel: () => clearTimeout(handle) };
    },
  };
}

interface VirtualTimer {
  readonly at: number;
  readonly order: number;
  readonly label: string;
  readonly callback: () => void;
}

/** A clock that stands still until {@link VirtualClock.advance} moves it. */
export interface VirtualClock extends Clock {
  /** Moves time forward by `ms`, firing due timers in order; a timer set by a callback fires too when it is due. */
  advance(ms: number): void;
  /** How many timers wait, all of them or those with `label`. */
  pending(label?: string): number;
}

/** Creates a {@link VirtualClock} that starts at `startAt` (default: an arbitrary instant in 2026). */
export function virtualClock(startAt = Date.UTC(2026, 0, 1)): VirtualClock {
  let now = startAt;
  let order = 0;
  const timers = new Set<VirtualTimer>();

  function earliestUpTo(limit: number): VirtualTimer | undefined {
    let found: VirtualTimer | undefined;
    for (const timer of timers) {
      if (timer.at > limit) continue;
      if (!found || timer.at < found.at || (timer.at === found.at && timer.order < found.order)) found = timer;
    }
    return found;
  }

  return {
    now: () => now,
    setTimeout(callback, delayMs, label = '') {
      order += 1;
      const timer: VirtualTimer = { at: now + Math.max(0, delayMs), order, label, callback };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance(ms) {
      const target = now + ms;
      for (let due = earliestUpTo(target); due; due = earliestUpTo(target)) {
        timers.delete(due);
        now = Math.max(now, due.at);
        due.callback();
      }
      now = target;
    },
    pending: (label) => [...timers].filter((timer) => label === undefined || timer.label === label).length,
  };
}
