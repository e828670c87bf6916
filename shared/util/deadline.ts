/** A signal that fires after a time or with its parent, and its disposal. Time-out and cancel stay apart by their reasons. */

/** A linked signal; dispose it when the work is done, or its timer keeps running. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** True when the time ran out (not when the parent was aborted). */
  readonly expired: boolean;
}

/**
 * Makes a signal that aborts with `reason()` after `ms` milliseconds, or with the parent's reason when the parent aborts first.
 * `ms` of `Infinity` never expires.
 */
export function createDeadline(ms: number, reason: () => Error, parent?: AbortSignal): Deadline {
  const controller = new AbortController();
  let expired = false;
  // setTimeout takes at most 2^31-1 ms; longer means "practically never" here.
  const timer = Number.isFinite(ms)
    ? setTimeout(
        () => {
          expired = true;
          controller.abort(reason());
        },
        Math.min(ms, 2_147_483_647),
      )
    : undefined;
  const onParent = () => {
    clearTimeout(timer);
    controller.abort(parent?.reason);
  };
  if (parent?.aborted) onParent();
  else parent?.addEventListener('abort', onParent, { once: true });
  return {
    signal: controller.signal,
    get expired() {
      return expired;
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      parent?.removeEventListener('abort', onParent);
    },
  };
}
