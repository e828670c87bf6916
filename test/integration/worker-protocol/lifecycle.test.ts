/** Promises W63 to W69 of the RunPod protocol notes §5 and of worker/worker.ts: slots, draining, stopping, recycling. */
import { describe, expect, it } from 'vitest';
import { errorFromWire } from '../../../shared/index.ts';
import { createLogger, readWorkerConfig, startWorker } from '../../../worker/index.ts';
import { until } from '../../support/runpod-emulator.ts';
import { startWorkerBench } from '../../support/worker-bench.ts';

describe('slots', () => {
  it('W63: with n slots n jobs run at the same time and never more', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 3 } });
    bench.start();
    const ids = await Promise.all(Array.from({ length: 7 }, () => bench.run({ do: 'wait', ms: 30 })));
    for (const id of ids) expect((await bench.ended(id)).status).toBe('COMPLETED');
    expect(bench.runner.mostRunning).toBe(3);
  });

  it('a freed slot is refilled at once, while the other jobs go on', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 2 } });
    bench.start();
    const ids = await Promise.all([1, 2, 3].map(() => bench.run({ do: 'hold' })));
    await until(() => bench.runner.held().length === 2);
    const [first, second] = bench.runner.held();
    bench.runner.release(first);
    await until(() => bench.runner.started.length === 3);
    expect(bench.runner.held()).toContain(second);
    bench.runner.release();
    for (const id of ids) await bench.ended(id);
  });

  it('the next job starts while the result of the last one is still being posted', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'job-done/result', when: { nth: 1 }, do: { kind: 'hang' } });
    bench.start();
    const first = await bench.run({ do: 'echo' });
    const second = await bench.run({ do: 'echo' });
    expect((await bench.ended(second)).status).toBe('COMPLETED');
    expect(bench.emulator.inspect.job(first)?.status).toBe('IN_PROGRESS');
  });

  it('W66: 100 instant jobs, one after the other, take less than five seconds', async () => {
    const bench = await startWorkerBench();
    const ids = await Promise.all(Array.from({ length: 100 }, () => bench.run({ do: 'echo' })));
    const startedAt = performance.now();
    bench.start();
    await until(() => ids.every((id) => bench.emulator.inspect.job(id)?.status === 'COMPLETED'));
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(bench.runner.mostRunning).toBe(1);
  });
});

describe('states', () => {
  it('a worker is starting until RunPod has answered, then ready, then draining, then stopped', async () => {
    const bench = await startWorkerBench({ endpoint: { takeHoldMs: 50 } });
    const worker = bench.start();
    expect(worker.state.kind).toBe('starting');
    await until(() => worker.state.kind === 'ready');
    await bench.run({ do: 'hold' });
    await until(() => bench.runner.held().length === 1);
    const stopped = worker.drain();
    expect(worker.state.kind).toBe('draining');
    bench.runner.release();
    const exit = await stopped;
    expect(exit).toEqual({ code: 0, reason: 'signal' });
    expect(worker.state).toEqual({ kind: 'stopped', exit });
  });

  it('draining and stopping twice is the same as once, also after the end', async () => {
    const bench = await startWorkerBench();
    const worker = bench.start();
    const [first, second] = await Promise.all([worker.drain(), worker.drain()]);
    expect(second).toBe(first);
    expect(await worker.stop()).toBe(first);
    expect(await worker.drain()).toBe(first);
  });

  it('the signal that a worker is given stops it', async () => {
    const bench = await startWorkerBench();
    const { runpod } = readWorkerConfig(bench.environment());
    if (!runpod) throw new Error('the environment of the emulator is not complete');
    const controller = new AbortController();
    const logger = createLogger({ level: 'silent', format: 'json', write: () => undefined });
    const worker = startWorker({ runpod }, { runner: bench.runner, logger, signal: controller.signal });
    controller.abort();
    expect(await worker.stopped).toEqual({ code: 1, reason: 'forced' });
  });
});

describe('draining', () => {
  it('W68: an idle worker ends within a second although its polls are held', async () => {
    const bench = await startWorkerBench();
    bench.start();
    await until(() => bench.emulator.inspect.workers()[0]?.heldTakes === 1);
    const startedAt = performance.now();
    expect(await bench.worker.drain()).toEqual({ code: 0, reason: 'signal' });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('W67: a job that runs is finished and posted, with no further take', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'hold', value: 1 });
    const waiting = await bench.run({ do: 'echo' });
    await until(() => bench.runner.held().length === 1);
    const takes = bench.seen('job-take').length;
    const stopped = bench.worker.drain();
    bench.runner.release();
    expect(await stopped).toEqual({ code: 0, reason: 'signal' });
    expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 1 });
    expect(bench.seen('job-take')).toHaveLength(takes);
    expect(bench.emulator.inspect.job(waiting)?.status).toBe('IN_QUEUE');
  });

  it('jobs that were delivered but not started are run before the end', async () => {
    const bench = await startWorkerBench();
    const jobs = ['a', 'b'].map((id) => ({ id, input: { do: 'hold' } }));
    bench.faults.add({ route: 'job-take', when: { nth: 1 }, do: { kind: 'answer', status: 200, json: jobs } });
    bench.start();
    await until(() => bench.runner.started.length === 1);
    const stopped = bench.worker.drain();
    bench.runner.release();
    await until(() => bench.runner.started.length === 2);
    bench.runner.release();
    expect((await stopped).code).toBe(0);
  });

  it('a job can still be cancelled and pings go on while the worker drains', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'hold' });
    await until(() => bench.runner.held().length === 1);
    const stopped = bench.worker.drain();
    const before = bench.seen('ping').length;
    await until(() => bench.seen('ping').length > before + 1);
    await bench.bench.send(`cancel/${id}`, { method: 'POST' });
    expect((await stopped).code).toBe(0);
    expect(bench.results(id)).toEqual([]);
  });

  it('results that wait for the platform are posted before the end', async () => {
    const bench = await startWorkerBench();
    const repair = bench.faults.add({ route: 'job-done/result', do: { kind: 'answer', status: 500 } });
    bench.start();
    const id = await bench.run({ do: 'echo', value: 1 });
    await until(() => bench.results(id).length > 1);
    const stopped = bench.worker.drain();
    repair();
    expect((await stopped).code).toBe(0);
    expect((await bench.ended(id)).output).toBe(1);
  });

  it('when the drain takes too long the jobs that are left get an error report and the exit code says so', async () => {
    const bench = await startWorkerBench({ settings: { drainTimeoutMs: 100 } });
    bench.start();
    const id = await bench.run({ do: 'hold' });
    await until(() => bench.runner.held().length === 1);
    expect(await bench.worker.drain()).toEqual({ code: 1, reason: 'deadline' });
    expect(errorFromWire((await bench.ended(id)).error ?? '').code).toBe('WORKER_SHUTDOWN');
  });
});

describe('stopping', () => {
  it('running and queued jobs each get one error report that says the worker was stopped', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 2 } });
    bench.start();
    const ids = await Promise.all([1, 2].map(() => bench.run({ do: 'hold' })));
    await until(() => bench.runner.held().length === 2);
    expect(await bench.worker.stop()).toEqual({ code: 1, reason: 'forced' });
    for (const id of ids) {
      expect(errorFromWire((await bench.ended(id)).error ?? '').code).toBe('WORKER_SHUTDOWN');
      expect(bench.results(id)).toHaveLength(1);
    }
  });

  it('a job that ignores its signal does not keep the worker from ending, and its caller is told', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'stubborn' });
    await until(() => bench.runner.held().length === 1);
    expect((await bench.worker.stop()).code).toBe(1);
    expect(errorFromWire((await bench.ended(id)).error ?? '').code).toBe('WORKER_SHUTDOWN');
    bench.runner.release();
  });

  it('a platform that does not answer does not keep the worker from ending', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ route: 'job-done', do: { kind: 'hang' } });
    bench.start();
    await bench.run({ do: 'echo' });
    await until(() => bench.seen('job-done').length === 1);
    expect((await bench.worker.stop()).code).toBe(1);
  });
});

describe('recycling', () => {
  it('W69: with REFRESH_WORKER the first result asks for a fresh worker and the process ends after it', async () => {
    const bench = await startWorkerBench({ settings: { refreshWorker: true } });
    bench.start();
    const ids = [await bench.run({ do: 'echo', value: 1 }), await bench.run({ do: 'echo', value: 2 })];
    expect(await bench.worker.stopped).toEqual({ code: 0, reason: 'refresh' });
    const bodies = ids.map((id) => bench.results(id)[0]?.body);
    expect(bodies).toEqual(['{"output":1,"stopPod":true}', undefined]);
    expect(bench.runner.started).toHaveLength(1);
  });

  it('a result beside which something went wrong arrives and asks for another worker', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'echo', value: 1, recycle: true });
    await bench.run({ do: 'echo' });
    expect(await bench.worker.stopped).toEqual({ code: 0, reason: 'recycle' });
    expect(bench.results(id)[0]?.body).toBe('{"output":1,"stopPod":true}');
    expect(bench.runner.started).toHaveLength(1);
  });

  it('a stopped job whose run could not be ended posts nothing, and the worker ends', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'hold', recycle: true });
    await until(() => bench.runner.held().length === 1);
    await bench.bench.send(`cancel/${id}`, { method: 'POST' });
    expect(await bench.worker.stopped).toEqual({ code: 0, reason: 'recycle' });
    expect(bench.results(id)).toEqual([]);
  });

  it('a worker that an error made unusable takes no further job', async () => {
    const bench = await startWorkerBench();
    bench.start();
    await bench.run({ do: 'fail', code: 'COMFY_STALLED' });
    await bench.run({ do: 'echo' });
    expect(await bench.worker.stopped).toEqual({ code: 0, reason: 'recycle' });
    expect(bench.runner.started).toHaveLength(1);
  });
});
