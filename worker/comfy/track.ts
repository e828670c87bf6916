/**
 * Follows a queued prompt to its history entry. Polling decides; events only make it look sooner (ComfyUI protocol notes Appendix A).
 *
 * 1. Done means: `/history/{id}` has the entry, or answers 500 for good.
 * 2. Lost means: absent from the queue and then from history, twice in a row, and longer than the history may lag when an event
 *    announced the end.
 * 3. Stalled means: no event of this prompt and no movement of the queue for `stallMs`, waiting behind another prompt aside.
 */
import { ComfyRunpodError } from '../../shared/index.ts';
import type { Hint } from './hint.ts';
import { type ComfyHttp, transportFailure } from './http.ts';
import { type HistoryView, readHistory, readQueue } from './prompt-state.ts';
import type { TerminalHint } from './run-progress.ts';
import type { ComfyTimings } from './types.ts';

/** What tracking needs. `activity` is shared with the event listener. */
export interface Tracking {
  readonly http: ComfyHttp;
  readonly timings: ComfyTimings;
  readonly promptId: string;
  readonly stallMs: number;
  readonly hint: Hint;
  readonly activity: RunActivity;
  readonly assertAlive: () => void;
  readonly signal: AbortSignal;
}

/** What the events of a run have told so far. */
export interface RunActivity {
  /** Time of the last sign of life, from `Date.now`. */
  lastAt: number;
  terminal: TerminalHint;
  /** Time of the first terminal hint. */
  terminalAt: number;
}

/** Pause before a prompt that was found nowhere is looked for again. */
const secondLookMs = 250;

/** Waits for the end of the run. Throws `PROMPT_LOST`, `COMFY_STALLED`, `COMFY_UNREACHABLE`, what `assertAlive` throws, or the signal's reason. */
export async function trackPrompt(tracking: Tracking): Promise<Exclude<HistoryView, { kind: 'absent' }>> {
  const { http, timings, promptId, hint, activity, signal } = tracking;
  let queueState = '';
  let misses = 0;
  let outageSince: number | undefined;
  let pause = timings.pollIdleMs;
  for (;;) {
    const hinted = await hint.wait(pause, signal);
    tracking.assertAlive();
    try {
      // Right after a hint the history alone is asked: it is what decides, and the answer is usually there.
      const queue = hinted && activity.terminal !== 'none' ? undefined : await readQueue(http, signal);
      const history = await readHistory(http, promptId, signal);
      outageSince = undefined;
      if (history.kind !== 'absent') return history;
      if (queue) {
        const state = JSON.stringify([queue.running, queue.pending.length, queue.pending.indexOf(promptId)]);
        // Behind a prompt that runs there is nothing to hear: it is that one's turn to be watched.
        const waits = queue.running.length > 0 && queue.pending.includes(promptId);
        if (state !== queueState || waits) activity.lastAt = Date.now();
        queueState = state;
        misses = queue.running.includes(promptId) || queue.pending.includes(promptId) ? 0 : misses + 1;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      outageSince = assertOutage(error, outageSince, timings.outageMs);
    }
    if (misses >= 2 && !mayLag(activity, timings)) {
      throw new ComfyRunpodError(
        'PROMPT_LOST',
        'ComfyUI knows the prompt no more: it is neither queued nor in the history.',
      );
    }
    if (Date.now() - activity.lastAt > tracking.stallMs) {
      throw new ComfyRunpodError(
        'COMFY_STALLED',
        `ComfyUI gave no sign of progress for ${Math.round(tracking.stallMs / 1000)} seconds.`,
        { details: { stallMs: tracking.stallMs } },
      );
    }
    pause = nextPause(tracking, misses, hinted ? timings.pollHintMs : pause);
  }
}

function mayLag(activity: RunActivity, timings: ComfyTimings): boolean {
  return activity.terminal !== 'none' && Date.now() - activity.terminalAt < timings.historyLagMs;
}

function nextPause({ timings, activity, stallMs }: Tracking, misses: number, last: number): number {
  if (activity.terminal !== 'none' && Date.now() - activity.terminalAt < timings.historyLagMs) {
    return Math.min(250, Math.max(timings.pollHintMs, last === timings.pollIdleMs ? timings.pollHintMs : last * 1.6));
  }
  return Math.min(misses > 0 ? secondLookMs : timings.pollIdleMs, Math.max(50, stallMs / 4));
}

/** Notes the beginning of an outage, or throws once it has lasted too long. A slow answer is no outage: the loop may be hashing (§1.1). */
function assertOutage(error: unknown, since: number | undefined, outageMs: number): number | undefined {
  const kind = transportFailure(error);
  if (kind === 'timeout') return since;
  const start = since ?? Date.now();
  if (Date.now() - start > outageMs) throw error;
  return start;
}
