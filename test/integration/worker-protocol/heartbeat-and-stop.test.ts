/** Promises W49 to W62 of the RunPod protocol notes §5: the heartbeat and the stop channel. */
import { describe, expect, it } from 'vitest';
import { until } from '../../support/runpod-emulator.ts';
import { startWorkerBench, type WorkerBench } from '../../support/worker-bench.ts';

/** The parameters of a ping as they travelled. */
function pings(bench: WorkerBench): string[] {
  return bench.seen('ping').map((request) => request.target);
}

/** The bench's interval of a second, less what timers may fire early. */
const earliestMs = 990;

describe('heartbeat', () => {
  it('W49, W51, W52: the first ping comes within a second of the start, keeps the query of the template, tells the version and, while idle, no job', {
    retry: 2,
  }, async () => {
    // Retried because a machine under load may be late with a whole thread.
    const bench = await startWorkerBench();
    const startedAt = Date.now();
    bench.start();
    await until(() => bench.seen('ping').length > 0);
    expect((bench.seen('ping')[0]?.at ?? 0) - startedAt).toBeLessThan(1_000);
    expect(pings(bench)[0]).toBe('/v2/ep1/ping/pod-1?gpu=NVIDIA+GeForce+RTX+4090&runpod_version=1.12.0');
  });

  it('W49, W50: an interval under a second counts as a second', async () => {
    const bench = await startWorkerBench({ environment: { RUNPOD_PING_INTERVAL: '10' } });
    const startedAt = Date.now();
    bench.start();
    await until(() => bench.seen('ping').length >= 3);
    const times = bench.seen('ping').map((request) => request.at);
    // From the start, not from one to the next: a busy machine makes pings late, never early.
    for (const n of [1, 2]) expect((times[n] ?? 0) - startedAt).toBeGreaterThanOrEqual(n * earliestMs);
    // Not RunPod's own interval either, which is ten seconds.
    expect((times[2] ?? 0) - (times[0] ?? 0)).toBeLessThan(8_000);
  });

  it('W51: a ping carries all ids, running, queued and being delivered, sorted, with encoded commas', async () => {
    const bench = await startWorkerBench();
    const jobs = ['c', 'a', 'b'].map((id) => ({ id, input: { do: 'hold' } }));
    bench.faults.add({ route: 'job-take', when: { nth: 1 }, do: { kind: 'answer', status: 200, json: jobs } });
    bench.faults.add({ route: 'job-done', do: { kind: 'answer', status: 503 } });
    bench.start();
    await until(() => bench.runner.started.length === 1);
    bench.runner.release('c');
    await until(() => bench.runner.started.length === 2);
    await until(() => pings(bench).some((target) => target.includes('job_id=a%2Cb%2Cc&')));
  });

  it('W55: pings that fail stop neither the worker nor the heartbeat, and an outage is told once', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'ping', when: { from: 1, to: 2 }, do: { kind: 'answer', status: 503 } });
    bench.faults.add({ route: 'ping', when: { nth: 3 }, do: { kind: 'reset' } });
    bench.start();
    await until(() => bench.log.some((line) => line.message === 'The heartbeat gets through again.'));
    expect(bench.lines('WARN')).toHaveLength(1);
    const id = await bench.run({ do: 'echo' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
  });

  it('pings answered 401 or 404 are not repeated before the interval', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'ping', do: { kind: 'answer', status: 404 } });
    const startedAt = Date.now();
    bench.start();
    await until(() => bench.seen('ping').length >= 2);
    expect((bench.seen('ping')[1]?.at ?? 0) - startedAt).toBeGreaterThanOrEqual(earliestMs);
  });

  it.each(['RUNPOD_AI_API_KEY', 'RUNPOD_POD_ID', 'RUNPOD_WEBHOOK_PING'])(
    'W56: without %s no ping is sent and the worker says so',
    async (name) => {
      const bench = await startWorkerBench({ environment: { [name]: undefined } });
      bench.start();
      await until(() => bench.seen('job-take').length > 0);
      await bench.worker.stop();
      expect(bench.seen('ping')).toEqual([]);
      expect(bench.lines('WARN').map((line) => line.message)).toContainEqual(expect.stringContaining('No heartbeat'));
    },
  );
});

describe('stop channel', () => {
  it('W57: it is polled at the address of job-take with the same query, also while idle', async () => {
    const bench = await startWorkerBench();
    bench.start();
    await until(() => bench.seen('job-stop').length > 0);
    expect(bench.seen('job-stop')[0]?.target).toBe('/v2/ep1/job-stop/pod-1?gpu=NVIDIA+GeForce+RTX+4090');
    expect(bench.runner.started).toEqual([]);
  });

  it('W58: a cancelled job is aborted and posts nothing; the jobs beside it finish', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 2 } });
    bench.start();
    const cancelled = await bench.run({ do: 'hold' });
    const other = await bench.run({ do: 'hold', value: 1 });
    await until(() => bench.runner.held().length === 2);
    await bench.bench.send(`cancel/${cancelled}`, { method: 'POST' });
    await until(() => bench.runner.finished.includes(cancelled));
    expect(bench.runner.held()).toEqual([other]);
    bench.runner.release();
    expect((await bench.ended(other)).output).toBe(1);
    await bench.worker.drain();
    expect(bench.results(cancelled)).toEqual([]);
    expect((await bench.ended(cancelled)).status).toBe('CANCELLED');
  });

  it('W58: a job that ignores the abort and returns a result posts nothing either', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'stubborn', value: 1 });
    await until(() => bench.runner.held().length === 1);
    await bench.bench.send(`cancel/${id}`, { method: 'POST' });
    await until(() => bench.log.some((line) => line.message === 'Stopped by RunPod.'));
    bench.runner.release();
    await bench.worker.drain();
    expect(bench.results(id)).toEqual([]);
  });

  it('a job that is stopped while its result waits to be posted again is not posted again', async () => {
    const bench = await startWorkerBench({ timings: { resultPause: { baseMs: 5_000, maxMs: 5_000, jitter: 0 } } });
    bench.faults.add({ route: 'job-done/result', do: { kind: 'answer', status: 503 } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    await until(() => bench.results(id).length === 1);
    await bench.bench.send(`cancel/${id}`, { method: 'POST' });
    await until(() => bench.log.some((line) => line.message === 'Not delivered.'));
    expect(bench.results(id)).toHaveLength(1);
  });

  it('a platform that names the same job again and again is asked with pauses', async () => {
    const bench = await startWorkerBench({
      configure: (config) => ({ ...config, timings: { ...config.timings, stopPauseMs: 400 } }),
    });
    bench.faults.add({ route: 'job-stop', do: { kind: 'answer', status: 200, json: { jobsToStop: ['unknown'] } } });
    const startedAt = performance.now();
    bench.start();
    await until(() => bench.seen('job-stop').length >= 4);
    expect(performance.now() - startedAt).toBeGreaterThan(1_150);
  });

  it('W59: a queued job that is stopped never starts', async () => {
    const bench = await startWorkerBench();
    const jobs = ['first', 'second', 'third'].map((id) => ({ id, input: { do: 'hold' } }));
    bench.faults.add({ route: 'job-take', when: { nth: 1 }, do: { kind: 'answer', status: 200, json: jobs } });
    bench.faults.add({
      route: 'job-stop',
      when: { nth: 1 },
      do: { kind: 'delay', ms: 100 },
    });
    bench.faults.add({
      route: 'job-stop',
      when: { nth: 1 },
      do: { kind: 'answer', status: 200, json: { jobsToStop: ['second'] } },
    });
    bench.start();
    await until(() => bench.log.some((line) => line.message === 'Stopped by RunPod.'));
    bench.runner.release();
    await until(() => bench.runner.started.length === 2);
    expect(bench.runner.started).toEqual(['first', 'third']);
  });

  it.each([
    ['ids that are not strings', { 'content-type': 'application/json' }, '{"jobsToStop":[5,null]}'],
    ['another shape', { 'content-type': 'application/json' }, '["a"]'],
    ['a page of HTML', { 'content-type': 'text/html' }, '<html>'],
    ['broken JSON', { 'content-type': 'application/json' }, '{'],
  ])('W60: %s are ignored with a warning', async (_what, headers, text) => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'job-stop', when: { nth: 1 }, do: { kind: 'answer', status: 200, headers, text } });
    bench.start();
    await until(() => bench.lines('WARN').length > 0);
    const id = await bench.run({ do: 'echo' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    expect(bench.lines('WARN')).toHaveLength(1);
  });

  it.each([
    [204, {}, 1_000],
    [500, {}, 1_000],
    [429, { 'retry-after': '1.5' }, 1_500],
  ])('W61: after %i it waits before it listens again', async (status, headers, atLeast) => {
    const bench = await startWorkerBench({ timings: { stopPauseMs: 1_000 } });
    bench.faults.add({ route: 'job-stop', when: { nth: 1 }, do: { kind: 'answer', status, headers } });
    bench.start();
    await until(() => bench.seen('job-stop').length >= 2);
    const [first, second] = bench.seen('job-stop');
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(atLeast - 10);
  });

  it('W62: without /job-take/ in the address there is no stop channel, and jobs run all the same', async () => {
    const bench = await startWorkerBench({
      configure: (config) => ({
        ...config,
        takeTemplate: config.takeTemplate.replace('/job-take/', '/job-take-batch/'),
      }),
    });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    expect(bench.seen('job-stop')).toEqual([]);
    expect(bench.lines('WARN')).toHaveLength(1);
  });
});
