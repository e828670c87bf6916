// The virtual clock, on which every test of time rests.
import { describe, expect, it } from 'vitest';
import { systemClock, virtualClock } from '../../../sandbox/runpod/clock.ts';
import { held } from '../../../sandbox/runpod/held.ts';

describe('virtualClock', () => {
  it('fires due timers in order of time, then of creation, and shows each its own time', () => {
    const clock = virtualClock(0);
    const fired: string[] = [];
    const at = (name: string) => () => fired.push(`${name}@${clock.now()}`);
    clock.setTimeout(at('late'), 30);
    clock.setTimeout(at('first'), 10);
    clock.setTimeout(at('second'), 10);
    clock.setTimeout(() => clock.setTimeout(at('nested'), 5), 10);
    clock.advance(20);
    expect(fired).toEqual(['first@10', 'second@10', 'nested@15']);
    expect(clock.now()).toBe(20);
    clock.advance(10);
    expect(fired.at(-1)).toBe('late@30');
  });

  it('a cancelled timer never fires, and pending counts by label', () => {
    const clock = virtualClock(0);
    const timer = clock.setTimeout(() => expect.unreachable(), 10, 'a');
    clock.setTimeout(() => undefined, 10, 'b');
    expect([clock.pending(), clock.pending('a')]).toEqual([2, 1]);
    timer.cancel();
    clock.advance(100);
    expect(clock.pending()).toBe(0);
  });
});

describe('systemClock', () => {
  it('runs timers of the machine and never goes backwards', async () => {
    const clock = systemClock();
    const before = clock.now();
    await new Promise<void>((resolve) => void clock.setTimeout(resolve, 1));
    expect(clock.now()).toBeGreaterThanOrEqual(before);
    expect(Math.abs(clock.now() - Date.now())).toBeLessThan(60_000);
    clock.setTimeout(() => expect.unreachable(), 0).cancel();
  });
});

describe('held', () => {
  it('ends by value, by time or by signal, and stops listening exactly once each way', async () => {
    const clock = virtualClock(0);
    let stopped = 0;
    const options = { clock, ms: 10, label: 'x' };
    const leaving = new AbortController();
    const start = (value?: string) => (resolve: (value: string) => void) => {
      if (value !== undefined) resolve(value);
      return () => {
        stopped += 1;
      };
    };
    const live = new AbortController().signal;
    expect(await held({ ...options, signal: live }, start('now'))).toBe('now');
    const late = held({ ...options, signal: live }, start());
    clock.advance(10);
    expect(await late).toBeUndefined();
    const aborted = held({ ...options, signal: leaving.signal }, start());
    leaving.abort(new Error('gone'));
    await expect(aborted).rejects.toThrow('gone');
    await expect(held({ ...options, signal: leaving.signal }, start())).rejects.toThrow('gone');
    expect([stopped, clock.pending()]).toEqual([3, 0]);
  });
});
