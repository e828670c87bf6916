/**
 * Loaded into a process before its program (`node --import`): measures how long its event loop is held up, and tells its parent over the IPC
 * channel. `reset` starts anew, `read` answers with the longest delay since then, milliseconds.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Milliseconds between two looks. */
const resolution = 5;

if (isMainThread && process.send) {
  const delays = monitorEventLoopDelay({ resolution });
  delays.enable();
  process.on('message', (message) => {
    if (message === 'reset') delays.reset();
    // What is recorded is the whole time from look to look.
    if (message === 'read') process.send?.({ maxMs: Math.max(0, delays.max / 1e6 - resolution) });
  });
  process.channel?.unref();
}
