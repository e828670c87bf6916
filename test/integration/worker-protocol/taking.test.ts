/** Promises W1 to W18 of the RunPod protocol notes §5: how the worker takes jobs. */
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../sandbox/runpod/index.ts';
import { startBench, until } from '../../support/runpod-emulator.ts';
import { startWorkerBench } from '../../support/worker-bench.ts';

const take = { route: 'job-take' } as const;

describe('taking jobs', () => {
  it('W1, W2: the first take asks for the worker by its pod id, keeps the query of the template with its plus signs, and says it is idle', async () => {
    const bench = await startWorkerBench();
    bench.start();
    await until(() => bench.seen('job-take').length > 0);
    expect(bench.seen('job-take')[0]?.target).toBe(
      '/v2/ep1/job-take/pod-1?gpu=NVIDIA+GeForce+RTX+4090&job_in_progress=0',
    );
  });

  it('W2, W3: with two free slots it asks for a batch, with one slot left for a single job, and says that it is busy', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 2 } });
    bench.start();
    await until(() => bench.seen('job-take').length > 0);
    expect(bench.seen('job-take')[0]?.target).toMatch(
      /\/job-take-batch\/pod-1\?gpu=NVIDIA\+GeForce\+RTX\+4090&batch_size=2&job_in_progress=0$/,
    );
    await bench.run({ do: 'hold' });
    await until(() => bench.seen('job-take').length > 1);
    expect(bench.seen('job-take')[1]?.target).toMatch(/\/job-take\/pod-1\?gpu=[^&]+&job_in_progress=1$/);
  });

  it('W4: without a pod id one made-up id is used in every address', async () => {
    const bench = await startWorkerBench({ environment: { RUNPOD_POD_ID: undefined } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    await bench.ended(id);
    const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
    const used = [...bench.seen('job-take'), ...bench.seen('job-stop'), ...bench.seen('job-done')];
    const ids = new Set(used.map((request) => request.workerId));
    expect([...ids]).toEqual([expect.stringMatching(uuid)]);
  });

  it.each([204, 400])(
    'W5, W6: %i means no job: nothing is logged above debug and the worker asks again',
    async (status) => {
      const bench = await startWorkerBench();
      bench.faults.add({ ...take, when: { from: 1, to: 3 }, do: { kind: 'answer', status } });
      bench.start();
      const id = await bench.run({ do: 'echo', value: 7 });
      expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 7 });
      expect([...bench.lines('WARN'), ...bench.lines('ERROR')]).toEqual([]);
    },
  );

  it('W8: after 429 no take is sent for the time that Retry-After names', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({
      ...take,
      when: { nth: 1 },
      do: { kind: 'answer', status: 429, headers: { 'retry-after': '1' } },
    });
    bench.start();
    await until(() => bench.seen('job-take').length >= 2);
    const [first, second] = bench.seen('job-take');
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(990);
  });

  it('W9: failing takes are repeated with growing pauses, one line tells of the outage, and recovery needs no restart', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...take, when: { from: 1, to: 3 }, do: { kind: 'answer', status: 500 } });
    bench.faults.add({ ...take, when: { from: 4, to: 5 }, do: { kind: 'reset' } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    const times = bench.seen('job-take').map((request) => request.at);
    const gap = (n: number) => (times[n] ?? 0) - (times[n - 1] ?? 0);
    expect(gap(5)).toBeGreaterThan(gap(1));
    expect(bench.lines('ERROR')).toHaveLength(1);
    expect(bench.log.map((line) => line.message)).toContain('Taking jobs works again.');
  });

  it('W9: a platform that refuses connections is asked again until it is there', async () => {
    const bench = await startWorkerBench();
    const port = Number(new URL(bench.emulator.url).port);
    await bench.emulator.close();
    bench.start();
    await until(() => bench.lines('ERROR').length > 0);
    expect(bench.lines('ERROR')[0]).toMatchObject({ code: 'PLATFORM_ERROR', reason: 'ECONNREFUSED' });
    expect(bench.worker.state.kind).toBe('starting');
    const again = await startBench({ clock: systemClock(), port });
    const id = await again.run({ input: { do: 'echo' } });
    await until(() => again.emulator.inspect.job(id)?.status === 'COMPLETED');
    expect(bench.worker.state.kind).toBe('ready');
  });

  it('W10: a take that hangs is abandoned after the time-out and sent again', async () => {
    const bench = await startWorkerBench({ timings: { takeTimeoutMs: 200 } });
    bench.faults.add({ ...take, when: { nth: 1 }, do: { kind: 'hang' } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
  });

  it('W11: an array with more jobs than asked for is worked off completely, never above the limit at once', async () => {
    const bench = await startWorkerBench();
    const jobs = ['a', 'b', 'c'].map((id) => ({ id, input: { do: 'wait', ms: 20 } }));
    bench.faults.add({ ...take, when: { nth: 1 }, do: { kind: 'answer', status: 200, json: jobs } });
    bench.start();
    await until(() => bench.runner.finished.length === 3);
    expect(bench.runner.started).toEqual(['a', 'b', 'c']);
    expect(bench.runner.mostRunning).toBe(1);
  });

  it('W12: a job that arrives without input runs with an empty one', async () => {
    const bench = await startWorkerBench({ endpoint: { dropEmptyInput: true } });
    bench.start();
    const id = await bench.run({});
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    expect(bench.runner.inputs.get(id)).toEqual({});
  });

  it.each([
    ['an object without id', { 'content-type': 'application/json' }, '{"input":{}}'],
    ['a page of HTML', { 'content-type': 'text/html' }, '<html>'],
    ['an empty body', { 'content-type': 'application/json' }, ''],
    ['broken JSON', { 'content-type': 'application/json' }, '{"id":'],
    ['an array with a number', { 'content-type': 'application/json' }, '[5]'],
  ])('W13, W14: %s is logged as an error and skipped, and the next job runs', async (_what, headers, text) => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...take, when: { nth: 1 }, do: { kind: 'answer', status: 200, headers, text } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    expect(bench.lines('ERROR')).toHaveLength(1);
  });

  it.each(['null', '5', '"text"', '[]'])('an answer of %s means no job', async (text) => {
    const bench = await startWorkerBench();
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    bench.faults.add({ ...take, when: { nth: 1 }, do: { kind: 'answer', status: 200, headers, text } });
    bench.start();
    await until(() => bench.seen('job-take').length >= 2);
    expect(bench.lines('ERROR')).toEqual([]);
  });

  it('W15: a job that is delivered twice while it runs is run once and posted once', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 2 } });
    bench.faults.add({ route: 'job-take/delivery', when: { nth: 1 }, do: { kind: 'deliver-twice' } });
    bench.start();
    const id = await bench.run({ do: 'hold', value: 1 });
    await until(() => bench.log.some((line) => line.message.startsWith('Delivered a second time')));
    bench.runner.release();
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    expect(bench.runner.started).toEqual([id]);
    expect(bench.results(id)).toHaveLength(1);
  });

  it('W15: a job that is delivered again just after it was completed is not run a second time', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'job-take/delivery', when: { nth: 1 }, do: { kind: 'deliver-twice' } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    await until(() => bench.log.some((line) => line.message.startsWith('Delivered a second time')));
    expect(bench.runner.started).toEqual([id]);
  });

  it('a platform that delivers the same job again and again is asked with pauses', async () => {
    const bench = await startWorkerBench({
      settings: { concurrency: 2 },
      configure: (config) => ({
        ...config,
        timings: { ...config.timings, emptyPause: { baseMs: 400, maxMs: 400, jitter: 0 } },
      }),
    });
    const job = { id: 'again', input: { do: 'hold' } };
    bench.faults.add({ route: 'job-take', do: { kind: 'answer', status: 200, json: [job] } });
    const startedAt = performance.now();
    bench.start();
    await until(() => bench.seen('job-take').length >= 5);
    // The first is news; a pause comes after each of the next three.
    expect(performance.now() - startedAt).toBeGreaterThan(1_150);
    expect(bench.runner.started).toEqual(['again']);
    bench.runner.release();
  });

  it('a batch of jobs, each as large as a job may be, is read', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 2 } });
    const jobs = ['first', 'second'].map((id) => ({ id, input: { do: 'hold', value: 'x'.repeat(19 * 1024 * 1024) } }));
    bench.faults.add({ route: 'job-take', when: { nth: 1 }, do: { kind: 'answer', status: 200, json: jobs } });
    bench.start();
    await until(() => bench.runner.started.length === 2);
    bench.runner.release();
  });

  it('a failed job that is retried on the platform, under the same id, runs again', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'fail' });
    expect((await bench.ended(id)).status).toBe('FAILED');
    await until(() => bench.log.some((line) => line.message === 'Delivered.'));
    await bench.bench.send(`retry/${id}`, { method: 'POST' });
    await until(() => bench.runner.started.length === 2);
  });

  it('the time limit of the job reaches the runner, and the result limit follows the route it was submitted on', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'echo' }, { policy: { executionTimeout: 30_000 } });
    await bench.ended(id);
    const context = bench.runner.contexts.get(id);
    expect(context).toMatchObject({ executionTimeoutMs: 30_000, resultLimitBytes: 10 * 1024 * 1024 });
    const answer = await bench.bench.send('runsync', { body: { input: { do: 'echo' } } });
    const sync = bench.runner.contexts.get(String(answer.json['id']));
    expect(sync).toMatchObject({ resultLimitBytes: 20 * 1024 * 1024 });
  });

  it('W17, W18: every request carries the raw key and offers no brotli', async () => {
    const bench = await startWorkerBench();
    bench.start();
    await bench.ended(await bench.run({ do: 'echo' }));
    await until(() => bench.seen('ping').length > 0);
    const routes = ['job-take', 'job-stop', 'job-done', 'ping'] as const;
    const requests = routes.flatMap((route) => bench.seen(route));
    expect(new Set(requests.map((request) => request.authorization))).toEqual(new Set(['raw']));
    expect(requests.every((request) => request.authorized)).toBe(true);
    expect(requests.filter((request) => /\bbr\b/.test(request.headers['accept-encoding'] ?? ''))).toEqual([]);
  });

  it('a wrong key gives one clear error that names the variable and never the key', async () => {
    const bench = await startWorkerBench({ environment: { RUNPOD_AI_API_KEY: 'wrong-key' } });
    bench.start();
    await until(() => bench.seen('job-take').length >= 3);
    expect(bench.lines('ERROR')).toHaveLength(1);
    expect(bench.lines('ERROR')[0]?.message).toContain('RUNPOD_AI_API_KEY');
    expect(JSON.stringify(bench.log)).not.toContain('wrong-key');
  });
});
