/**
 * Takes a prompt off ComfyUI: out of the queue when it waits, interrupted when it runs, asked again until it is gone. Interrupts are
 * always targeted: a bare one may hit the next run, and one that comes too early is lost (ComfyUI protocol notes §6.7).
 */
import { delay } from '../../shared/index.ts';
import { type ComfyHttp, transportFailure } from './http.ts';
import { type HistoryView, locatePrompt, type PromptPlace } from './prompt-state.ts';
import type { ComfyCapabilities, ComfyTimings } from './types.ts';

/** What a cancel needs. Its signal bounds the whole procedure. */
export interface Cancellation {
  readonly http: ComfyHttp;
  readonly capabilities: ComfyCapabilities;
  readonly timings: ComfyTimings;
  readonly promptId: string;
  readonly signal: AbortSignal;
  /** Throws when the process behind the address has died. */
  readonly assertAlive: () => void;
}

/** How a cancel ended. `finished` holds the history: the run may even have succeeded. `stuck`: it goes on in spite of it all. */
export type CancelOutcome =
  | { readonly kind: 'gone' }
  | { readonly kind: 'finished'; readonly history: HistoryView }
  | { readonly kind: 'stuck' };

/** Cancels one prompt and waits until it is gone. Never throws. */
export async function cancelPrompt(cancellation: Cancellation): Promise<CancelOutcome> {
  const { timings, signal } = cancellation;
  const endsAt = Date.now() + timings.cancelMs;
  let askedAt = Number.NEGATIVE_INFINITY;
  let pause = timings.pollHintMs;
  let misses = 0;
  while (Date.now() < endsAt && !signal.aborted) {
    try {
      cancellation.assertAlive();
    } catch {
      return { kind: 'gone' };
    }
    try {
      if (Date.now() - askedAt >= timings.interruptGapMs) {
        askedAt = Date.now();
        await ask(cancellation);
      }
      const place = await look(cancellation);
      if (typeof place === 'object') return { kind: 'finished', history: place };
      misses = place === 'absent' ? misses + 1 : 0;
      if (misses >= 2) return { kind: 'gone' };
    } catch (error) {
      // Nothing runs where nothing listens.
      if (transportFailure(error) === 'refused') return { kind: 'gone' };
    }
    await delay(pause, signal).catch(() => undefined);
    pause = Math.min(timings.pollIdleMs, pause * 2);
  }
  return { kind: 'stuck' };
}

function look({ http, promptId, signal }: Cancellation): Promise<PromptPlace> {
  return locatePrompt(http, promptId, signal);
}

async function ask({ http, capabilities, promptId, signal }: Cancellation): Promise<void> {
  await http.command({ path: '/queue', json: { delete: [promptId] }, signal });
  const place = await locatePrompt(http, promptId, signal);
  if (place !== 'running') return;
  if (capabilities.jobCancel) {
    const answer = await http.send({ method: 'POST', path: `/api/jobs/${promptId}/cancel`, signal });
    if (answer.status === 200) return;
  }
  await http.command({ path: '/interrupt', json: { prompt_id: promptId }, signal });
}
