/** Waiting for a condition on shared state without polling: whoever changes the state notifies. */

/** See {@link createNotifier}. */
export interface Notifier {
  /** Lets everyone who waits look at their condition again. */
  notify(): void;
  /** Resolves when `condition` holds, now or after a notification; rejects with the signal's reason. */
  until(condition: () => boolean, signal?: AbortSignal): Promise<void>;
}

/** Makes a notifier. */
export function createNotifier(): Notifier {
  const waiting = new Set<() => void>();
  return {
    notify() {
      for (const look of [...waiting]) look();
    },
    until(condition, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason as Error);
          return;
        }
        if (condition()) {
          resolve();
          return;
        }
        const settle = (finish: () => void) => {
          waiting.delete(look);
          signal?.removeEventListener('abort', onAbort);
          finish();
        };
        const look = () => {
          if (condition()) settle(resolve);
        };
        const onAbort = () => settle(() => reject(signal?.reason as Error));
        waiting.add(look);
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    },
  };
}
