// RunPod protocol notes §5, statements E88-E105 without the webhook and SDK ones: the face that clients call.
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { startBench, until } from '../../support/runpod-emulator.ts';

const MIB = 1024 * 1024;
const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';

describe('submitting', () => {
  it('E88 /run answers 200 {id, status: IN_QUEUE} with an id of the form <uuid>-<suffix>', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1', region: 'e2' }] });
    const answer = await bench.send('run', { body: { input: { prompt: 'x' } } });
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json).toEqual({ id: expect.stringMatching(new RegExp(`^${UUID}-e2$`)), status: 'IN_QUEUE' });
  });

  it('E89 /runsync ids start with sync- and a wait that passes answers 200 with a non-terminal status', async () => {
    const bench = await startBench();
    const queued = bench.send('runsync?wait=2000', { body: { input: {} } });
    await bench.waiting('job-change');
    bench.clock.advance(1999);
    expect(await bench.isSettled(queued)).toBe(false);
    bench.clock.advance(1);
    const answer = await queued;
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ id: expect.stringMatching(new RegExp(`^sync-${UUID}-u1$`)), status: 'IN_QUEUE' });

    const running = bench.send('runsync', { body: { input: {} } });
    await bench.worker().takeBatch(2);
    bench.clock.advance(30_000);
    await bench.worker().ping(`&job_id=${bench.emulator.inspect.jobs()[0]?.id}`);
    bench.clock.advance(30_000);
    await bench.worker().ping(`&job_id=${bench.emulator.inspect.jobs()[0]?.id}`);
    bench.clock.advance(30_000);
    expect((await running).json).toMatchObject({ status: 'IN_PROGRESS', workerId: 'w1' });
  });

  it('E89 /runsync answers the finished job as soon as it ends', async () => {
    const bench = await startBench();
    const answer = bench.send('runsync', { body: { input: { n: 2 } } });
    const job = await bench.worker().takeJob();
    bench.clock.advance(1500);
    await bench.worker().done(job.id, { output: { r: 4 } });
    expect((await answer).json).toEqual({
      delayTime: 0,
      executionTime: 1500,
      id: job.id,
      output: { r: 4 },
      status: 'COMPLETED',
      workerId: 'w1',
    });
  });

  it.each([
    ['an array', [1]],
    ['a string', 'x'],
    ['a number', 7],
    ['a boolean', true],
  ])('E90 input that is %s answers 400 on /run and /runsync', async (_name, input) => {
    const bench = await startBench();
    for (const route of ['run', 'runsync']) {
      const answer = await bench.send(route, { body: { input } });
      expect([answer.status, answer.json]).toEqual([400, { error: 'input must be a JSON object' }]);
    }
    expect(bench.emulator.inspect.jobs()).toHaveLength(0);
  });

  it('E90 missing and null input are accepted, and reach the worker as an empty object', async () => {
    const bench = await startBench();
    const ids = [await bench.run({}), await bench.run({ input: null }), await bench.run({ input: {} })];
    const jobs = await bench.worker().takeBatch(3);
    expect(jobs.json).toEqual(ids.map((id) => ({ id, input: {} })));
  });

  it('E90 a body that is no JSON object answers 400', async () => {
    const bench = await startBench();
    for (const body of ['', '{', '[]', 'null', '{"input":{"x":NaN}}', Buffer.from([0x7b, 0xff, 0x7d])]) {
      expect((await bench.send('run', { method: 'POST', body })).status).toBe(400);
    }
  });

  it.each([
    ['run', '10MiB', 10 * MIB],
    ['runsync', '20MiB', 20 * MIB],
  ])('E91 a /%s body over %s answers 400 in RunPod’s words; one byte less is accepted', async (route, words, limit) => {
    const bench = await startBench();
    const frame = '{"input":{"image":""}}'.length;
    const bodyOf = (size: number): Buffer => Buffer.from(`{"input":{"image":"${'A'.repeat(size - frame)}"}}`);
    const over = await bench.send(route, { body: bodyOf(limit + 1) });
    expect([over.status, over.json]).toEqual([400, { error: `exceeded max body size of ${words}` }]);
    const exact = bench.send(route === 'run' ? 'run' : 'runsync?wait=1000', { body: bodyOf(limit) });
    if (route === 'runsync') {
      await bench.waiting('job-change');
      bench.clock.advance(1000);
    }
    expect((await exact).status).toBe(200);
  });
});

describe('keys and addresses', () => {
  it('E92 a missing or wrong key answers 401, as Bearer and raw, on both faces', async () => {
    const bench = await startBench({ workerKey: 'worker-sandbox' });
    for (const authorization of [null, 'wrong', 'Bearer wrong', 'Bearer ', 'Bearer worker-sandbox']) {
      const answer = await bench.send('health', { authorization });
      expect([answer.status, answer.json]).toEqual([401, { error: 'unauthorized' }]);
    }
    for (const authorization of ['sandbox', 'Bearer sandbox']) {
      expect((await bench.send('health', { authorization })).status).toBe(200);
      expect((await bench.send('ping/w1', { authorization })).status).toBe(401);
    }
    for (const authorization of ['worker-sandbox', 'Bearer worker-sandbox']) {
      expect((await bench.send('ping/w1', { authorization })).status).toBe(200);
    }
  });

  it('E92 an unknown endpoint, an unknown job and another endpoint’s job answer 404', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1' }, { id: 'ep2' }] });
    const id = await bench.run();
    const { baseUrl } = bench.emulator;
    expect((await bench.send(`${baseUrl}/nowhere/health`)).status).toBe(404);
    expect((await bench.send(`${baseUrl}/ep2/status/${id}`)).status).toBe(404);
    expect((await bench.send(`${baseUrl}/ep1/status/${id}`)).status).toBe(200);
    for (const route of ['status', 'status-sync', 'stream'])
      expect((await bench.send(`${route}/nope`)).status).toBe(404);
    for (const route of ['cancel', 'retry']) {
      expect((await bench.send(`${route}/nope`, { method: 'POST' })).status).toBe(404);
    }
  });
});

describe('reading', () => {
  it('E93 /status shows the latest progress as output while IN_PROGRESS, and executionTime with it', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    bench.clock.advance(250);
    await worker.takeJob();
    expect((await bench.status(id)).json).toEqual({ delayTime: 250, id, status: 'IN_PROGRESS', workerId: 'w1' });
    await worker.progress(id, '25%');
    bench.clock.advance(100);
    await worker.progress(id, { step: 2 });
    expect((await bench.status(id)).json).toEqual({
      delayTime: 250,
      executionTime: 100,
      id,
      output: { step: 2 },
      status: 'IN_PROGRESS',
      workerId: 'w1',
    });
  });

  it('E94 /status, /status-sync and /stream accept GET and POST', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    await bench.worker().done(id, { output: 1 });
    for (const method of ['GET', 'POST'] as const) {
      expect((await bench.send(`status/${id}`, { method })).json).toMatchObject({ status: 'COMPLETED', output: 1 });
      expect((await bench.send(`status-sync/${id}`, { method })).json).toMatchObject({
        status: 'COMPLETED',
        output: 1,
      });
      expect((await bench.send(`stream/${id}`, { method })).json).toEqual({ status: 'COMPLETED', stream: [] });
    }
    expect((await bench.send(`status/${id}`, { method: 'POST', body: {} })).status).toBe(200);
  });

  it('E94 /status-sync holds until the job ends or wait passes', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const early = bench.send(`status-sync/${id}?wait=5000`);
    await bench.waiting('job-change');
    bench.clock.advance(4999);
    expect(await bench.isSettled(early)).toBe(false);
    bench.clock.advance(1);
    expect((await early).json).toEqual({ id, status: 'IN_QUEUE' });
    const late = bench.send(`status-sync/${id}`);
    await bench.worker().takeJob();
    await bench.worker().done(id, { error: 'boom' });
    expect((await late).json).toMatchObject({ status: 'FAILED', error: 'boom' });
  });

  it('E95 /stream drains, holds when empty and always has a stream array', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    await worker.chunk(id, 'a');
    await worker.chunk(id, { b: 1 });
    expect((await bench.send(`stream/${id}`)).json).toEqual({
      status: 'IN_PROGRESS',
      stream: [{ output: 'a' }, { output: { b: 1 } }],
    });
    const empty = bench.send(`stream/${id}`);
    await bench.waiting('job-change');
    bench.clock.advance(9999);
    expect(await bench.isSettled(empty)).toBe(false);
    bench.clock.advance(1);
    expect((await empty).json).toEqual({ status: 'IN_PROGRESS', stream: [] });
    const woken = bench.send(`stream/${id}?wait=60000`);
    await bench.waiting('job-change');
    await worker.chunk(id, 'c');
    expect((await woken).json).toEqual({ status: 'IN_PROGRESS', stream: [{ output: 'c' }] });
  });

  it('E95 the first terminal /stream answer has all remaining chunks, the next one an empty array', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    await worker.chunk(id, 1);
    await worker.chunk(id, 2);
    await worker.done(id, { output: [] });
    expect((await bench.send(`stream/${id}`)).json).toEqual({
      status: 'COMPLETED',
      stream: [{ output: 1 }, { output: 2 }],
    });
    expect((await bench.send(`stream/${id}`)).json).toEqual({ status: 'COMPLETED', stream: [] });
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: [] });
  });

  it('E95 chunks of a reader that went away before they could be written go to the next one', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    const leaving = new AbortController();
    const gone = bench.send(`stream/${id}`, { signal: leaving.signal }).catch(() => 'gone');
    await bench.waiting('job-change');
    leaving.abort();
    expect(await gone).toBe('gone');
    await bench.worker().chunk(id, 'kept');
    expect((await bench.send(`stream/${id}`)).json).toMatchObject({ stream: [{ output: 'kept' }] });
  });

  it('E95 chunks of a reader whose connection breaks in the middle of them go to the next one, in order', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    const chunks = Array.from({ length: 12 }, (_, n) => String(n).repeat(1_000_000 / String(n).length));
    for (const chunk of chunks) await bench.worker().chunk(id, chunk);
    const socket = await bench.socket();
    socket.write(`GET /v2/ep1/stream/${id} HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\n\r\n`);
    await once(socket, 'data');
    socket.resetAndDestroy();
    await until(() => bench.emulator.inspect.job(id)?.unreadChunks === 12);
    const { json } = await bench.send(`stream/${id}`);
    expect((json['stream'] as { output: string }[]).map(({ output }) => output.length)).toEqual(
      chunks.map((c) => c.length),
    );
    expect((json['stream'] as { output: string }[])[11]?.output.slice(0, 4)).toBe('1111');
  });
});

describe('changing', () => {
  it('E96 /cancel takes a queued job out of the queue and answers CANCELLED', async () => {
    const bench = await startBench();
    const [first, second] = [await bench.run(), await bench.run()];
    expect((await bench.send(`cancel/${first}`, { method: 'POST' })).json).toMatchObject({
      id: first,
      status: 'CANCELLED',
    });
    expect((await bench.worker().takeJob()).id).toBe(second);
    expect((await bench.status(first)).json).toMatchObject({ status: 'CANCELLED' });
  });

  it('E96 /cancel of a running job answers CANCELLED with its times and signals stop to its worker only', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    const [stop, otherStop] = [worker.stop(), bench.worker('w2').stop()];
    await worker.takeJob();
    bench.clock.advance(700);
    const answer = await bench.send(`cancel/${id}`, { body: {} });
    expect(answer.json).toEqual({ delayTime: 0, executionTime: 700, id, status: 'CANCELLED', workerId: 'w1' });
    expect((await stop).json).toEqual({ jobsToStop: [id] });
    expect(await bench.isSettled(otherStop)).toBe(false);
    bench.clock.advance(25_000);
    expect((await otherStop).status).toBe(204);
    // A stop is told once; a late result of the worker changes nothing.
    expect((await worker.done(id, { output: 'late' })).status).toBe(200);
    expect((await bench.status(id)).json).not.toHaveProperty('output');
    expect((await bench.send(`cancel/${id}`, { method: 'POST' })).json).toMatchObject({ status: 'CANCELLED' });
  });

  it('E97 /retry works for FAILED and TIMED_OUT only, keeps the id and the input, and clears the output', async () => {
    const bench = await startBench();
    const id = await bench.run({ input: { n: 5 } });
    const worker = bench.worker();
    expect((await bench.send(`retry/${id}`, { method: 'POST' })).status).toBe(400);
    await worker.takeJob();
    await worker.chunk(id, 'stale');
    expect((await bench.send(`retry/${id}`, { method: 'POST' })).status).toBe(400);
    await worker.done(id, { output: { half: true }, error: 'boom' });
    expect((await bench.send(`retry/${id}`, { method: 'POST' })).json).toEqual({ id, status: 'IN_QUEUE' });
    expect((await bench.status(id)).json).toEqual({ id, status: 'IN_QUEUE' });
    bench.clock.advance(100);
    expect(await worker.takeJob()).toEqual({ id, input: { n: 5 } });
    await worker.done(id, { output: 'ok' });
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: 'ok', delayTime: 100 });
    expect((await bench.send(`stream/${id}`)).json).toEqual({ status: 'COMPLETED', stream: [] });
    expect((await bench.send(`retry/${id}`, { method: 'POST' })).status).toBe(400);

    const timedOut = await bench.run({ input: {}, policy: { ttl: 10_000 } });
    bench.clock.advance(10_000);
    expect((await bench.status(timedOut)).json).toMatchObject({ status: 'TIMED_OUT' });
    expect((await bench.send(`retry/${timedOut}`, { method: 'POST' })).json).toEqual({
      id: timedOut,
      status: 'IN_QUEUE',
    });
  });

  it('E98 /purge-queue answers {removed, status: completed} and leaves running jobs alone', async () => {
    const bench = await startBench();
    const running = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    const queued = [await bench.run(), await bench.run({ input: {}, policy: { lowPriority: true } })];
    expect((await bench.send('purge-queue', { method: 'POST' })).json).toEqual({ removed: 2, status: 'completed' });
    expect((await bench.send('purge-queue', { body: {} })).json).toEqual({ removed: 0, status: 'completed' });
    for (const id of queued) expect((await bench.status(id)).json).toMatchObject({ status: 'CANCELLED' });
    await worker.done(running, { output: 'done' });
    expect((await bench.status(running)).json).toMatchObject({ status: 'COMPLETED', output: 'done' });
  });

  it('E99 /health has all five job and six worker counters, and ready equals idle', async () => {
    const bench = await startBench();
    const [done, failed] = [await bench.run(), await bench.run()];
    const [busy, idle] = [bench.worker('busy'), bench.worker('idle')];
    await busy.takeBatch(2);
    await busy.done(done, { output: 1 });
    await busy.done(failed, { error: 'x' });
    await bench.run();
    await busy.takeJob();
    const waiting = idle.take();
    await bench.seen('job-take', 3);
    await bench.worker('booting').ping();
    await bench.run({ input: {}, policy: { lowPriority: true } });
    expect((await waiting).status).toBe(200);
    await bench.run();
    const { json } = await bench.send('health');
    expect(json).toEqual({
      jobs: { completed: 1, failed: 1, inProgress: 2, inQueue: 1, retried: 0 },
      workers: { idle: 0, initializing: 1, ready: 0, running: 2, throttled: 0, unhealthy: 0 },
    });
    await idle.done(String(bench.emulator.inspect.workers().find(({ id }) => id === 'idle')?.jobIds[0]), { output: 2 });
    expect((await bench.send('health')).json).toMatchObject({ workers: { idle: 1, ready: 1, running: 1 } });
  });

  it('/requests lists every job newest first', async () => {
    const bench = await startBench();
    const [first, second] = [await bench.run(), await bench.run()];
    await bench.worker().takeJob();
    expect((await bench.send('requests')).json).toEqual({
      requests: [
        { id: second, status: 'IN_QUEUE' },
        { delayTime: 0, id: first, status: 'IN_PROGRESS', workerId: 'w1' },
      ],
    });
  });
});

describe('limits', () => {
  it('E105 rate limits are off by default and can be switched on: /purge-queue twice in ten seconds, then 429', async () => {
    const open = await startBench();
    for (let n = 0; n < 5; n += 1) expect((await open.send('purge-queue', { method: 'POST' })).status).toBe(200);
    const bench = await startBench({ endpoints: [{ id: 'ep1', rateLimits: true }] });
    const purge = () => bench.send('purge-queue', { method: 'POST' });
    expect([(await purge()).status, (await purge()).status]).toEqual([200, 200]);
    bench.clock.advance(4000);
    const refused = await purge();
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '6']);
    expect(refused.json).toEqual({ error: 'rate limit exceeded' });
    bench.clock.advance(6000);
    expect((await purge()).status).toBe(200);
  });

  it('E105 the limit on concurrent requests counts held ones and frees their place when they end', async () => {
    const limits = { 'status-sync': { perTenSeconds: 100, concurrent: 2 } };
    const bench = await startBench({ endpoints: [{ id: 'ep1', rateLimits: limits }] });
    const id = await bench.run();
    const held = [bench.send(`status-sync/${id}`), bench.send(`status-sync/${id}`)];
    await bench.waiting('job-change', 2);
    expect((await bench.send(`status-sync/${id}`)).status).toBe(429);
    expect((await bench.status(id)).status).toBe(200);
    await bench.send(`cancel/${id}`, { method: 'POST' });
    await Promise.all(held);
    await until(async () => (await bench.send(`status-sync/${id}`)).status === 200);
  });

  it('a submit beyond the queue ceiling answers 429', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1', maxQueuedJobs: 1 }] });
    await bench.run();
    expect((await bench.send('run', { body: { input: {} } })).status).toBe(429);
    await bench.worker().takeJob();
    expect((await bench.send('run', { body: { input: {} } })).status).toBe(200);
  });
});
