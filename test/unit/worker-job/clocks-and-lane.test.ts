/** The clocks of a job, and the places of all jobs in ComfyUI. */
import { describe, expect, it } from 'vitest';
import { ComfyLane } from '../../../worker/job/comfy-lane.ts';
import { jobBudget, startBudget } from '../../../worker/job/job-budget.ts';
import { NodeTimes } from '../../../worker/job/node-times.ts';
import { RunEstimate } from '../../../worker/job/run-estimate.ts';
import { until } from '../../support/runpod-emulator.ts';

const never = new AbortController().signal;
const workflow = { '1': { class_type: 'A', inputs: {} } };
const context = { signal: never, resultLimitBytes: 1, onProgress: () => undefined };

describe("a job's time", () => {
  it("RunPod's limit counts from the take, the caller's own from the start", () => {
    const takenAt = performance.now() - 20_000;
    const job = { workflow, limits: { executionMs: 30_000 } };
    const { platformMs, ownMs } = jobBudget(job, { ...context, executionTimeoutMs: 60_000, takenAt });
    expect(platformMs).toBeGreaterThan(33_000);
    expect(platformMs).toBeLessThanOrEqual(34_000);
    expect(ownMs).toBe(30_000);
  });

  it("the caller's own clock stands still while it is paused, RunPod's does not", async () => {
    using own = startBudget({ platformMs: Infinity, ownMs: 30 }, never);
    using platform = startBudget({ platformMs: 60, ownMs: 30 }, never);
    own.pause();
    platform.pause();
    await until(() => platform.signal.aborted);
    expect(own.signal.aborted).toBe(false);
    expect(platform.signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    own.resume();
    await until(() => own.signal.aborted);
  });

  it('ends with its parent and for its reason', () => {
    const parent = new AbortController();
    using budget = startBudget({ platformMs: Infinity, ownMs: Infinity }, parent.signal);
    const reason = new Error('stopped');
    parent.abort(reason);
    expect(budget.signal.reason).toBe(reason);
  });
});

describe('the places in ComfyUI', () => {
  it('holds two prompts at most, tells each its turn in order, and lets the third in when the first has left', async () => {
    const lane = new ComfyLane();
    const log: string[] = [];
    const open: Record<string, () => void> = {};
    const enter = (name: string) =>
      lane.within(
        () => {
          log.push(`${name} in`);
          return new Promise<void>((resolve) => {
            open[name] = resolve;
          });
        },
        () => log.push(`${name} turn`),
        never,
      );
    const all = ['a', 'b', 'c'].map(enter);
    await until(() => log.length >= 3);
    expect(log).toEqual(['a turn', 'a in', 'b in']);
    open['a']?.();
    await until(() => log.includes('c in'));
    expect(log.slice(3)).toEqual(['b turn', 'c in']);
    open['b']?.();
    open['c']?.();
    await until(() => log.includes('c turn'));
    await Promise.all(all);
  });

  it('a wait for a place ends with its signal and takes no place', async () => {
    const lane = new ComfyLane();
    const ends: (() => void)[] = [];
    const hold = () => new Promise<void>((resolve) => ends.push(resolve));
    const held = [lane.within(hold, () => undefined, never), lane.within(hold, () => undefined, never)];
    const stop = new AbortController();
    const third = lane.within(hold, () => undefined, stop.signal);
    stop.abort(new Error('stopped'));
    await expect(third).rejects.toThrow('stopped');
    await until(() => ends.length === 2);
    for (const end of ends) end();
    await Promise.all(held);
    await lane.within(
      () => Promise.resolve(),
      () => undefined,
      never,
    );
  });

  it('memory is freed when no prompt is there, and none comes in meanwhile', async () => {
    const lane = new ComfyLane();
    const log: string[] = [];
    let leave: (() => void) | undefined;
    const first = lane.within(
      () =>
        new Promise<void>((resolve) => {
          leave = resolve;
        }),
      () => undefined,
      never,
    );
    await until(() => leave !== undefined);
    const freed = lane.alone(async () => void log.push('freed'), never);
    const second = lane.within(
      async () => void log.push('second'),
      () => undefined,
      never,
    );
    leave?.();
    await Promise.all([first, freed, second]);
    expect(log).toEqual(['freed', 'second']);
  });
});

describe('the estimate of a run', () => {
  const graph = {
    '1': { class_type: 'Load', inputs: {} },
    '2': { class_type: 'Sample', inputs: { steps: 10 } },
    '3': { class_type: 'Save', inputs: {} },
  };
  const snapshot = (done: string[], node?: string, cached: string[] = []) => ({
    phase: 'running' as const,
    ...(node !== undefined && { node }),
    done: done.length,
    total: 3,
    fraction: 0,
    doneNodes: new Set(done),
    cachedNodes: new Set(cached),
  });

  function learned(): NodeTimes {
    const times = new NodeTimes();
    times.note(graph, [
      { node: '1', ms: 100 },
      { node: '2', ms: 800 },
      { node: '3', ms: 100 },
    ]);
    return times;
  }

  it('knows nothing of the time left while a node is new', () => {
    const estimate = new RunEstimate(graph, new NodeTimes());
    expect(estimate.judge(snapshot(['1'], '2'))).toEqual({ fraction: 1 / 3 });
  });

  it('weighs nodes by their times, and cached ones not at all', () => {
    let now = 0;
    const estimate = new RunEstimate(graph, learned(), () => now);
    expect(estimate.judge(snapshot(['1'], '2'))).toEqual({ fraction: 0.1, remainingMs: 900 });
    now = 400;
    expect(estimate.judge(snapshot(['1'], '2'))).toEqual({ fraction: 0.5, remainingMs: 500 });
    const cached = new RunEstimate(graph, learned(), () => now);
    expect(cached.judge(snapshot(['1', '2'], '3', ['1', '2']))).toEqual({ fraction: 0, remainingMs: 100 });
  });

  it('goes by the pace of the steps once there are two', () => {
    let now = 0;
    const estimate = new RunEstimate(graph, learned(), () => now);
    estimate.judge({ ...snapshot(['1'], '2'), step: { value: 1, max: 10 } });
    now = 50;
    expect(estimate.judge({ ...snapshot(['1'], '2'), step: { value: 2, max: 10 } }).remainingMs).toBe(8 * 50 + 100);
  });

  it('tells step counts apart: a run of fifty steps is not one of ten', () => {
    const fifty = { ...graph, '2': { class_type: 'Sample', inputs: { steps: 50 } } };
    const estimate = new RunEstimate(fifty, learned());
    expect(estimate.judge(snapshot(['1'], '2')).remainingMs).toBeUndefined();
  });
});
