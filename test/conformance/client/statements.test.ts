// The client statements 75 to 87 of the RunPod protocol notes §5, each against the emulator or a server that misbehaves in that way.
import { describe, expect, it } from 'vitest';
import { createRunpodTransport, type Transport } from '../../../client/index.ts';
import { ComfyRunpodError, errorToWire, type JobInputWire } from '../../../shared/index.ts';
import {
  artifact,
  envelope,
  json,
  smallJob,
  startClientBench,
  startFakeApi,
  useClient,
} from '../../support/client-bench.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';

const picture = Buffer.from('not really a picture');

function useTransport(baseUrl: string): Transport {
  const transport = createRunpodTransport({
    apiKey: 'sandbox',
    endpointId: 'ep1',
    baseUrl,
    requestTimeoutMs: 5_000,
    pollIntervalMs: 500,
    attempts: 3,
  });
  afterThisTest(() => transport.close());
  return transport;
}

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

describe('statements about the client', () => {
  it('75: every request carries the key as Bearer and a JSON content type', async () => {
    const api = await startFakeApi((call, response) => {
      if (call.path.endsWith('/run')) json(response, 200, { id: 'j', status: 'IN_QUEUE' });
      else if (call.path.includes('/stream')) json(response, 200, { status: 'COMPLETED', stream: [] });
      else if (call.path.endsWith('/health')) json(response, 200, { jobs: {}, workers: {} });
      else if (call.path.endsWith('/purge-queue')) json(response, 200, { removed: 0, status: 'completed' });
      else json(response, 200, { id: 'j', status: 'COMPLETED', output: envelope([artifact(picture)]) });
    });
    const client = useClient({ baseUrl: api.baseUrl });
    const job = await client.submit(smallJob);
    await job.wait();
    await job.status();
    await job.cancel();
    await collect(job.stream());
    await client.runSync(smallJob);
    await client.health();
    await client.purgeQueue();
    expect(api.calls.map((call) => call.path.split('?')[0]?.split('/')[3])).toEqual([
      'run',
      'status-sync',
      'status',
      'cancel',
      'stream',
      'runsync',
      'health',
      'purge-queue',
    ]);
    for (const call of api.calls) {
      expect(call.headers.authorization).toBe('Bearer sandbox');
      expect(call.headers['content-type']).toBe('application/json');
    }
  });

  it('76: an input is wrapped once, and an empty one stays empty', async () => {
    const bodies: unknown[] = [];
    const api = await startFakeApi((_, response, body) => {
      bodies.push(JSON.parse(body.toString()));
      json(response, 200, { id: 'j', status: 'IN_QUEUE' });
    });
    const transport = useTransport(api.baseUrl);
    await transport.submit({ input: {} });
    await transport.submit({ input: {} }, { route: 'runsync' });
    await transport.submit({ input: { input: { n: 1 } }, policy: { ttl: 20_000 } });
    expect(bodies).toEqual([{ input: {} }, { input: {} }, { input: { input: { n: 1 } }, policy: { ttl: 20_000 } }]);
    const client = useClient({ baseUrl: api.baseUrl });
    await expect(client.submit({ input: smallJob } as unknown as JobInputWire)).rejects.toMatchObject({
      code: 'INPUT_UNKNOWN_KEY',
    });
    expect(bodies).toHaveLength(3);
  });

  it('77: runSync keeps its wait within bounds and polls when the answer is not final', async () => {
    const api = await startFakeApi((call, response) => {
      if (call.path.includes('/runsync')) json(response, 200, { id: 'sync-j', status: 'IN_PROGRESS' });
      else json(response, 200, { id: 'sync-j', status: 'COMPLETED', output: envelope([artifact(picture)]) });
    });
    const client = useClient({ baseUrl: api.baseUrl });
    for (const waitMs of [1, 5_000, 10_000_000]) {
      expect(await client.runSync(smallJob, { waitMs })).toMatchObject({ kind: 'succeeded', jobId: 'sync-j' });
    }
    const waits = api.calls.flatMap((call) => /runsync\?wait=(\d+)/.exec(call.path)?.[1] ?? []);
    expect(waits).toEqual(['1000', '5000', '300000']);
  });

  it('78: only the four documented endings end a job; any other status goes on', async () => {
    const statuses = ['IN_QUEUE', 'RUNNING', 'SOMETHING_NEW', 'IN_PROGRESS'];
    const end = async (ending: string) => {
      let asked = 0;
      const api = await startFakeApi((_, response) => {
        const status = statuses[asked] ?? ending;
        asked += 1;
        json(response, 200, {
          id: 'j',
          status,
          ...(status === 'COMPLETED' && { output: envelope([artifact(picture)]) }),
        });
      });
      const result = await useClient({ baseUrl: api.baseUrl }).job('j').wait();
      expect(result.kind).toBe(
        { COMPLETED: 'succeeded', FAILED: 'failed', CANCELLED: 'cancelled', TIMED_OUT: 'timedOut' }[ending],
      );
      expect(asked).toBe(statuses.length + 1);
    };
    await Promise.all(['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'].map(end));
  });

  it('79: a failed job brings the error of the server, parsed when it is JSON', async () => {
    const { bench, client } = await startClientBench();
    const worker = bench.worker();
    const endings: [unknown, object][] = [
      ['plain words', { code: 'JOB_FAILED', message: 'plain words' }],
      [
        errorToWire(
          new ComfyRunpodError('NODE_FAILED', 'Node 3 failed.', { issues: [{ node: '3', message: 'too big' }] }),
          { workerId: 'w', hostname: 'h', version: '1' },
        ),
        { code: 'NODE_FAILED', message: 'Node 3 failed.', issues: [{ node: '3', message: 'too big' }] },
      ],
      [
        JSON.stringify({ error_type: 'ValueError', error_message: 'no' }),
        { code: 'JOB_FAILED', message: 'ValueError: no' },
      ],
    ];
    for (const [error, expected] of endings) {
      const job = await client.submit(smallJob);
      const taken = await worker.takeJob();
      await worker.done(taken.id, { error });
      expect(await job.wait()).toMatchObject({ kind: 'failed', error: expected });
    }
  });

  it('80: stream yields every chunk once and in order, and ends with a final read', async () => {
    for (const ending of ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT']) {
      const answers = [
        { status: 'IN_PROGRESS', stream: [{ output: 'a' }, { output: 'b' }] },
        { status: ending, stream: [{ output: 'c' }] },
        { status: ending, stream: [{ output: 'd' }] },
        { status: ending, stream: [] },
      ];
      const api = await startFakeApi((_, response) =>
        json(response, 200, answers.shift() ?? { status: ending, stream: [] }),
      );
      expect(await collect(useClient({ baseUrl: api.baseUrl }).job('j').stream())).toEqual(['a', 'b', 'c', 'd']);
      expect(api.calls).toHaveLength(4);
    }
  });

  it('81: a missing stream array counts as empty', async () => {
    const answers = [{ status: 'IN_PROGRESS' }, { status: 'COMPLETED' }];
    const api = await startFakeApi((_, response) => json(response, 200, answers.shift() ?? {}));
    expect(await collect(useClient({ baseUrl: api.baseUrl }).job('j').stream())).toEqual([]);
    expect(api.calls).toHaveLength(2);
  });

  it('82: a server that answers polls at once gets at most two requests a second', async () => {
    const start = performance.now();
    const api = await startFakeApi((_, response) => {
      const done = performance.now() - start > 3_000;
      json(
        response,
        200,
        done ? { id: 'j', status: 'CANCELLED' } : { id: 'j', status: 'IN_PROGRESS', output: { n: api.calls.length } },
      );
    });
    const client = useClient({ baseUrl: api.baseUrl });
    for await (const event of client.job('j').events())
      if (event.type === 'end') expect(event.result.kind).toBe('cancelled');
    const seconds = (performance.now() - start) / 1000;
    expect(api.calls.length).toBeLessThanOrEqual(2 * seconds + 2);
    expect(api.calls.length).toBeGreaterThan(3);
  });

  it('83: reads are repeated after 429 and Retry-After; a submit is not repeated after a time-out', async () => {
    const { bench, client } = await startClientBench({
      faults: [
        { route: 'status', when: { nth: 1 }, do: { kind: 'answer', status: 429, headers: { 'retry-after': '1' } } },
        { route: 'status', when: { nth: 2 }, do: { kind: 'answer', status: 503 } },
        { route: 'run', when: { nth: 2 }, do: { kind: 'hang', at: 'after' } },
      ],
      client: { requestTimeoutMs: 1_500 },
    });
    const job = await client.submit(smallJob);
    const before = performance.now();
    expect(await job.status()).toMatchObject({ id: job.id, status: 'IN_QUEUE' });
    expect(performance.now() - before).toBeGreaterThanOrEqual(990);
    await expect(client.submit(smallJob)).rejects.toMatchObject({ code: 'SUBMIT_UNCERTAIN' });
    expect(bench.emulator.inspect.requestsSeen('run')).toHaveLength(2);
  });

  it('84: giving up after a submit says the id when it is known and that it is not otherwise', async () => {
    const { client } = await startClientBench({
      faults: [{ route: 'run', when: { nth: 2 }, do: { kind: 'drop', at: 'after' } }],
      client: { maxPollDurationMs: 300 },
    });
    const job = await client.submit(smallJob);
    await expect(job.wait()).rejects.toMatchObject({ code: 'WAIT_TIMEOUT', details: { jobId: job.id } });
    await expect(client.submit(smallJob)).rejects.toMatchObject({
      code: 'SUBMIT_UNCERTAIN',
      details: { jobIdKnown: false },
    });
  });

  it('85: an unknown or expired job is told apart from a failed one', async () => {
    const { client } = await startClientBench();
    const job = client.job('0b1f2c3d-0000-4000-8000-000000000000-u1');
    await expect(job.status()).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
    await expect(job.wait()).rejects.toMatchObject({ code: 'JOB_NOT_FOUND', details: { jobId: job.id } });
  });

  it('86: a 200 without id and status is an error', async () => {
    const api = await startFakeApi((_, response) => json(response, 200, { error: 'queue is gone' }));
    const client = useClient({ baseUrl: api.baseUrl });
    await expect(client.submit(smallJob)).rejects.toMatchObject({
      code: 'PLATFORM_ANSWER_INVALID',
      message: expect.stringContaining('queue is gone') as string,
    });
    await expect(client.job('j').status()).rejects.toMatchObject({ code: 'PLATFORM_ANSWER_INVALID' });
    await expect(client.job('j').wait()).rejects.toMatchObject({ code: 'PLATFORM_ANSWER_INVALID' });
    expect(api.calls.filter((call) => call.path.endsWith('/run'))).toHaveLength(1);
  });

  it('87: bodies over the limit of their route fail before anything is sent and name the largest fields', async () => {
    const { bench, client } = await startClientBench();
    const job = (bytes: number): JobInputWire => ({
      ...smallJob,
      files: [
        { name: 'small.png', data: 'AAAA' },
        { name: 'photo.png', data: 'A'.repeat(bytes) },
      ],
    });
    const MiB = 1024 * 1024;
    await expect(client.submit(job(11 * MiB))).rejects.toMatchObject({
      code: 'BODY_TOO_LARGE',
      message: expect.stringContaining('files.1 (photo.png) 11.0 MB') as string,
      nextStep: expect.stringContaining('--runsync') as string,
    });
    await expect(client.submit(job(21 * MiB), { route: 'runsync' })).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(bench.emulator.inspect.requestsSeen()).toHaveLength(0);
    const accepted = await client.submit(job(12 * MiB), { route: 'runsync' });
    expect(accepted.id).toMatch(/^sync-/);
  });
});
