// RunPod protocol notes §5, statement E117, and §2.23.10: every fault does what it says, on the occurrence it names.
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { faultScriptSchema, ROUTES } from '../../../sandbox/runpod/index.ts';
import { type Bench, startBench } from '../../support/runpod-emulator.ts';

/** What a client sees of a request that may break: its status, or the error's code. */
async function outcome(promise: Promise<{ status: number }>): Promise<number | string> {
  try {
    return (await promise).status;
  } catch (error) {
    return String((error as { code?: unknown }).code ?? error);
  }
}

/** One valid request for each route the emulator serves, with the objects it needs in place. */
async function requestTo(bench: Bench, route: string): Promise<{ status: number }> {
  const worker = bench.worker();
  const id = bench.emulator.inspect.jobs()[0]?.id ?? (await bench.run());
  const post = { method: 'POST' } as const;
  switch (route) {
    case 'run':
      return bench.send('run', { body: { input: {} } });
    case 'runsync': {
      const answer = bench.send('runsync?wait=1000', { body: { input: {} } });
      return answer;
    }
    case 'status':
    case 'status-sync':
    case 'stream':
      return bench.send(`${route}/${id}`);
    case 'cancel':
    case 'retry':
      return bench.send(`${route}/${id}`, post);
    case 'purge-queue':
      return bench.send('purge-queue', post);
    case 'health':
    case 'requests':
      return bench.send(route);
    case 'job-take':
      return worker.take();
    case 'job-done':
      return worker.done(id, { output: 1 });
    case 'job-stream':
      return worker.chunk(id, 1);
    case 'ping':
      return worker.ping();
    case 'job-stop':
      return worker.stop();
    default:
      throw new Error(`no request for ${route}`);
  }
}

describe('where a fault strikes', () => {
  it.each(ROUTES.filter((route) => route !== 'webhook'))(
    'E117 any status with any headers and body can be forced on %s, and a reset',
    async (route) => {
      const bench = await startBench();
      await bench.run();
      const rule = { route, when: { nth: 1 } } as const;
      const headers = { 'retry-after': '7', 'content-type': 'text/html' };
      bench.emulator.faults.add(
        { ...rule, do: { kind: 'answer', status: 503, headers, text: '<h1>bad</h1>' } },
        { route, when: { nth: 2 }, do: { kind: 'reset' } },
      );
      const answer = (await requestTo(bench, route)) as Awaited<ReturnType<Bench['send']>>;
      expect([answer.status, answer.text, answer.headers['retry-after'], answer.headers['content-type']]).toEqual([
        503,
        '<h1>bad</h1>',
        '7',
        'text/html',
      ]);
      expect(await outcome(requestTo(bench, route))).toBe('ECONNRESET');
      expect(bench.emulator.faults.hits().map(({ kind, subject }) => [kind, subject.route])).toEqual([
        ['answer', route],
        ['reset', route],
      ]);
      expect(bench.emulator.inspect.jobs()).toHaveLength(1);
    },
  );

  it('E117 progress and results, and deliveries, are targets of their own', async () => {
    const bench = await startBench({
      faults: [
        { name: 'progress', route: 'job-done/progress', do: { kind: 'answer', status: 500 } },
        { name: 'result', route: 'job-done/result', when: { nth: 1 }, do: { kind: 'answer', status: 502 } },
        { name: 'take', route: 'job-take/delivery', when: { nth: 1 }, do: { kind: 'answer', status: 400 } },
      ],
    });
    const worker = bench.worker();
    const empty = worker.take();
    await bench.waiting('job-take');
    bench.clock.advance(25_000);
    expect((await empty).status).toBe(204);
    const id = await bench.run();
    expect((await worker.take()).status).toBe(400);
    expect((await worker.takeJob()).id).toBe(id); // `before`: the job went back to the front
    expect((await worker.progress(id, 1)).status).toBe(500);
    expect((await worker.done(id, { output: 1 })).status).toBe(502);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    expect((await worker.done(id, { output: 1 })).status).toBe(200);
    expect(bench.emulator.faults.hits('take')).toHaveLength(1);
    expect(bench.emulator.faults.hits('progress')[0]?.subject).toMatchObject({
      jobId: id,
      workerId: 'w1',
      endpointId: 'ep1',
    });
  });

  it('E117 a rule can be bound to a job, a worker, an endpoint or a predicate', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1' }, { id: 'ep2' }] });
    const [a, b] = [await bench.run(), await bench.run()];
    const boom = { kind: 'answer', status: 500 } as const;
    bench.emulator.faults.add(
      { route: 'status', jobId: a, do: boom },
      { route: 'ping', workerId: 'w2', do: boom },
      { route: 'health', endpointId: 'ep2', do: boom },
      { route: '*', match: ({ route, jobId }) => route === 'stream' && jobId === b, do: boom },
    );
    expect([(await bench.status(a)).status, (await bench.status(b)).status]).toEqual([500, 200]);
    expect([(await bench.worker().ping()).status, (await bench.worker('w2').ping()).status]).toEqual([200, 500]);
    expect((await bench.send('health')).status).toBe(200);
    expect((await bench.send(`${bench.emulator.baseUrl}/ep2/health`)).status).toBe(500);
    expect((await bench.send(`stream/${b}`)).status).toBe(500);
    expect((await bench.send(`cancel/${b}`, { method: 'POST' })).status).toBe(200);
  });
});

describe('which occurrence', () => {
  it.each([
    ['the nth', { nth: 2 }, [200, 500, 200, 200, 200, 200]],
    ['from..to', { from: 2, to: 4 }, [200, 500, 500, 500, 200, 200]],
    ['from on', { from: 5 }, [200, 200, 200, 200, 500, 500]],
    ['every third', { every: 3 }, [200, 200, 500, 200, 200, 500]],
    ['every second after one', { every: 2, offset: 1 }, [200, 200, 500, 200, 500, 200]],
    ['always', 'always' as const, [500, 500, 500, 500, 500, 500]],
  ])('E117 %s request is hit and no other', async (_name, when, expected) => {
    const bench = await startBench({ faults: [{ route: 'health', when, do: { kind: 'answer', status: 500 } }] });
    const statuses: number[] = [];
    for (let n = 0; n < expected.length; n += 1) statuses.push((await bench.send('health')).status);
    expect(statuses).toEqual(expected);
    bench.emulator.faults.clear();
    expect((await bench.send('health')).status).toBe(200);
    expect(bench.emulator.faults.hits()).toEqual([]);
  });

  it('E117 a rule can be taken out again', async () => {
    const bench = await startBench();
    const remove = bench.emulator.faults.add({ route: 'health', do: { kind: 'answer', status: 500 } });
    expect((await bench.send('health')).status).toBe(500);
    remove();
    expect((await bench.send('health')).status).toBe(200);
  });
});

describe('what goes wrong', () => {
  it('E117 delay answers late, and adds up with other faults', async () => {
    const bench = await startBench({
      faults: [
        { route: 'health', do: { kind: 'delay', ms: 3000 } },
        { route: 'health', when: { nth: 2 }, do: { kind: 'answer', status: 503 } },
      ],
    });
    for (const status of [200, 503]) {
      const answer = bench.send('health');
      await bench.waiting('fault-delay');
      bench.clock.advance(2999);
      expect(bench.clock.pending('fault-delay')).toBe(1);
      bench.clock.advance(1);
      expect((await answer).status).toBe(status);
    }
  });

  it('E117 hang never answers, before or after the request took effect', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    bench.emulator.faults.add(
      { route: 'job-done', when: { nth: 1 }, do: { kind: 'hang' } },
      { route: 'job-done', when: { nth: 2 }, do: { kind: 'hang', at: 'after' } },
    );
    const first = bench.worker().done(id, { output: 1 });
    await bench.seen('job-done', 1);
    expect(await bench.isSettled(first)).toBe(false);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    const second = bench.worker().done(id, { output: 2 });
    await bench.seen('job-done', 2);
    expect(await bench.isSettled(second)).toBe(false);
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: 2 });
    await bench.emulator.close();
    expect(await outcome(first)).not.toBe(200);
    expect(await outcome(second)).not.toBe(200);
  });

  it.each(['drop', 'reset'] as const)(
    'E117 %s before loses the request, %s after loses the answer only',
    async (kind) => {
      const bench = await startBench();
      const id = await bench.run();
      await bench.worker().takeJob();
      bench.emulator.faults.add(
        { route: 'job-done', when: { nth: 1 }, do: { kind, at: 'before' } },
        { route: 'job-done', when: { nth: 2 }, do: { kind, at: 'after' } },
      );
      const code = kind === 'drop' ? 'UND_ERR_SOCKET' : 'ECONNRESET';
      expect(await outcome(bench.worker().done(id, { output: 1 }))).toBe(code);
      expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
      expect(await outcome(bench.worker().done(id, { output: 2 }))).toBe(code);
      expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: 2 });
    },
  );

  it('E117 a submit whose answer is lost is queued all the same', async () => {
    const bench = await startBench({
      faults: [{ route: 'run', when: { nth: 1 }, do: { kind: 'reset', at: 'after' } }],
    });
    expect(await outcome(bench.send('run', { body: { input: {} } }))).toBe('ECONNRESET');
    expect(bench.emulator.inspect.jobs()).toMatchObject([{ status: 'IN_QUEUE' }]);
  });

  it('E117 a take whose answer is lost on the way leaves the job to its lease', async () => {
    const bench = await startBench({
      faults: [{ route: 'job-take/delivery', when: { nth: 1 }, do: { kind: 'drop', at: 'after' } }],
    });
    const id = await bench.run();
    expect(await outcome(bench.worker().take())).toBe('UND_ERR_SOCKET');
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_PROGRESS' });
    bench.clock.advance(40_000);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_QUEUE', retries: 1 });
  });

  it('E117 answer after replaces the answer of a request that took effect: 302, 429 with Retry-After, an empty 200', async () => {
    const bench = await startBench();
    const id = await bench.run();
    await bench.worker().takeJob();
    bench.emulator.faults.add(
      {
        route: 'job-done',
        when: { nth: 1 },
        do: { kind: 'answer', at: 'after', status: 302, headers: { Location: '/x' } },
      },
      {
        route: 'run',
        when: { nth: 1 },
        do: { kind: 'answer', status: 429, headers: { 'Retry-After': '3' }, json: { error: 'slow' } },
      },
      { route: 'run', when: { nth: 2 }, do: { kind: 'answer', at: 'after', status: 200, json: { error: 'no id' } } },
    );
    const moved = await bench.worker().done(id, { output: 1 });
    expect([moved.status, moved.headers['location']]).toEqual([302, '/x']);
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED' });
    const busy = await bench.send('run', { body: { input: {} } });
    expect([busy.status, busy.headers['retry-after'], busy.json]).toEqual([429, '3', { error: 'slow' }]);
    expect((await bench.send('run', { body: { input: {} } })).json).toEqual({ error: 'no id' });
    expect(bench.emulator.inspect.jobs()).toHaveLength(2);
  });

  it('E117 truncate announces the whole body and closes after its first bytes', async () => {
    const bench = await startBench({ faults: [{ route: 'health', do: { kind: 'truncate', bytes: 12 } }] });
    const socket = await bench.socket();
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.write('GET /v2/ep1/health HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\n\r\n');
    await once(socket, 'close');
    const [head = '', body = ''] = Buffer.concat(received).toString().split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(Number(/content-length: (\d+)/.exec(head)?.[1])).toBeGreaterThan(100);
    expect(body).toBe('{"jobs":{"co');
    expect(await outcome(bench.send('health'))).toBe('UND_ERR_SOCKET');
  });

  it('E117 deliver-twice hands the same job to a second take without touching it', async () => {
    const bench = await startBench({
      faults: [{ route: 'job-take/delivery', when: { nth: 1 }, do: { kind: 'deliver-twice' } }],
    });
    const id = await bench.run({ input: { n: 9 } });
    expect(await bench.worker().takeJob()).toEqual({ id, input: { n: 9 } });
    expect(await bench.worker('w2').takeJob()).toEqual({ id, input: { n: 9 } });
    expect((await bench.status(id)).json).toMatchObject({ workerId: 'w1' });
    expect(bench.emulator.inspect.job(id)).toMatchObject({ attempts: 1, retries: 0 });
    const third = bench.worker('w3').take();
    await bench.waiting('job-take');
    bench.clock.advance(25_000);
    expect((await third).status).toBe(204);
  });

  it('E117 drop-empty-input leaves out an empty input, by fault and by setting, and only an empty one', async () => {
    const bench = await startBench({
      faults: [{ route: 'job-take/delivery', when: { from: 1, to: 2 }, do: { kind: 'drop-empty-input' } }],
      endpoints: [{ id: 'ep1' }, { id: 'ep2', dropEmptyInput: true }],
    });
    const worker = bench.worker();
    const ids = [await bench.run({ input: {} }), await bench.run({ input: { a: {} } }), await bench.run({ input: {} })];
    expect(await worker.takeJob()).toEqual({ id: ids[0] });
    expect(await worker.takeJob()).toEqual({ id: ids[1], input: { a: {} } });
    expect(await worker.takeJob()).toEqual({ id: ids[2], input: {} });
    const url = `${bench.emulator.baseUrl}/ep2`;
    const other = await bench.send(`${url}/run`, { body: {} });
    expect((await bench.send(`${url}/job-take/w1?x=1`)).json).toEqual({ id: other.json['id'] });
  });

  it('E117 lose-lease answers the ping and renews nothing', async () => {
    const bench = await startBench({ faults: [{ route: 'ping', do: { kind: 'lose-lease' } }] });
    const id = await bench.run();
    await bench.worker().takeJob();
    bench.clock.advance(30_000);
    expect((await bench.worker().ping(`&job_id=${id}`)).status).toBe(200);
    bench.clock.advance(10_000);
    expect((await bench.status(id)).json).toMatchObject({ status: 'IN_QUEUE', retries: 1 });
  });

  it('E117 webhooks can be kept from leaving, or their answers be lost', async () => {
    const bench = await startBench({
      faults: [
        { route: 'webhook', when: { nth: 1 }, do: { kind: 'reset' } },
        { route: 'webhook', when: { nth: 2 }, do: { kind: 'answer', status: 204 } },
      ],
    });
    // Nothing listens there: both attempts end without a connection.
    const id = await bench.run({ input: {}, webhook: 'http://127.0.0.1:9/' });
    await bench.send(`cancel/${id}`, { method: 'POST' });
    await bench.waiting('webhook-retry');
    bench.clock.advance(10_000);
    await bench.emulator.webhooksSettled();
    expect(bench.emulator.faults.hits().map(({ kind }) => kind)).toEqual(['reset', 'answer']);
  });
});

describe('scripts as data', () => {
  it('a script in JSON is checked, with defaults, and refuses what it does not know', () => {
    const script = faultScriptSchema.parse(
      JSON.parse(
        '[{"route":["run","runsync"],"when":{"every":2},"do":{"kind":"reset"}},{"route":"*","do":{"kind":"delay","ms":5}}]',
      ),
    );
    expect(script).toEqual([
      { route: ['run', 'runsync'], when: { every: 2 }, do: { kind: 'reset', at: 'before' } },
      { route: '*', when: 'always', do: { kind: 'delay', ms: 5 } },
    ]);
    for (const bad of [
      { route: 'nowhere', do: { kind: 'reset' } },
      { route: 'run', do: { kind: 'explode' } },
      { route: 'run', do: { kind: 'delay' } },
      { route: 'run', when: { nth: 0 }, do: { kind: 'hang' } },
      { route: 'run', typo: 1, do: { kind: 'hang' } },
    ]) {
      expect(faultScriptSchema.safeParse([bad]).success).toBe(false);
    }
  });
});
