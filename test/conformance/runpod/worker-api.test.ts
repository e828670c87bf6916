// RunPod protocol notes §5, statements E107-E116: the face that workers call.
import { describe, expect, it } from 'vitest';
import { startBench, until } from '../../support/runpod-emulator.ts';

const MIB = 1024 * 1024;

describe('taking', () => {
  it('E107 job-take holds and answers 204 only after the hold', async () => {
    const bench = await startBench();
    const [single, batch] = [bench.worker().take(), bench.worker('w2').takeBatch(3)];
    await bench.waiting('job-take', 2);
    bench.clock.advance(24_999);
    expect([await bench.isSettled(single), await bench.isSettled(batch)]).toEqual([false, false]);
    bench.clock.advance(1);
    expect([(await single).status, (await batch).status]).toEqual([204, 204]);
    expect((await single).text).toBe('');
  });

  it('E107 a job submitted during the hold is delivered at once', async () => {
    const bench = await startBench();
    const take = bench.worker().take();
    await bench.waiting('job-take');
    const id = await bench.run({ input: { n: 1 } });
    const answer = await take; // the clock stands still: nothing but the submit can have ended the hold
    expect([answer.status, answer.json]).toEqual([200, { id, input: { n: 1 } }]);
    expect(answer.headers['content-type']).toBe('application/json');
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS', delayTime: 0, workerId: 'w1' });
  });

  it('E107 job-take-batch answers an array of up to batch_size jobs as soon as there is one', async () => {
    const bench = await startBench();
    const ids = [await bench.run(), await bench.run(), await bench.run()];
    const answer = await bench.worker().takeBatch(2);
    expect(answer.json).toEqual(ids.slice(0, 2).map((id) => ({ id, input: { n: 1 } })));
    expect((await bench.worker().takeBatch(2)).json).toEqual([{ id: ids[2], input: { n: 1 } }]);
    expect((await bench.worker().takeBatch(0)).status).toBe(400);
  });

  it('E107 the worker gets webhook, policy and s3Config as sent; the client never sees them, unknown keys nobody', async () => {
    const bench = await startBench();
    const s3Config = { accessId: 'a', accessSecret: 'b', bucketName: 'c', endpointUrl: 'http://127.0.0.1:1/' };
    const policy = { executionTimeout: 6000, ttl: 20_000, lowPriority: true };
    const id = await bench.run({ input: { a: 'ä' }, policy, s3Config, somethingElse: 1 });
    expect(await bench.worker().takeJob()).toEqual({ id, input: { a: 'ä' }, policy, s3Config });
    expect((await bench.status(id)).json).toEqual({ delayTime: 0, id, status: 'IN_PROGRESS', workerId: 'w1' });
  });

  it('E108 a take whose client disconnected before delivery does not consume the job', async () => {
    const bench = await startBench();
    const leaving = new AbortController();
    const gone = bench
      .worker('gone')
      .take(leaving.signal)
      .catch(() => 'gone');
    await bench.waiting('job-take');
    // Disconnect and submit in the same turn: the emulator learns of both at about the same time.
    leaving.abort();
    const id = await bench.run();
    expect(await gone).toBe('gone');
    expect((await bench.worker('here').takeJob()).id).toBe(id);
    expect((await bench.status(id)).json).toEqual({ delayTime: 0, id, status: 'IN_PROGRESS', workerId: 'here' });
    expect(bench.emulator.inspect.counters().jobs.retried).toBe(0);
  });

  it('E108 a take that half-closed its connection gets no job either', async () => {
    const bench = await startBench();
    const socket = await bench.socket();
    socket.write('GET /v2/ep1/job-take/half?gpu=X HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\n\r\n');
    await bench.waiting('job-take');
    socket.end();
    const id = await bench.run();
    expect((await bench.worker().takeJob()).id).toBe(id);
  });

  it('E108 a job whose delivery breaks off on the way goes to the next take, first in line and without a retry', async () => {
    const bench = await startBench({
      faults: [{ route: 'job-take/delivery', when: { nth: 1 }, do: { kind: 'delay', ms: 5000 } }],
    });
    const first = await bench.run();
    await bench.run();
    const leaving = new AbortController();
    const gone = bench
      .worker('gone')
      .take(leaving.signal)
      .catch(() => 'gone');
    await bench.waiting('fault-delay');
    expect((await bench.status(first)).json).toMatchObject({ status: 'IN_PROGRESS', workerId: 'gone' });
    leaving.abort();
    expect(await gone).toBe('gone');
    await until(() => bench.emulator.inspect.job(first)?.status === 'IN_QUEUE');
    expect((await bench.worker('here').takeJob()).id).toBe(first);
    expect((await bench.status(first)).json).not.toHaveProperty('retries');
    expect(bench.emulator.inspect.counters().jobs).toMatchObject({ retried: 0, inQueue: 1, inProgress: 1 });
  });

  it('E109 two workers never receive the same job while its lease is valid', async () => {
    const bench = await startBench();
    const takes = Array.from({ length: 8 }, (_, index) => bench.worker(`w${index}`).take());
    await bench.waiting('job-take', 8);
    const ids = await Promise.all(Array.from({ length: 8 }, () => bench.run()));
    const taken = await Promise.all(takes);
    expect(new Set(taken.map((answer) => answer.json['id']))).toEqual(new Set(ids));
    const more = bench.worker('late').take();
    await bench.waiting('job-take');
    bench.clock.advance(25_000);
    expect((await more).status).toBe(204);
  });
});

describe('leases', () => {
  it('E110 a job missing from pings for the lease time is requeued once, then FAILED with retries 1', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    bench.clock.advance(30_000);
    await worker.ping(`&job_id=other%2C${id}`); // renews
    bench.clock.advance(39_999);
    await worker.ping(); // names no job: renews nothing
    await bench.worker('w2').ping(`&job_id=${id}`); // not its holder: renews nothing
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    bench.clock.advance(1);
    expect((await bench.status(id)).json).toEqual({ id, retries: 1, status: 'IN_QUEUE' });
    expect(bench.emulator.inspect.counters().jobs).toMatchObject({ retried: 1, inQueue: 1 });
    bench.clock.advance(1000);
    expect((await bench.worker('w2').takeJob()).id).toBe(id);
    bench.clock.advance(40_000);
    expect((await bench.status(id)).json).toEqual({
      delayTime: 71_000,
      error: 'job timed out after 1 retries',
      executionTime: 40_000,
      id,
      retries: 1,
      status: 'FAILED',
      workerId: 'w2',
    });
    expect(bench.emulator.inspect.counters().jobs).toMatchObject({ retried: 1, failed: 1 });
  });

  it('E110 a job whose pings arrive is never taken away', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    for (let ping = 0; ping < 20; ping += 1) {
      bench.clock.advance(20_000);
      await worker.ping(`&job_id=${id}`);
    }
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    expect((await bench.status(id)).json).not.toHaveProperty('retries');
  });

  it('E110 chunks of a lost attempt are not mixed with those of the next', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    await bench.worker().chunk(id, 'of the first attempt');
    bench.clock.advance(40_000);
    await bench.worker('w2').takeJob();
    await bench.worker().chunk(id, 'late, of the first attempt');
    await bench.worker('w2').chunk(id, 'of the second attempt');
    expect((await bench.send(`stream/${id}`)).json).toMatchObject({ stream: [{ output: 'of the second attempt' }] });
  });

  it('E110 a worker that lost its lease may still be the first with a result; the job then leaves the queue', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker('slow').takeJob();
    bench.clock.advance(40_000);
    expect((await bench.worker('slow').done(id, { output: 'late but first' })).status).toBe(200);
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: 'late but first', retries: 1 });
    expect(bench.emulator.inspect.counters().jobs.inQueue).toBe(0);
  });
});

describe('results', () => {
  it('E111 job-done is parsed as JSON under the form content type', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    const output = { text: 'größer & größer = +%20', list: [1, null, true], nested: { '"': '\\"' } };
    await bench.worker().done(id, { output });
    expect(bench.emulator.inspect.requestsSeen('job-done')[0]?.headers).toMatchObject({
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output });
  });

  it('E111 an output comes back byte for byte, and without output the key is absent', async () => {
    const bench = await startBench();
    const [exact, none] = [await bench.run(), await bench.run()];
    const worker = bench.worker();
    await worker.takeBatch(2);
    await worker.done(exact, '{ "other":[1,{"output":"no"}], "output" : {"n": 1.50, "s":"\\u00e4\\\\"} }');
    await worker.done(none, {});
    expect((await bench.status(exact)).text).toContain('"output":{"n": 1.50, "s":"\\u00e4\\\\"},"status"');
    expect((await bench.status(none)).json).not.toHaveProperty('output');
    expect((await bench.status(none)).json).toMatchObject({ status: 'COMPLETED' });
  });

  it.each([
    ['a string error', { error: 'boom' }, { status: 'FAILED', error: 'boom' }],
    ['a string error with output', { error: 'boom', output: 1 }, { status: 'FAILED', error: 'boom', output: 1 }],
    ['an empty error', { error: '', output: 1 }, { status: 'COMPLETED', output: 1 }],
    ['an error object, which RunPod does not read', { error: { m: 1 }, output: 1 }, { status: 'COMPLETED' }],
    ['a null output', { output: null }, { status: 'COMPLETED', output: null }],
  ])('E111 %s ends as RunPod ends it', async (_name, body, view) => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    expect((await bench.worker().done(id, body)).status).toBe(200);
    expect((await bench.status(id)).json).toEqual({ delayTime: 0, executionTime: 0, id, workerId: 'w1', ...view });
  });

  it('E111 with strictErrors an error that is no string answers 400; broken JSON always does', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1', strictErrors: true }] });
    const id = await bench.run();
    const worker = bench.worker();
    expect((await worker.done(id, { output: 1 })).status).toBe(400); // nobody has taken it
    await worker.takeJob();
    for (const body of [{ error: { m: 1 } }, '{"output": NaN}', '{"output"', '[1]']) {
      expect((await worker.done(id, body)).status).toBe(400);
    }
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
  });

  it('E112 progress after the end is ignored, and a second result does not change the first', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    await worker.done(id, { output: 'first' });
    const before = await bench.status(id);
    expect((await worker.progress(id, '99%')).status).toBe(200);
    expect((await worker.done(id, { error: 'second' })).status).toBe(200);
    expect((await worker.chunk(id, 'late')).status).toBe(200);
    expect((await bench.status(id)).text).toBe(before.text);
    expect((await bench.send(`stream/${id}`)).json).toEqual({ status: 'COMPLETED', stream: [] });
    expect(bench.emulator.inspect.counters().jobs).toMatchObject({ completed: 1, failed: 0 });
  });

  it.each([
    ['run', 10 * MIB],
    ['runsync', 20 * MIB],
  ])(
    'E113 job-done of a /%s job over its limit answers 400, and the job goes on; at the limit it is taken',
    async (route, limit) => {
      const bench = await startBench();
      const submitted = bench.send(`${route}?wait=1000`, { body: { input: {} } });
      const { id } = await bench.worker().takeJob();
      const bodyOf = (size: number): string => `{"output":"${'B'.repeat(size - '{"output":""}'.length)}"}`;
      const over = await bench.worker().done(id, bodyOf(limit + 1));
      expect([over.status, over.json]).toEqual([400, { error: `exceeded max body size of ${limit / MIB}MiB` }]);
      expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
      expect((await bench.worker().done(id, bodyOf(limit))).status).toBe(200);
      expect(String((await bench.status(id)).json['output'])).toHaveLength(limit - '{"output":""}'.length);
      await submitted;
    },
  );

  it('E113 a chunk over 1 MiB answers 400, as does one without output', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    expect((await worker.chunk(id, 'C'.repeat(MIB))).status).toBe(400);
    const url = `job-stream/w1/${id}?gpu=LOCAL&isStream=false`;
    expect((await worker.send(url, { body: { metrics: {} } })).status).toBe(400);
    expect((await worker.send(url, { body: { output: 1, metrics: { t: 2 } } })).status).toBe(200);
    expect((await bench.send(`stream/${id}`)).json).toMatchObject({ stream: [{ output: 1, metrics: { t: 2 } }] });
  });

  it('E114 job-done and job-stream for an unknown id answer 404', async () => {
    const bench = await startBench();
    for (const body of [{ output: 1 }, { status: 'IN_PROGRESS', output: 1 }, { error: 'x' }]) {
      expect((await bench.worker().done('nobody', body)).status).toBe(404);
    }
    expect((await bench.worker().chunk('nobody', 1)).status).toBe(404);
  });
});

describe('workers', () => {
  it('E115 stopPod marks the worker as stopping: no further job under that registration', async () => {
    const bench = await startBench();
    const first = await bench.run();
    const worker = bench.worker();
    await worker.takeJob();
    expect((await worker.done(first, { output: 1, stopPod: true })).status).toBe(200);
    expect((await bench.status(first)).json).toMatchObject({ status: 'COMPLETED', output: 1 });
    expect(bench.emulator.inspect.workers()).toMatchObject([{ id: 'w1', stopping: true }]);
    const second = await bench.run();
    const refused = worker.take();
    await bench.waiting('job-take');
    expect(await bench.isSettled(refused)).toBe(false);
    expect((await bench.worker('w2').takeJob()).id).toBe(second);
    bench.clock.advance(25_000);
    expect((await refused).status).toBe(204);
    // The platform resets the pod: the same id registers anew and may work again.
    bench.emulator.releaseWorker('ep1', 'w1');
    const third = await bench.run();
    expect((await worker.takeJob()).id).toBe(third);
  });

  it('E115 a restarted worker is known by its new connection', async () => {
    const bench = await startBench();
    const id = await bench.run();
    const process = await bench.socket();
    const post = '{"output":1,"stopPod":true}';
    process.write('GET /v2/ep1/job-take/pod?x=1 HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\n\r\n');
    await bench.seen('job-take', 1);
    process.write(
      `POST /v2/ep1/job-done/pod/${id}?x=1 HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\ncontent-length: ${post.length}\r\n\r\n${post}`,
    );
    await bench.seen('job-done', 1);
    const next = await bench.run();
    process.destroy();
    expect((await bench.worker('pod').takeJob()).id).toBe(next);
  });

  it('E116 an unhealthy ping shows up in /health.workers.unhealthy until the worker takes a job again', async () => {
    const bench = await startBench();
    const worker = bench.worker();
    const unhealthy = await worker.ping(
      '&status=unhealthy&check=gpu&reason=RuntimeError%3A+no+GPU&runpod_version=1.12.0',
    );
    expect(unhealthy.status).toBe(200);
    expect((await bench.send('health')).json).toMatchObject({ workers: { unhealthy: 1, idle: 0, initializing: 0 } });
    expect(bench.emulator.inspect.workers()[0]?.unhealthy).toEqual({ check: 'gpu', reason: 'RuntimeError: no GPU' });
    await bench.run();
    await worker.takeJob();
    expect((await bench.send('health')).json).toMatchObject({ workers: { unhealthy: 0, running: 1 } });
  });

  it('E116 a worker that pings but takes nothing for seven minutes counts as unhealthy, a silent one is gone', async () => {
    const bench = await startBench();
    await bench.worker('stuck').ping();
    expect((await bench.send('health')).json).toMatchObject({ workers: { initializing: 1 } });
    bench.clock.advance(7 * 60_000 + 1);
    await bench.worker('stuck').ping();
    expect((await bench.send('health')).json).toMatchObject({ workers: { initializing: 0, unhealthy: 1 } });
  });
});
