// Stop signals: at most once, to a poll that can still hear them.
import { describe, expect, it } from 'vitest';
import { virtualClock } from '../../../sandbox/runpod/clock.ts';
import { StopSignals } from '../../../sandbox/runpod/stop-signals.ts';

function start() {
  const signals = new StopSignals(virtualClock());
  const { signal } = new AbortController();
  const poll = (workerId: string, alive = true) => signals.poll({ workerId, holdMs: 1000, signal, alive: () => alive });
  return { signals, poll };
}

describe('StopSignals', () => {
  it('gives a worker its ids once, in the order they came, and nobody else’s', async () => {
    const { signals, poll } = start();
    signals.push('w', 'a');
    signals.push('v', 'x');
    signals.push('w', 'b');
    expect(await poll('w')).toEqual(['a', 'b']);
    const next = poll('w');
    signals.push('w', 'c');
    expect(await next).toEqual(['c']);
    expect(await poll('v')).toEqual(['x']);
  });

  it('passes over a poll whose client is gone', async () => {
    const { signals, poll } = start();
    const dead = poll('w', false);
    signals.push('w', 'a');
    expect(await poll('w')).toEqual(['a']);
    expect(await Promise.race([dead, Promise.resolve('still held')])).toBe('still held');
  });

  it('keeps ids whose delivery failed, before newer ones, and forgets those of a job that runs again', async () => {
    const { signals, poll } = start();
    signals.push('w', 'c');
    signals.giveBack('w', ['a', 'b']);
    signals.forget('b');
    expect(await poll('w')).toEqual(['a', 'c']);
  });
});
