// How the emulator starts, limits what it reads, and ends.
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { type EmulatorEvent, startRunpodEmulator } from '../../../sandbox/runpod/index.ts';
import { startBench, until } from '../../support/runpod-emulator.ts';

const MIB = 1024 * 1024;

/** Kinds of handles that keep a process alive, without those of the test runner itself. */
function openHandles(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPServerWrap' || kind === 'TCPSocketWrap');
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes of buffers that somebody still holds. */
function memoryInUse(): number {
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

describe('bodies', () => {
  const head = 'POST /v2/ep1/run HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\n';

  it('E91 a chunked body of 10 MiB + 1 is refused while it is still being sent, and the connection goes on', async () => {
    const bench = await startBench();
    const socket = await bench.socket();
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      received += text;
    });
    socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    const piece = Buffer.alloc(MIB, 0x20);
    for (let sent = 0; sent < 10; sent += 1)
      socket.write(Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]));
    socket.write('1\r\n \r\n'); // the one byte too many; the body itself is not over
    await until(() => received.includes('exceeded max body size of 10MiB'));
    expect(received).toMatch(/^HTTP\/1\.1 400 /);
    // The rest of it, more than any buffer on the way holds, is read and dropped.
    for (let sent = 0; sent < 30; sent += 1) {
      const more = Buffer.concat([Buffer.from('100000\r\n'), piece, Buffer.from('\r\n')]);
      if (!socket.write(more)) await once(socket, 'drain');
    }
    socket.write('0\r\n\r\n');
    socket.write('GET /v2/ep1/health HTTP/1.1\r\nhost: x\r\nauthorization: sandbox\r\n\r\n');
    await until(() => received.includes('"inQueue":0'));
  });

  it('E91 a body announced as 10 MiB + 1 is refused before its first byte', async () => {
    const bench = await startBench();
    const socket = await bench.socket();
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      received += text;
    });
    socket.write(`${head}content-length: ${10 * MIB + 1}\r\n\r\n`);
    await until(() => received.includes('exceeded max body size of 10MiB'));
  });

  it('E91 a refused body is thrown away, not collected', async () => {
    const bench = await startBench();
    const socket = await bench.socket();
    socket.resume();
    const before = memoryInUse();
    socket.write(`${head}content-length: ${200 * MIB}\r\n\r\n`);
    const piece = Buffer.alloc(MIB, 0x20);
    let peak = 0;
    for (let sent = 1; sent <= 200; sent += 1) {
      if (!socket.write(piece)) await once(socket, 'drain');
      if (sent % 20 === 0) peak = Math.max(peak, memoryInUse() - before);
    }
    await until(() => socket.writableLength === 0);
    expect(peak).toBeLessThan(32 * MIB);
  });

  it('a client that goes away in the middle of its body leaves nothing behind', async () => {
    const bench = await startBench();
    const socket = await bench.socket();
    socket.write(`${head}content-length: 1000\r\n\r\n{"input":`);
    await bench.seen('run', 1);
    socket.destroy();
    expect(await bench.run()).toMatch(/-u1$/);
    expect(bench.emulator.inspect.jobs()).toHaveLength(1);
  });
});

describe('start and end', () => {
  it('close() ends held requests at once and leaves no socket open', async () => {
    const before = openHandles();
    const bench = await startBench();
    const id = await bench.run();
    const worker = bench.worker('idle');
    await bench.worker().takeJob();
    const held = [
      worker.take(),
      worker.takeBatch(4),
      worker.stop(),
      bench.send(`stream/${id}`),
      bench.send(`status-sync/${id}`),
      bench.send('runsync', { body: { input: {}, policy: { lowPriority: true } } }),
    ];
    const ends = held.map((request) => request.then(() => 'answered').catch(() => 'ended'));
    await bench.waiting('job-change', 2);
    await bench.waiting('job-stop');
    const startedAt = performance.now();
    await bench.emulator.close();
    await bench.emulator.close();
    expect(performance.now() - startedAt).toBeLessThan(2000);
    expect(await Promise.all(ends)).toContain('ended');
    await bench.agent.destroy();
    await until(() => openHandles().length <= before.length);
    expect(bench.clock.pending()).toBe(0);
  });

  it('an abort signal closes it, before and after the start', async () => {
    const leaving = new AbortController();
    const bench = await startBench({ signal: leaving.signal });
    const take = bench
      .worker()
      .take()
      .catch(() => 'ended');
    await bench.waiting('job-take');
    leaving.abort();
    expect(await take).toBe('ended');
    await expect(startRunpodEmulator({ signal: AbortSignal.abort() })).rejects.toThrow();
  });

  it('await using closes it', async () => {
    let url = '';
    {
      await using emulator = await startRunpodEmulator();
      url = emulator.url;
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    }
    const bench = await startBench();
    await expect(bench.send(`${url}/v2/ep1/health`)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('hands out the environments of a worker and a client, placeholders literal', async () => {
    const bench = await startBench({ endpoints: [{ id: 'ep1', pingIntervalMs: 2500 }], workerKey: 'worker-sandbox' });
    const { baseUrl } = bench.emulator;
    const gpu = 'NVIDIA GeForce RTX 4090';
    expect(bench.emulator.workerEnvironment({ endpointId: 'ep1', podId: 'pod-1', gpu })).toMatchObject({
      RUNPOD_AI_API_KEY: 'worker-sandbox',
      RUNPOD_POD_ID: 'pod-1',
      RUNPOD_ENDPOINT_ID: 'ep1',
      RUNPOD_PING_INTERVAL: '2500',
      RUNPOD_WEBHOOK_GET_JOB: `${baseUrl}/ep1/job-take/$ID?gpu=NVIDIA+GeForce+RTX+4090`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${baseUrl}/ep1/job-done/$RUNPOD_POD_ID/$ID?gpu=NVIDIA+GeForce+RTX+4090`,
      RUNPOD_WEBHOOK_POST_STREAM: `${baseUrl}/ep1/job-stream/$RUNPOD_POD_ID/$ID?gpu=NVIDIA+GeForce+RTX+4090`,
      RUNPOD_WEBHOOK_PING: `${baseUrl}/ep1/ping/$RUNPOD_POD_ID?gpu=NVIDIA+GeForce+RTX+4090`,
    });
    expect(bench.emulator.clientEnvironment({ endpointId: 'ep1' })).toMatchObject({
      RUNPOD_API_KEY: 'sandbox',
      RUNPOD_ENDPOINT_ID: 'ep1',
      RUNPOD_BASE_URL: baseUrl,
      RUNPOD_ENDPOINT_BASE_URL: baseUrl,
    });
    expect(() => bench.emulator.endpointUrl('nope')).toThrow(/there are: ep1/);
  });

  it('settings it does not know, or twice the same endpoint, keep it from starting', async () => {
    await expect(startRunpodEmulator({ endpoints: [{ id: 'ep1', takeHoldMs: 90_000 }] })).rejects.toThrow();
    await expect(startRunpodEmulator({ endpoints: [JSON.parse('{"id":"a","typo":1}')] })).rejects.toThrow();
    await expect(startRunpodEmulator({ endpoints: [{ id: 'a' }, { id: 'a' }] })).rejects.toThrow(/twice/);
    await expect(startRunpodEmulator({ endpoints: [] })).rejects.toThrow(/at least one/);
  });

  it('tells what happens: jobs, workers and requests, without keys and bodies', async () => {
    const events: EmulatorEvent[] = [];
    const bench = await startBench({ onEvent: (event) => events.push(event) });
    const id = await bench.run({ input: { secret: 'only-in-the-body' } });
    await bench.worker().takeJob();
    await bench.worker().done(id, { output: 1 });
    await until(() => events.filter((event) => event.type === 'request').length === 3);
    expect(events.filter((event) => event.type === 'job').map(({ from, to }) => [from, to])).toEqual([
      [undefined, 'IN_QUEUE'],
      ['IN_QUEUE', 'IN_PROGRESS'],
      ['IN_PROGRESS', 'COMPLETED'],
    ]);
    expect(events.filter((event) => event.type === 'worker')).toMatchObject([{ workerId: 'w1', change: 'registered' }]);
    const told = JSON.stringify([events, bench.emulator.inspect.requestsSeen()]);
    expect(told).not.toContain('only-in-the-body');
    expect(bench.emulator.inspect.requestsSeen('run')).toMatchObject([
      { authorization: 'bearer', authorized: true, body: undefined },
    ]);
    expect(bench.emulator.inspect.requestsSeen('job-take')).toMatchObject([
      { authorization: 'raw', workerId: 'w1', status: 200 },
    ]);
    expect(bench.emulator.inspect.requestsSeen('run')[0]?.headers).not.toHaveProperty('authorization');
  });
});
