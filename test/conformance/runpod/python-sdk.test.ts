// RunPod protocol notes §5, statement E106, and the Python half of E104: RunPod's official Python SDK, unmodified, as a worker
// and as a client of the sandbox, pointed at it by environment variables only.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../sandbox/runpod/index.ts';
import { findPythonSdk, type PythonProgram, startPython } from '../../support/python-sdk.ts';
import { type Bench, startBench, until } from '../../support/runpod-emulator.ts';

const sdk = findPythonSdk();
const skip = 'missing' in sdk;
const reason = 'missing' in sdk ? ` (skipped: ${sdk.missing})` : '';
const python = 'missing' in sdk ? '' : sdk.python;

/** A promise that holds with an SDK at hand, and a test skipped by name without one. */
function promise(title: string, check: () => Promise<void>): void {
  it.skipIf(skip)(`${title}${reason}`, { timeout: 60_000 }, check);
}

async function startBenchForPython(settings: Parameters<typeof startBench>[0] = {}): Promise<Bench> {
  return startBench({ clock: systemClock(), ...settings });
}

function startWorker(bench: Bench, name: string): PythonProgram {
  return startPython(
    python,
    name,
    [],
    bench.emulator.workerEnvironment({ endpointId: 'ep1', podId: 'pod-1', gpu: 'A B' }),
  );
}

async function callClient(bench: Bench, method: string, argument: unknown): Promise<Record<string, unknown>> {
  const env = bench.emulator.clientEnvironment({ endpointId: 'ep1' });
  const program = startPython(python, 'client.py', [method, JSON.stringify(argument)], env);
  const code = await program.ended;
  if (code !== 0) throw new Error(`the Python client ended with ${code}: ${program.output()}`);
  return JSON.parse(program.stdout().trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

describe('the official Python SDK as a worker', () => {
  promise('E106 completes a job, and reports a thrown error as FAILED with its six-key report', async () => {
    const bench = await startBenchForPython();
    startWorker(bench, 'worker.py');
    const done = await bench.send('runsync?wait=30000', { body: { input: { n: 12, text: 'größer' } } });
    expect(done.json).toMatchObject({
      status: 'COMPLETED',
      output: { square: 144, text: 'größer' },
      workerId: 'pod-1',
    });
    const failed = await bench.send('runsync?wait=30000', { body: { input: { fail: 'no such thing' } } });
    expect(failed.json).toMatchObject({ status: 'FAILED', workerId: 'pod-1' });
    const report = JSON.parse(String(failed.json['error'])) as Record<string, unknown>;
    expect(Object.keys(report).sort()).toEqual([
      'error_message',
      'error_traceback',
      'error_type',
      'hostname',
      'runpod_version',
      'worker_id',
    ]);
    expect(report).toMatchObject({ error_message: 'no such thing', worker_id: 'pod-1', hostname: 'pod-1' });
  });

  promise(
    'E106 talks as the notes say: raw key, form content type, progress on job-done, pings with versions',
    async () => {
      const bench = await startBenchForPython({ recordBodies: 4096, endpoints: [{ id: 'ep1', pingIntervalMs: 1000 }] });
      startWorker(bench, 'worker.py');
      await bench.send('runsync?wait=30000', { body: { input: { n: 2 } } });
      const { inspect } = bench.emulator;
      await until(() => inspect.requestsSeen('job-done').length === 2 && inspect.requestsSeen('ping').length > 1);
      await bench.seen('job-stop', 1);
      const all = inspect.requestsSeen().filter((request) => request.workerId !== undefined);
      expect(all.every((request) => request.authorization === 'raw' && request.authorized)).toBe(true);
      expect(inspect.requestsSeen('job-take')[0]?.target).toBe('/v2/ep1/job-take/pod-1?gpu=A+B&job_in_progress=0');
      for (const post of inspect.requestsSeen('job-done')) {
        expect(post.headers).toMatchObject({
          'content-type': 'application/x-www-form-urlencoded',
          'x-request-id': post.jobId,
        });
        expect(post.target).toMatch(/&isStream=false$/);
      }
      expect(inspect.requestsSeen('job-done').map((post) => JSON.parse(post.body ?? '') as unknown)).toContainEqual({
        status: 'IN_PROGRESS',
        output: { step: 1 },
      });
      expect(inspect.requestsSeen('ping')[0]?.target).toMatch(/runpod_version=1\.\d+/);
      expect(bench.emulator.inspect.counters().workers).toMatchObject({ unhealthy: 0, initializing: 0 });
    },
  );

  promise('E106 streams the values of a generator handler, and ends with an empty output', async () => {
    const bench = await startBenchForPython();
    startWorker(bench, 'streaming_worker.py');
    const id = await bench.run({ input: { count: 4 } });
    const chunks: unknown[] = [];
    let status = '';
    while (!['COMPLETED', 'FAILED'].includes(status)) {
      const answer = await bench.send(`stream/${id}`);
      chunks.push(...(answer.json['stream'] as unknown[]));
      status = String(answer.json['status']);
    }
    expect(chunks).toEqual([0, 1, 2, 3].map((number) => ({ output: { number } })));
    expect((await bench.status(id)).json).toMatchObject({ status: 'COMPLETED', output: [] });
    expect(bench.emulator.inspect.requestsSeen('job-done')[0]?.target).toMatch(/isStream=true/);
  });

  promise(
    'E106 keeps its leases by pings, takes batches, and stops a cancelled job without posting a result',
    async () => {
      const bench = await startBenchForPython({ endpoints: [{ id: 'ep1', pingIntervalMs: 1000, leaseMs: 3000 }] });
      const [stopped, kept] = [await bench.run({ input: { seconds: 60 } }), await bench.run({ input: { seconds: 5 } })];
      const worker = startWorker(bench, 'slow_worker.py');
      await until(() => bench.emulator.inspect.counters().jobs.inProgress === 2);
      await bench.seen('job-stop', 1);
      expect((await bench.send(`cancel/${stopped}`, { method: 'POST' })).json).toMatchObject({ status: 'CANCELLED' });
      const end = await bench.send(`status-sync/${kept}?wait=30000`);
      expect(end.json).toMatchObject({ status: 'COMPLETED', output: 'done' });
      expect(end.json).not.toHaveProperty('retries');
      expect(bench.emulator.inspect.requestsSeen('job-done').map((post) => post.jobId)).toEqual([kept]);
      expect(
        bench.emulator.inspect.requestsSeen('job-take').some(({ target }) => target.includes('/job-take-batch/')),
      ).toBe(true);
      expect(worker.child.exitCode).toBeNull();
    },
  );

  promise('E106 an empty input that the platform drops is a job that the SDK rejects, twice', async () => {
    const bench = await startBenchForPython({
      endpoints: [{ id: 'ep1', dropEmptyInput: true, leaseMs: 2500, pingIntervalMs: 1000 }],
    });
    startWorker(bench, 'worker.py');
    const answer = await bench.send('runsync?wait=30000', { body: { input: {} } });
    expect(answer.json).toMatchObject({ status: 'FAILED', error: 'job timed out after 1 retries', retries: 1 });
  });
});

describe('the official Python SDK as a client', () => {
  promise('E104 run, run_sync and output follow a job of a Python worker', async () => {
    const bench = await startBenchForPython();
    startWorker(bench, 'worker.py');
    const answer = await callClient(bench, 'run', { input: { n: 7 } });
    expect(answer).toMatchObject({ output: { square: 49 }, id: expect.stringMatching(/-u1$/) });
    expect(await callClient(bench, 'run_sync', { input: { n: 8 } })).toEqual({ output: { square: 64, text: null } });
  });

  promise('E104 stream yields every chunk of a Python generator once', async () => {
    const bench = await startBenchForPython();
    startWorker(bench, 'streaming_worker.py');
    const answer = await callClient(bench, 'stream', { input: { count: 3 } });
    expect(answer).toEqual({ chunks: [{ number: 0 }, { number: 1 }, { number: 2 }] });
  });

  promise('E104 cancel, health and purge_queue', async () => {
    const bench = await startBenchForPython();
    expect(await callClient(bench, 'cancel', { input: { n: 1 } })).toMatchObject({
      answer: { status: 'CANCELLED' },
      status: 'CANCELLED',
    });
    await bench.run();
    expect(await callClient(bench, 'health', {})).toMatchObject({ jobs: { inQueue: 1 }, workers: { idle: 0 } });
    expect(await callClient(bench, 'purge_queue', {})).toEqual({ removed: 1, status: 'completed' });
  });
});
