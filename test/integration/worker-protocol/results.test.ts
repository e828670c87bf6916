/** Promises W19 to W38 of the RunPod protocol notes §5: how results get to the platform. */
import { describe, expect, it } from 'vitest';
import { errorFromWire } from '../../../shared/index.ts';
import { until } from '../../support/runpod-emulator.ts';
import { startWorkerBench, type WorkerBench } from '../../support/worker-bench.ts';

const post = { route: 'job-done/result' } as const;
const MiB = 1024 * 1024;

async function postedBody(bench: WorkerBench, input: unknown): Promise<string | undefined> {
  bench.start();
  const id = await bench.run(input);
  await bench.ended(id);
  return bench.results(id)[0]?.body;
}

describe('posting results', () => {
  it("W19: a result goes to the job's own address with the headers of the SDK and a JSON body of announced length", async () => {
    const bench = await startWorkerBench();
    bench.start();
    const id = await bench.run({ do: 'echo', value: 1 });
    await bench.ended(id);
    const [request] = bench.results(id);
    expect(request?.target).toBe(`/v2/ep1/job-done/pod-1/${id}?gpu=NVIDIA+GeForce+RTX+4090&isStream=false`);
    expect(request?.headers).toMatchObject({
      'x-request-id': id,
      'content-type': 'application/x-www-form-urlencoded',
      charset: 'utf-8',
      'content-length': String(request?.bodyBytes),
    });
    expect(request?.body).toBe('{"output":1}');
  });

  it.each(['text', 3, true, [1, [2]], null, { a: 1 }])('W20: the value %j is posted as output', async (value) => {
    const bench = await startWorkerBench();
    expect(await postedBody(bench, { do: 'echo', value })).toBe(JSON.stringify({ output: value }));
  });

  it('W21: a failure with something made before it is posted with both output and error', async () => {
    const bench = await startWorkerBench();
    const body = JSON.parse((await postedBody(bench, { do: 'fail', value: { a: 1 } })) ?? '') as object;
    expect(body).toEqual({ output: { a: 1 }, error: expect.any(String) });
  });

  it('W22, W24: a failure alone is posted without output, and its error is always a string', async () => {
    const bench = await startWorkerBench();
    const body = JSON.parse((await postedBody(bench, { do: 'fail' })) ?? '') as object;
    expect(body).toEqual({ error: expect.any(String) });
  });

  it('W25: a failure that leaves the worker unusable asks the platform to recycle it', async () => {
    const bench = await startWorkerBench();
    const body = JSON.parse((await postedBody(bench, { do: 'fail', code: 'WIPE_FAILED' })) ?? '') as object;
    expect(body).toEqual({ error: expect.any(String), stopPod: true });
    expect(await bench.worker.stopped).toMatchObject({ code: 0, reason: 'recycle' });
  });

  it('W27: an output inside the output is not unwrapped', async () => {
    const bench = await startWorkerBench();
    expect(await postedBody(bench, { do: 'echo', value: { output: 1 } })).toBe('{"output":{"output":1}}');
  });

  it('W28, W29: the error of a failed job parses to the six documented keys, all strings, and our own beside them', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const { status, error } = await bench.ended(await bench.run({ do: 'fail', message: 'boom' }));
    expect(status).toBe('FAILED');
    const { comfy_runpod: own, ...documented } = JSON.parse(error ?? '') as Record<string, unknown>;
    expect(documented).toEqual({
      error_type: 'NODE_FAILED',
      error_message: 'boom',
      error_traceback: expect.any(String),
      hostname: 'pod-1',
      worker_id: 'pod-1',
      runpod_version: expect.any(String),
    });
    expect(own).toMatchObject({ code: 'NODE_FAILED', message: 'boom' });
  });

  it('W29: without pod id and host name they are unknown', async () => {
    const environment = { RUNPOD_POD_ID: undefined, RUNPOD_POD_HOSTNAME: undefined };
    const bench = await startWorkerBench({ environment });
    bench.start();
    const { error } = await bench.ended(await bench.run({ do: 'fail' }));
    expect(JSON.parse(error ?? '')).toMatchObject({ hostname: 'unknown', worker_id: 'unknown' });
  });

  it('W28: a runner that throws gives a failed job, and the text it threw goes neither to the caller nor to the log', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const { status, error } = await bench.ended(await bench.run({ do: 'throw' }));
    expect(status).toBe('FAILED');
    expect(errorFromWire(error ?? '').code).toBe('INTERNAL');
    expect(`${error}${JSON.stringify(bench.log)}`).not.toContain('text of a caller');
  });

  it('W30: a result that breaks while it is sent is reported as a failed job', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const { status, error } = await bench.ended(await bench.run({ do: 'broken' }));
    expect(status).toBe('FAILED');
    expect(errorFromWire(error ?? '').code).toBe('INTERNAL');
    expect(error).not.toContain('text of a caller');
  });

  it('W32: posts answered 500 and 503 are repeated with the identical body until one is accepted', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...post, when: { nth: 1 }, do: { kind: 'answer', status: 500 } });
    bench.faults.add({ ...post, when: { nth: 2 }, do: { kind: 'answer', status: 503 } });
    bench.start();
    const id = await bench.run({ do: 'echo', value: 'x' });
    expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 'x' });
    await bench.worker.drain();
    expect(bench.results(id).map((request) => request.body)).toEqual(Array(3).fill('{"output":"x"}'));
  });

  it.each(['reset', 'drop'] as const)('W33: a connection that ends by %s is repaired by another post', async (kind) => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...post, when: { from: 1, to: 4 }, do: { kind } });
    bench.start();
    const id = await bench.run({ do: 'echo', value: 'x' });
    expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 'x' });
  });

  it('a post that is never answered is given up after its time-out and repeated', async () => {
    const bench = await startWorkerBench({ timings: { resultTimeoutMs: 100 } });
    bench.faults.add({ ...post, when: { nth: 1 }, do: { kind: 'hang' } });
    bench.start();
    const id = await bench.run({ do: 'echo', value: 'x' });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
  });

  it('a post answered 429 waits for the time that Retry-After names', async () => {
    const bench = await startWorkerBench();
    const headers = { 'retry-after': '0.3' };
    bench.faults.add({ ...post, when: { nth: 1 }, do: { kind: 'answer', status: 429, headers } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    await bench.ended(id);
    const [first, second] = bench.results(id);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(290);
  });

  it.each([404, 410])('W34: a post answered %i is not repeated, and the next job runs', async (status) => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...post, when: { nth: 1 }, do: { kind: 'answer', status } });
    bench.start();
    const lost = await bench.run({ do: 'echo' });
    const next = await bench.run({ do: 'echo' });
    expect((await bench.ended(next)).status).toBe('COMPLETED');
    expect(bench.results(lost)).toHaveLength(1);
    expect(bench.lines('WARN')).toHaveLength(1);
  });

  it.each([
    [413, 'RESULT_TOO_LARGE'],
    [400, 'RESULT_UNDELIVERED'],
  ])('W35: a post answered %i is followed by exactly one small error report that says why', async (status, code) => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...post, when: { nth: 1 }, do: { kind: 'answer', status } });
    bench.start();
    const id = await bench.run({ do: 'large', bytes: 100_000 });
    const ended = await bench.ended(id);
    expect(ended.status).toBe('FAILED');
    const error = errorFromWire(ended.error ?? '');
    expect(error).toMatchObject({ code, details: { status, limit: 10 * MiB, size: 100_011 } });
    await bench.worker.drain();
    expect(bench.results(id)).toHaveLength(2);
    expect(bench.results(id)[1]?.bodyBytes).toBeLessThan(4_096);
  });

  it('W35: an error report that is refused as well is not repeated for ever', async () => {
    const bench = await startWorkerBench();
    bench.faults.add({ ...post, do: { kind: 'answer', status: 400 } });
    bench.start();
    const id = await bench.run({ do: 'echo' });
    await until(() => bench.log.some((line) => line.message === 'Not delivered.'));
    expect(bench.results(id)).toHaveLength(2);
    expect(bench.lines('ERROR').at(-1)).toMatchObject({ code: 'RESULT_UNDELIVERED' });
  });

  it('a large result that the platform refuses with 400 is reported as too large', async () => {
    const bench = await startWorkerBench({ endpoint: { runResultLimit: 6 * MiB } });
    bench.start();
    const ended = await bench.ended(await bench.run({ do: 'large', bytes: 8 * MiB }));
    expect(errorFromWire(ended.error ?? '').code).toBe('RESULT_TOO_LARGE');
  });

  it.each([
    ['run', 10 * MiB],
    ['runsync', 20 * MiB],
  ])('a result over the limit of /%s is never sent; the caller learns its size and the limit', async (route, limit) => {
    const bench = await startWorkerBench();
    bench.start();
    const body = { input: { do: 'large', bytes: limit } };
    const id = String((await bench.bench.send(route, { body })).json['id']);
    const ended = await bench.ended(id);
    const error = errorFromWire(ended.error ?? '');
    expect(error).toMatchObject({ code: 'RESULT_TOO_LARGE', details: { size: limit + 11, limit } });
    expect(bench.results(id)).toHaveLength(1);
  });

  it('a result of exactly the limit arrives whole', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const ended = await bench.ended(await bench.run({ do: 'large', bytes: 10 * MiB - 11 }));
    expect(ended.status).toBe('COMPLETED');
    expect(String(ended.output)).toHaveLength(10 * MiB - 13);
  });

  it('W36: text beyond ASCII arrives unchanged', async () => {
    const bench = await startWorkerBench();
    bench.start();
    const value = 'Grüße, 画像, 🎨, \u2028';
    expect((await bench.ended(await bench.run({ do: 'echo', value }))).output).toBe(value);
  });

  it('W37: results that are posted at the same time carry their own ids, and takes carry none', async () => {
    const bench = await startWorkerBench({ settings: { concurrency: 3 } });
    bench.faults.add({ ...post, when: { from: 1, to: 3 }, do: { kind: 'answer', status: 500 } });
    bench.start();
    const ids = await Promise.all([1, 2, 3].map(() => bench.run({ do: 'hold' })));
    await until(() => bench.runner.held().length === 3);
    bench.runner.release();
    for (const id of ids) await bench.ended(id);
    const posts = bench.seen('job-done');
    expect(posts.length).toBeGreaterThanOrEqual(6);
    expect(posts.map((request) => request.headers['x-request-id'])).toEqual(posts.map((request) => request.jobId));
    const polls = [...bench.seen('job-take'), ...bench.seen('job-stop')];
    expect(polls.filter((request) => 'x-request-id' in request.headers)).toEqual([]);
  });

  it.each([301, 302, 303, 307])(
    'W38: a %i is not followed; the post counts as failed and is repeated',
    async (status) => {
      const bench = await startWorkerBench();
      const headers = { location: `${bench.emulator.url}/elsewhere` };
      bench.faults.add({ ...post, when: { nth: 1 }, do: { kind: 'answer', status, headers } });
      bench.start();
      const id = await bench.run({ do: 'echo', value: 'x' });
      expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 'x' });
      expect(bench.seen('unknown')).toEqual([]);
    },
  );

  it('while a few results wait for the platform further jobs run, and then no more are taken', async () => {
    const bench = await startWorkerBench();
    const repair = bench.faults.add({ ...post, do: { kind: 'answer', status: 503 } });
    bench.start();
    const ids = await Promise.all(Array.from({ length: 6 }, () => bench.run({ do: 'echo' })));
    await until(() => bench.runner.finished.length === 4);
    await until(() => ids.every((id) => !bench.runner.started.includes(id) || bench.results(id).length > 1));
    expect(bench.runner.started).toHaveLength(4);
    repair();
    for (const id of ids) expect((await bench.ended(id)).status).toBe('COMPLETED');
  });
});
