// RunPod protocol notes §5, statements E100-E102: everything that ends by time. All of it on a virtual clock.
import { describe, expect, it } from 'vitest';
import { startBench } from '../../support/runpod-emulator.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

describe('results', () => {
  it('E100 the result of a /run job vanishes 30 minutes after it ended', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    await bench.worker().done(id, { output: 1 });
    bench.clock.advance(30 * MINUTE - 1);
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: 1 });
    bench.clock.advance(1);
    expect((await bench.status(id)).status).toBe(404);
    expect((await bench.send(`stream/${id}`)).status).toBe(404);
    expect((await bench.worker().done(id, { output: 2 })).status).toBe(404);
  });

  it('E100 the result of a /runsync job vanishes after one minute, later with a longer wait, after five at most', async () => {
    const bench = await startBench();
    const keptFor = async (query: string): Promise<number> => {
      const answer = bench.send(`runsync${query}`, { body: { input: {} } });
      const { id } = await bench.worker().takeJob();
      await bench.worker().done(id, { output: 1 });
      await answer;
      let seconds = 0;
      for (; (await bench.status(id)).status === 200; seconds += 30) bench.clock.advance(30 * SECOND);
      return seconds;
    };
    expect(await keptFor('')).toBe(60);
    expect(await keptFor('?wait=1000')).toBe(60);
    expect(await keptFor('?wait=120000')).toBe(120);
    expect(await keptFor('?wait=99999999')).toBe(300);
  });

  it('E100 /status?ttl makes a result vanish earlier, and never ends a running job', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    await bench.send(`status/${id}?ttl=6000`);
    bench.clock.advance(7 * SECOND);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    await bench.worker().done(id, { output: 1 });
    bench.clock.advance(5 * SECOND);
    await bench.send(`status/${id}?ttl=60000`);
    expect((await bench.status(id)).status).toBe(200);
    bench.clock.advance(1 * SECOND);
    expect((await bench.status(id)).status).toBe(404);
    const other = await bench.run();
    expect((await bench.send(`status/${other}?ttl=soon`)).status).toBe(400);
  });
});

describe('ttl', () => {
  it('E101 the end of a running job’s ttl makes /status answer 404 and signals stop', async () => {
    const bench = await startBench();
    const id = await bench.run({ input: {}, policy: { ttl: 10_000, executionTimeout: 600_000 } });
    const worker = bench.worker();
    const stop = worker.stop();
    await worker.takeJob();
    const held = bench.send(`status-sync/${id}`);
    await bench.waiting('job-change');
    bench.clock.advance(10 * SECOND - 1);
    expect((await bench.status(id)).status).toBe(200);
    bench.clock.advance(1);
    expect((await bench.status(id)).status).toBe(404);
    expect((await held).status).toBe(404);
    expect((await stop).json).toEqual({ jobsToStop: [id] });
    expect((await worker.done(id, { output: 'late' })).status).toBe(404);
  });

  it('a job that no worker takes within its ttl becomes TIMED_OUT, or is deleted where the endpoint says so', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1' }, { id: 'ep2', queuedTtlOutcome: 'deleted' }] });
    const body = { input: {}, policy: { ttl: 10_000 } };
    const id = await bench.run(body);
    const other = await bench.send(`${bench.emulator.baseUrl}/ep2/run`, { body });
    bench.clock.advance(10 * SECOND);
    expect((await bench.status(id)).json).toEqual({ id, status: 'TIMED_OUT' });
    expect((await bench.send(`${bench.emulator.baseUrl}/ep2/status/${String(other.json['id'])}`)).status).toBe(404);
    expect((await bench.send('health')).json).toMatchObject({ jobs: { inQueue: 0, failed: 1 } });
  });

  it('the default ttl is a day', async () => {
    const bench = await startBench();
    const id = await bench.run();
    bench.clock.advance(24 * 60 * MINUTE - 1);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_QUEUE' });
    bench.clock.advance(1);
    expect((await bench.status(id)).json).toMatchObject({ status: 'TIMED_OUT' });
  });
});

describe('executionTimeout', () => {
  it('E102 the end of executionTimeout gives FAILED with executionTimeout exceeded and signals stop', async () => {
    const bench = await startBench();
    const id = await bench.run({ input: {}, policy: { executionTimeout: 5000 } });
    const worker = bench.worker();
    bench.clock.advance(60 * SECOND); // time in the queue does not count
    await worker.takeJob();
    bench.clock.advance(4999);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    bench.clock.advance(1);
    expect((await bench.status(id)).json).toEqual({
      delayTime: 60_000,
      error: 'executionTimeout exceeded',
      executionTime: 5000,
      id,
      status: 'FAILED',
      workerId: 'w1',
    });
    expect((await worker.stop()).json).toEqual({ jobsToStop: [id] });
    await worker.done(id, { output: 'late' });
    expect((await bench.status(id)).json).toMatchObject({ status: 'FAILED' });
  });

  it('E102 a stop signal nobody fetched does not hit the job’s next attempt', async () => {
    const bench = await startBench();
    const id = await bench.run({ input: {}, policy: { executionTimeout: 5000 } });
    const worker = bench.worker();
    await worker.takeJob();
    bench.clock.advance(5000);
    await bench.send(`retry/${id}`, { method: 'POST' });
    await worker.takeJob();
    const stop = worker.stop();
    await bench.waiting('job-stop');
    bench.clock.advance(4999);
    expect(await bench.isSettled(stop)).toBe(false);
    bench.clock.advance(1);
    expect((await stop).json).toEqual({ jobsToStop: [id] });
  });

  it('E102 the endpoint’s own timeout holds when the request has none, and pings do not stretch it', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    for (let minute = 0; minute < 20; minute += 1) {
      expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
      await worker.ping(`&job_id=${id}`);
      bench.clock.advance(30 * SECOND);
    }
    expect((await bench.status(id)).json).toMatchObject({ status: 'FAILED', error: 'executionTimeout exceeded' });
  });

  it.each([
    ['executionTimeout under 5 s', { executionTimeout: 4999 }],
    ['executionTimeout over 7 days', { executionTimeout: 7 * 24 * 60 * MINUTE + 1 }],
    ['ttl under 10 s', { ttl: 9999 }],
    ['ttl over 7 days', { ttl: 7 * 24 * 60 * MINUTE + 1 }],
    ['a ttl that is no number', { ttl: '10000' }],
    ['a lowPriority that is no boolean', { lowPriority: 1 }],
    ['a policy that is no object', []],
  ])('a policy with %s answers 400', async (_name, policy) => {
    const bench = await startBench();
    expect((await bench.send('run', { body: { input: {}, policy } })).status).toBe(400);
    expect(bench.emulator.inspect.jobs()).toHaveLength(0);
  });

  it('a low-priority job runs when nothing of normal priority waits', async () => {
    const bench = await startBench();
    const low = await bench.run({ input: {}, policy: { lowPriority: true } });
    const normal = await bench.run();
    const worker = bench.worker();
    expect([(await worker.takeJob()).id, (await worker.takeJob()).id]).toEqual([normal, low]);
  });
});
