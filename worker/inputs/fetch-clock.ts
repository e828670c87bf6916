/** The two clocks of one fetch, the whole of it and the silence in it, as one signal. */
import { createDeadline } from '../../shared/index.ts';

/** A signal that fires with the parent, when the time is over, or after too long a silence. Dispose it. */
export interface FetchClock extends Disposable {
  readonly signal: AbortSignal;
  /** Something happened: the silence starts anew. */
  touch(): void;
}

/** Starts both clocks. `reason` makes the error for the one that ran out. */
export function startFetchClock(
  ms: { readonly total: number; readonly idle: number },
  reason: (which: 'total' | 'idle') => Error,
  parent: AbortSignal,
): FetchClock {
  const deadline = createDeadline(ms.total, () => reason('total'), parent);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(reason('idle')), ms.idle);
  const onDeadline = () => controller.abort(deadline.signal.reason);
  if (deadline.signal.aborted) onDeadline();
  else deadline.signal.addEventListener('abort', onDeadline, { once: true });
  return {
    signal: controller.signal,
    touch: () => void timer.refresh(),
    [Symbol.dispose]() {
      clearTimeout(timer);
      deadline.signal.removeEventListener('abort', onDeadline);
      deadline[Symbol.dispose]();
    },
  };
}
