/**
 * The polling loop, once for all callers. Two clocks at most:
 * - a long poll on /status-sync, held by the server until the job ends: the end is noticed within one round trip;
 * - beside it, when progress is wanted, /status at a pace that starts at 500 ms and slows down while nothing changes, because a held
 *   long poll shows no progress.
 * Where no long poll is offered (404, 405) or it isn't held (RunPod protocol notes §4.2: such servers get hundreds of requests a second
 * from other clients), /status alone is asked at that pace. Invariant F1: request starts are at least 500 ms apart, apart from the first
 * two, so that no server sees more than two a second (statement 82).
 */
import {
  type ComfyRunpodError,
  delay,
  isComfyRunpodError,
  isTerminalStatus,
  type JobView,
} from '../../../shared/index.ts';
import type { FollowOptions } from '../transport.ts';

/** The requests that the loop is made of. Both repeat themselves where that is safe and throw coded errors. */
export interface FollowPorts {
  status(id: string, signal: AbortSignal): Promise<JobView>;
  longPoll(id: string, waitMs: number, signal: AbortSignal): Promise<JobView>;
  /** How long a long poll asks to be held, milliseconds. */
  readonly holdMs: number;
  /** Longest pause between two status requests, milliseconds. */
  readonly pollIntervalMs: number;
}

const shortestIntervalMs = 500;
const slowdown = 1.5;
/** A long poll that comes back sooner than this with nothing new was not held. */
const heldAtLeastMs = 1_000;

type Answer =
  | { readonly ok: true; readonly view: JobView; readonly held: boolean }
  | { readonly ok: false; readonly error: unknown };

/** Keeps request starts apart and the pace of one followed job. */
class Pace {
  #lastStart = Number.NEGATIVE_INFINITY;
  #unchanged = 0;
  readonly #longestMs: number;

  constructor(longestMs: number) {
    this.#longestMs = Math.max(shortestIntervalMs, longestMs);
  }

  started(): void {
    this.#lastStart = performance.now();
  }

  saw(changed: boolean): void {
    this.#unchanged = changed ? 0 : this.#unchanged + 1;
  }

  /** Milliseconds until the next status request may start. */
  untilNext(): number {
    const interval = Math.min(this.#longestMs, shortestIntervalMs * slowdown ** this.#unchanged);
    return Math.max(0, this.#lastStart + interval - performance.now());
  }
}

/** Yields views of a job as they change, the last one terminal. `signal` ends every request and pause. */
export async function* followJob(
  id: string,
  ports: FollowPorts,
  options: FollowOptions,
  signal: AbortSignal,
): AsyncGenerator<JobView, void, void> {
  const stop = new AbortController();
  const live = AbortSignal.any([signal, stop.signal]);
  const pace = new Pace(ports.pollIntervalMs);
  let longPollOffered = true;
  let held: Promise<Answer> | undefined;
  let last: JobView | undefined;
  try {
    for (;;) {
      live.throwIfAborted();
      if (longPollOffered && held === undefined) {
        // The first long poll does not push the first status request back: a watcher sees the queue at once.
        if (last !== undefined) {
          await delay(pace.untilNext(), live);
          pace.started();
        }
        held = ask(() => ports.longPoll(id, ports.holdMs, live));
      }
      const next = await nextAnswer(id, ports, pace, held, options.progress === true, live);
      if (next.from === 'held') held = undefined;
      const { answer } = next;
      if (!answer.ok) {
        if (next.from === 'status' || !meansNoLongPoll(answer.error)) throw answer.error;
        longPollOffered = false;
        continue;
      }
      const changed = isNews(last, answer.view);
      if (next.from === 'held' && !answer.held && !changed) longPollOffered = false;
      pace.saw(changed);
      last = answer.view;
      if (changed) yield answer.view;
      if (isTerminalStatus(answer.view.status)) return;
    }
  } finally {
    stop.abort();
  }
}

/** Waits for the long poll, or makes the next status request when it is due first. */
async function nextAnswer(
  id: string,
  ports: FollowPorts,
  pace: Pace,
  held: Promise<Answer> | undefined,
  progress: boolean,
  signal: AbortSignal,
): Promise<{ readonly from: 'held' | 'status'; readonly answer: Answer }> {
  if (held !== undefined) {
    const due = new AbortController();
    const pause = progress
      ? delay(pace.untilNext(), AbortSignal.any([signal, due.signal])).then(
          () => undefined,
          () => undefined,
        )
      : new Promise<undefined>(() => undefined);
    const answer = await Promise.race([held, pause]);
    due.abort();
    if (answer !== undefined) return { from: 'held', answer };
    signal.throwIfAborted();
  } else {
    await delay(pace.untilNext(), signal);
  }
  pace.started();
  return { from: 'status', answer: await ask(() => ports.status(id, signal)) };
}

/** Runs a request so that its failure waits to be looked at instead of becoming an unhandled rejection. */
async function ask(request: () => Promise<JobView>): Promise<Answer> {
  const startedAt = performance.now();
  try {
    const view = await request();
    return { ok: true, view, held: performance.now() - startedAt >= heldAtLeastMs };
  } catch (error) {
    return { ok: false, error };
  }
}

/** A long poll that is refused as such; /status then tells whether the job is known. */
function meansNoLongPoll(error: unknown): boolean {
  if (!isComfyRunpodError(error)) return false;
  const status = (error as ComfyRunpodError).details['httpStatus'];
  return error.code === 'JOB_NOT_FOUND' || status === 400 || status === 405 || status === 501;
}

function isNews(last: JobView | undefined, view: JobView): boolean {
  if (last === undefined || last.status !== view.status) return true;
  if (isTerminalStatus(view.status)) return true;
  return last.retries !== view.retries || JSON.stringify(last.output) !== JSON.stringify(view.output);
}
