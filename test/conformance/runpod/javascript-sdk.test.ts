// RunPod protocol notes §5, statement E104: the official JavaScript SDK, unmodified, as it comes from npm. Its tight loops
// (notes §4.2) show whether the holds are real. On the machine's clock, because the SDK has its own.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../sandbox/runpod/index.ts';
import { type Bench, startBench } from '../../support/runpod-emulator.ts';

// The SDK takes console.log at import and prints every poll with it; here it gets a silent one.
const { log } = console;
console.log = () => undefined;
const { default: createSdk } = await import('runpod-sdk');
console.log = log;

type SdkEndpoint = NonNullable<ReturnType<ReturnType<typeof createSdk>['endpoint']>>;

async function start(): Promise<{ bench: Bench; endpoint: SdkEndpoint }> {
  const bench = await startBench({ clock: systemClock() });
  const endpoint = createSdk('sandbox', { baseUrl: bench.emulator.baseUrl }).endpoint('ep1');
  if (!endpoint) throw new Error('the SDK gave no endpoint');
  return { bench, endpoint };
}

describe('runpod-sdk', () => {
  it('E104 runSync answers a finished job with its output', async () => {
    const { bench, endpoint } = await start();
    const result = endpoint.runSync({ input: { n: 3 } });
    const job = await bench.worker().takeJob();
    await bench.worker().done(job.id, { output: { square: 9 } });
    expect(await result).toMatchObject({
      id: job.id,
      status: 'COMPLETED',
      output: { square: 9 },
      completed: true,
      succeeded: true,
    });
  });

  it('E104 runSync that outlives its wait goes on with held /status-sync calls, not with a hot loop', async () => {
    const { bench, endpoint } = await start();
    const result = endpoint.runSync({ input: {} }, 1000);
    const job = await bench.worker().takeJob();
    await bench.seen('status-sync', 1);
    await bench.worker().done(job.id, { error: 'boom' });
    expect(await result).toMatchObject({ status: 'FAILED', error: 'boom', succeeded: false });
    expect(bench.emulator.inspect.requestsSeen('status-sync')).toHaveLength(1);
  });

  it('E104 run and status follow a job', async () => {
    const { bench, endpoint } = await start();
    const submitted = await endpoint.run({ input: { n: 1 } });
    expect(submitted).toEqual({ id: submitted.id, status: 'IN_QUEUE' });
    expect(await endpoint.status(submitted.id)).toMatchObject({ status: 'IN_QUEUE', started: true, completed: false });
    await bench.worker().takeJob();
    await bench.worker().done(submitted.id, { output: 'ok' });
    expect(await endpoint.status(submitted.id)).toMatchObject({ status: 'COMPLETED', output: 'ok', succeeded: true });
  });

  it('E104 stream yields every chunk once and in order, the last ones with the end', async () => {
    const { bench, endpoint } = await start();
    const { id } = await endpoint.run({ input: {} });
    const worker = bench.worker();
    await worker.takeJob();
    const read: unknown[] = [];
    const reading = (async () => {
      for await (const chunk of endpoint.stream(id)) read.push(chunk);
    })();
    await bench.seen('stream', 1);
    for (let n = 0; n < 5; n += 1) await worker.chunk(id, n);
    await worker.done(id, { output: [] });
    await reading;
    expect(read).toEqual([0, 1, 2, 3, 4].map((output) => ({ output })));
    expect(bench.emulator.inspect.requestsSeen('stream').length).toBeLessThanOrEqual(7);
  });

  it('E104 cancel, health and purgeQueue', async () => {
    const { bench, endpoint } = await start();
    const { id } = await endpoint.run({ input: {} });
    await bench.worker().takeJob();
    expect(await endpoint.cancel(id)).toMatchObject({ id, status: 'CANCELLED' });
    await endpoint.run({ input: {} });
    expect(await endpoint.health()).toMatchObject({
      jobs: { completed: 0, failed: 0, inProgress: 0, inQueue: 1, retried: 0 },
      workers: { idle: 1, ready: 1, running: 0 },
    });
    expect(await endpoint.purgeQueue()).toEqual({ removed: 1, status: 'completed' });
  });

  it('E104 a wrong key and an unknown job reject, as the SDK does for every status of 400 and above', async () => {
    const { bench, endpoint } = await start();
    const stranger = createSdk('wrong', { baseUrl: bench.emulator.baseUrl }).endpoint('ep1');
    await expect(stranger?.run({ input: {} })).rejects.toThrow(/401/);
    await expect(endpoint.status('nope')).rejects.toThrow(/404/);
  });
});
