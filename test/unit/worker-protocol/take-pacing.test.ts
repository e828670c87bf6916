/** W7, W8 and W9 with the real pauses, without waiting for them. */
import { describe, expect, it } from 'vitest';
import { timingsOf } from '../../../worker/runpod/runpod-config.ts';
import { createTakePacing } from '../../../worker/runpod/take-pacing.ts';

const timings = timingsOf({
  takeTemplate: '',
  doneTemplate: '',
  workerId: '',
  hostname: '',
  pingIntervalMs: 1_000,
  reportedVersion: '',
  userAgent: '',
});
const job = { id: 'a', input: {} };

describe('pauses between takes', () => {
  it('W7: instant empty answers lead to at most four requests a second', () => {
    const pacing = createTakePacing(timings);
    let time = 0;
    const starts: number[] = [];
    while (time < 20_000) {
      starts.push(time);
      time += pacing.pauseAfter({ kind: 'none' }, 0);
    }
    for (const start of starts) {
      expect(starts.filter((other) => other >= start && other < start + 1_000).length).toBeLessThanOrEqual(4);
    }
  });

  it('an answer that was held, or a job, lets the next request go out at once', () => {
    const pacing = createTakePacing(timings);
    expect(pacing.pauseAfter({ kind: 'none' }, 0)).toBe(250);
    expect(pacing.pauseAfter({ kind: 'none' }, 25_000)).toBe(0);
    expect(pacing.pauseAfter({ kind: 'none' }, 0)).toBe(250);
    expect(pacing.pauseAfter({ kind: 'jobs', jobs: [job], problems: [] }, 0)).toBe(0);
    expect(pacing.pauseAfter({ kind: 'none' }, 0)).toBe(250);
  });

  it('a server that hands out nothing but rubbish is not asked in a hot loop', () => {
    const pacing = createTakePacing(timings);
    expect(pacing.pauseAfter({ kind: 'jobs', jobs: [], problems: ['no id'] }, 0)).toBe(250);
    expect(pacing.pauseAfter({ kind: 'unreadable', why: 'it is empty' }, 0)).toBe(500);
  });

  it('W8: after 429 the pause is Retry-After, or five seconds without it, and never none', () => {
    const pacing = createTakePacing(timings);
    const pauseFor = (retryAfter?: string) => pacing.pauseAfter({ kind: 'rate-limited', retryAfter }, 0);
    expect(pauseFor()).toBe(5_000);
    expect(pauseFor('7')).toBe(7_000);
    expect(pauseFor('rubbish')).toBe(5_000);
    expect(pauseFor('0')).toBe(250);
    expect(pauseFor('999999')).toBe(300_000);
  });

  it('W9: failures double the pause up to ten seconds, a refused key up to a minute', () => {
    const pacing = createTakePacing(timings);
    const failures = Array.from({ length: 8 }, () => pacing.pauseAfter({ kind: 'failed', status: 500 }, 0));
    failures.forEach((pause, n) => {
      const full = Math.min(10_000, 500 * 2 ** n);
      expect(pause).toBeGreaterThanOrEqual(full / 2);
      expect(pause).toBeLessThanOrEqual(full);
    });
    const refused = Array.from({ length: 6 }, () => pacing.pauseAfter({ kind: 'unauthorized', status: 401 }, 0));
    expect(refused).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });
});
