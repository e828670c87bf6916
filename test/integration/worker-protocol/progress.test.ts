/** Promises W31 and W46 to W48 of the RunPod protocol notes §5: progress while a job runs. */
import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../../../shared/index.ts';
import { until } from '../../support/runpod-emulator.ts';
import { progressEvent } from '../../support/scripted-runner.ts';
import { startWorkerBench, type WorkerBench } from '../../support/worker-bench.ts';

function sequences(bench: WorkerBench, id: string): number[] {
  return bench.progress(id).map((post) => {
    const body = JSON.parse(post.body ?? '') as { output: ProgressEvent };
    return body.output.sequence;
  });
}

describe('progress', () => {
  it('W46: a snapshot is posted to the address of the result, marked as in progress, and callers see it', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'hold' });
    await until(() => bench.runner.contexts.has(id));
    bench.runner.contexts.get(id)?.onProgress(progressEvent(1));
    await until(() => bench.emulator.inspect.job(id)?.output() !== undefined);
    const [post] = bench.progress(id);
    expect(post?.target).toMatch(/\/job-done\/pod-1\/[^/]+\?gpu=[^&]+&isStream=false$/);
    expect(JSON.parse(post?.body ?? '')).toEqual({ status: 'IN_PROGRESS', output: progressEvent(1) });
    expect((await bench.bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS', output: { sequence: 1 } });
  });

  it('W47: snapshots go out in order, never after the result, and the final status stays', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'job-done/progress', do: { kind: 'delay', ms: 30 } });
    bench.start();
    const id = await bench.run({ do: 'progress', events: 30, ms: 5, value: 'done' });
    expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 'done' });
    await bench.worker.drain();
    const sent = sequences(bench, id);
    expect(sent.length).toBeGreaterThan(1);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    const posts = bench.seen('job-done').filter((post) => post.jobId === id);
    expect(posts.at(-1)).toBe(bench.results(id)[0]);
    expect(bench.emulator.inspect.job(id)?.status).toBe('COMPLETED');
  });

  it('of many snapshots in a short time the first and the newest are posted, at most one per interval', async () => {
    const bench = await startWorkerBench({ timings: { progressIntervalMs: 200 } });
    bench.start();
    const id = await bench.run({ do: 'hold' });
    await until(() => bench.runner.contexts.has(id));
    for (let sequence = 0; sequence < 100; sequence++)
      bench.runner.contexts.get(id)?.onProgress(progressEvent(sequence));
    await until(() => bench.progress(id).length === 2);
    const [first, second] = bench.progress(id);
    expect(sequences(bench, id)).toEqual([0, 99]);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(190);
  });

  it('W47: a progress post that hangs is aborted before the result goes out', async () => {
    const bench = await startWorkerBench({ timings: { progressGraceMs: 50 } });
    bench.faults.add({ route: 'job-done/progress', do: { kind: 'hang' } });
    bench.start();
    const id = await bench.run({ do: 'progress', events: 1, value: 'done' });
    expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 'done' });
  });

  it.each([{ kind: 'answer', status: 500 } as const, { kind: 'reset' } as const])(
    'W48: progress posts that fail (%o) do not fail the job and are not repeated',
    async (fault) => {
      const bench = await startWorkerBench();
      bench.faults.add({ route: 'job-done/progress', do: fault });
      bench.start();
      const id = await bench.run({ do: 'progress', events: 2, ms: 40, value: 'done' });
      expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 'done' });
      expect(bench.progress(id).length).toBeLessThanOrEqual(2);
      expect([...bench.lines('WARN'), ...bench.lines('ERROR')]).toEqual([]);
    },
  );

  it('W31: a number that JSON has no word for never appears as a bare token', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'hold' });
    await until(() => bench.runner.contexts.has(id));
    bench.runner.contexts.get(id)?.onProgress({ ...progressEvent(1), elapsedMs: Number.NaN });
    await until(() => bench.progress(id).length === 1);
    expect(JSON.parse(bench.progress(id)[0]?.body ?? '')).toMatchObject({ output: { elapsedMs: null } });
  });
});
