/**
 * Decides how many jobs are taken beyond those that run, so that the next one is staged and queued in ComfyUI before the current one ends.
 * RunPod's executionTimeout counts from the take: a job must never be put behind one that could eat up its time. Pure but for its memory.
 */

/** `auto`: judged by recent runs. `0`: never. `1`: always. */
export type PrefetchMode = 'auto' | '0' | '1';

/** Runs that are remembered, and how many `auto` wants to have seen. */
const remembered = 16;
const enough = 3;
/** Whatever the time limits are: a job that waits longer than this had better go to another worker. */
const longestWaitMs = 10_000;
/** Part of the shortest time limit that waiting may cost. */
const shareOfLimit = 0.05;
/** RunPod's own limit where a job names none (RunPod protocol notes §1.4). */
const usualLimitMs = 600_000;
/** Jobs without prefetching after one that wrote where others may write. */
const quarantineJobs = 50;

/** The running statistic of one worker. */
export class PrefetchPolicy {
  readonly #mode: PrefetchMode;
  readonly #runs: number[] = [];
  readonly #limits: number[] = [];
  #quarantine = 0;

  constructor(mode: PrefetchMode) {
    this.#mode = mode;
  }

  /** A job ran so long in ComfyUI, milliseconds. */
  noteRun(ms: number): void {
    remember(this.#runs, ms);
    if (this.#quarantine > 0) this.#quarantine -= 1;
  }

  /** A job came with this time limit, milliseconds; undefined is the platform's own. */
  noteLimit(ms: number | undefined): void {
    remember(this.#limits, ms ?? usualLimitMs);
  }

  /** A job wrote where the next one may write too: they must not overlap. */
  noteSharedOutput(): void {
    this.#quarantine = quarantineJobs;
  }

  /**
   * Jobs to have ahead of time, 0 or 1. `runningMs`: how long the current job has been running, undefined when none runs. With nothing
   * known about what would be waited for, `auto` leaves a job to the workers that are idle.
   */
  ahead(runningMs: number | undefined): 0 | 1 {
    if (this.#mode === '0' || this.#quarantine > 0) return 0;
    if (this.#mode === '1') return 1;
    if (runningMs === undefined || this.#runs.length < enough) return 0;
    const longest = Math.max(...this.#runs);
    const bearable = Math.min(longestWaitMs, shareOfLimit * Math.min(usualLimitMs, ...this.#limits));
    return longest <= bearable && runningMs <= bearable ? 1 : 0;
  }
}

function remember(list: number[], value: number): void {
  list.push(value);
  if (list.length > remembered) list.shift();
}
