/**
 * Async generators finish a pending `next()` before they hear `return()`, which may be a 90 s long poll away. This wraps one so that
 * `return()`, `throw()` and an aborted signal end its waits at once: leaving a loop stops polling.
 */

/** An iterable whose iterators are started lazily, each with its own signal. */
export function abortableIterable<T>(
  start: (signal: AbortSignal) => AsyncGenerator<T, void, void>,
  parent?: AbortSignal,
): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => abortableIterator(start, parent) };
}

function abortableIterator<T>(
  start: (signal: AbortSignal) => AsyncGenerator<T, void, void>,
  parent: AbortSignal | undefined,
): AsyncIterator<T, void, void> {
  const stop = new AbortController();
  const onParent = () => stop.abort(parent?.reason);
  if (parent?.aborted) onParent();
  else parent?.addEventListener('abort', onParent, { once: true });
  const detach = () => parent?.removeEventListener('abort', onParent);
  const inner = start(stop.signal);
  let left = false;

  const leave = async () => {
    left = true;
    detach();
    stop.abort(new DOMException('The iteration was left.', 'AbortError'));
    // The pending step rejects with the abort; whoever leaves did not ask for that error.
    await inner.return().catch(() => undefined);
  };
  return {
    async next() {
      try {
        const step = await inner.next();
        if (step.done) detach();
        return step;
      } catch (error) {
        detach();
        if (left) return { done: true, value: undefined };
        throw error;
      }
    },
    async return() {
      await leave();
      return { done: true, value: undefined };
    },
    async throw(error) {
      await leave();
      throw error;
    },
  };
}
