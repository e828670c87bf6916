/** When a job may be taken ahead of time: never where waiting could endanger it. */
import { describe, expect, it } from 'vitest';
import { PrefetchPolicy } from '../../../worker/prefetch-policy.ts';

function afterRuns(ms: readonly number[], limits: readonly (number | undefined)[] = []): PrefetchPolicy {
  const policy = new PrefetchPolicy('auto');
  for (const limit of limits) policy.noteLimit(limit);
  for (const run of ms) policy.noteRun(run);
  return policy;
}

describe('PREFETCH=auto', () => {
  it('waits until it has seen three runs', () => {
    expect(afterRuns([10, 10]).ahead(5)).toBe(0);
    expect(afterRuns([10, 10, 10]).ahead(5)).toBe(1);
  });

  it('leaves jobs to idle workers while it is idle itself', () => {
    expect(afterRuns([10, 10, 10]).ahead(undefined)).toBe(0);
  });

  it('looks at the longest of the recent runs and forgets the old ones', () => {
    expect(afterRuns([10, 11_000, 10]).ahead(5)).toBe(0);
    expect(afterRuns([11_000, ...Array.from({ length: 16 }, () => 10)]).ahead(5)).toBe(1);
  });

  it('never lets a job wait for more than a twentieth of the shortest time limit', () => {
    expect(afterRuns([240, 240, 240], [5_000]).ahead(5)).toBe(1);
    expect(afterRuns([260, 240, 240], [5_000, undefined]).ahead(5)).toBe(0);
  });

  it('stops when the run at hand takes longer than runs may', () => {
    const policy = afterRuns([10, 10, 10]);
    expect(policy.ahead(9_999)).toBe(1);
    expect(policy.ahead(10_001)).toBe(0);
  });

  it('keeps jobs apart for a while after one that wrote where others may write', () => {
    const policy = afterRuns([10, 10, 10]);
    policy.noteSharedOutput();
    for (let job = 0; job < 49; job++) policy.noteRun(10);
    expect(policy.ahead(5)).toBe(0);
    policy.noteRun(10);
    expect(policy.ahead(5)).toBe(1);
  });
});

describe('PREFETCH set by hand', () => {
  it('0 never takes ahead, 1 always does, except after a job that wrote where others may write', () => {
    const never = new PrefetchPolicy('0');
    const always = new PrefetchPolicy('1');
    for (let run = 0; run < 5; run++) never.noteRun(1);
    expect(never.ahead(1)).toBe(0);
    expect(always.ahead(undefined)).toBe(1);
    always.noteSharedOutput();
    expect(always.ahead(undefined)).toBe(0);
  });
});
