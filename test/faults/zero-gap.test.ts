/** The GPU does not wait for the worker: the next job runs while the last one is collected, wiped and delivered. */
import { afterEach, describe, expect, it } from 'vitest';
import type { JobResult } from '../../client/index.ts';
import { type MixedJob, mixedJob } from '../support/mixed-jobs.ts';
import { until } from '../support/runpod-emulator.ts';
import { filesBelow, startWholeStack, type WholeStack, type WholeStackOptions } from '../support/whole-stack.ts';

let stack: WholeStack | undefined;

afterEach(async () => {
  await stack?.close();
  stack = undefined;
});

async function start(options: Partial<WholeStackOptions>): Promise<WholeStack> {
  stack = await startWholeStack({ workers: 1, endpoint: { takeHoldMs: 2_000 }, ...options });
  return stack;
}

/** Jobs whose result has arrived. */
function completedJobs(running: WholeStack): string[] {
  return running.emulator.inspect
    .jobs()
    .filter((job) => job.status === 'COMPLETED')
    .map((job) => job.id);
}

/** What is not true of the results. */
async function lies(jobs: readonly MixedJob[], results: readonly JobResult[]): Promise<string[]> {
  const found: string[] = [];
  for (const [index, job] of jobs.entries()) {
    const result = results[index];
    const lie = result ? await job.untruth(result) : 'has no result';
    if (lie !== undefined) found.push(`${job.kind} ${index} ${lie}`);
  }
  return found;
}

/** Jobs that each invert a picture of their own: whoever gets another's picture shows it. */
const pictures = [0, 10, 20, 30];

describe('zero gap', () => {
  it('runs the next prompts while the first job is still being wiped and its result is not posted, and every caller gets their own picture', async () => {
    const slowTail = { kind: 'latency', endpoint: '/history', delayMs: 1_000, times: 'always' } as const;
    const running = await start({
      comfyFaults: () => [slowTail],
      platformFaults: [{ route: 'job-done/result', do: { kind: 'delay', ms: 1_000 } }],
      environment: { PREFETCH: '0' },
    });
    const [comfy] = running.comfy;
    const jobs = await Promise.all(pictures.map((index) => mixedJob(index)));
    const handles = [];
    for (const job of jobs) handles.push(await running.client.submit(job.input));
    let deepest = 0;
    await until(() => {
      const { running: runs = [], pending = [] } = comfy?.inspect.queue() ?? {};
      deepest = Math.max(deepest, runs.length + pending.length);
      return comfy?.inspect.accepted().length === 3;
    });
    // Three prompts have been in ComfyUI, and RunPod has no result of even the first.
    expect(completedJobs(running)).toEqual([]);
    const results = await Promise.all(handles.map((handle) => handle.wait()));
    expect(await lies(jobs, results)).toEqual([]);
    expect(deepest).toBe(1);
    await running.drain();
    for (const folder of Object.values(comfy?.directories ?? {})) expect(await filesBelow(folder)).toEqual([]);
    expect(comfy?.inspect.history()).toEqual([]);
  });

  it('lets a few jobs wait for delivery and then no more are taken, until one has arrived', async () => {
    const running = await start({ environment: { PREFETCH: '0' } });
    const repair = running.emulator.faults.add({
      route: 'job-done/result',
      do: { kind: 'answer', status: 503, text: 'try later' },
    });
    const jobs = await Promise.all(Array.from({ length: 8 }, (_, index) => mixedJob(index * 10)));
    const handles = await Promise.all(jobs.map((job) => running.client.submit(job.input)));
    const comfy = running.comfy[0];
    await until(() => comfy?.inspect.accepted().length === 4);
    await until(
      () => running.emulator.inspect.requestsSeen('job-done').filter((post) => post.status === 503).length > 8,
    );
    expect(comfy?.inspect.accepted()).toHaveLength(4);
    repair();
    const results = await Promise.all(handles.map((handle) => handle.wait()));
    expect(results.map((result) => result.kind)).toEqual(jobs.map(() => 'succeeded'));
  });

  it('keeps the next job out of ComfyUI until the last one is wiped when its files lie where the next may write', async () => {
    // The prefix comes from a node, so that the worker can't put it into a folder of the job.
    const shared = (label: string) => ({
      workflow: {
        '1': { class_type: 'SandboxSleep', inputs: { steps: 1, step_ms: 1, label: 'common' } },
        '2': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: label.length } },
        '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: ['1', 0] } },
      },
    });
    const running = await start({
      comfyFaults: () => [{ kind: 'latency', endpoint: '/history', delayMs: 400, times: 'always' }],
      environment: { PREFETCH: '0' },
    });
    const handles = [await running.client.submit(shared('a')), await running.client.submit(shared('bb'))];
    const comfy = running.comfy[0];
    await until(
      () => comfy?.inspect.requestsSeen().some(({ method, url }) => method === 'POST' && url === '/history') === true,
    );
    const wipeBegan = performance.now();
    await until(() => comfy?.inspect.accepted().length === 2);
    // The answer to the wipe's own request takes 400 ms, and the next prompt waits for it.
    expect(performance.now() - wipeBegan).toBeGreaterThan(300);
    const results = await Promise.all(handles.map((handle) => handle.wait()));
    expect(results.map((result) => ('error' in result ? result.error.message : result.kind))).toEqual([
      'succeeded',
      'succeeded',
    ]);
  });

  it('asks for a fresh worker after a job that wants one, and takes no other job before', async () => {
    const running = await start({ environment: { PREFETCH: '0' } });
    const first = await mixedJob(0);
    const handle = await running.client.submit({ ...first.input, refresh: true });
    const other = await running.client.submit((await mixedJob(10)).input);
    expect(await first.untruth(await handle.wait())).toBeUndefined();
    expect(await running.workers[0]?.stopped).toMatchObject({ code: 0, reason: 'refresh' });
    expect(running.emulator.inspect.job(other.id)?.status).toBe('IN_QUEUE');
  });

  it('a job that was taken ahead of time is finished before the worker is recycled, and no result is lost', async () => {
    const running = await start({ environment: { PREFETCH: '1' } });
    const jobs = await Promise.all([mixedJob(3), mixedJob(13)]);
    const handles = [
      await running.client.submit({ ...jobs[0]?.input, refresh: true } as MixedJob['input']),
      await running.client.submit(jobs[1]?.input as MixedJob['input']),
    ];
    const results = await Promise.all(handles.map((handle) => handle.wait()));
    expect(await lies(jobs, results)).toEqual([]);
    expect(await running.workers[0]?.stopped).toMatchObject({ code: 0, reason: 'refresh' });
    // Nobody had to run anything a second time.
    expect(running.comfy[0]?.inspect.accepted()).toHaveLength(2);
  });
});
