/** A job that is taken ahead of time is staged and queued behind the one that runs, and comes to no harm by it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { JobHandle } from '../../client/index.ts';
import type { FaultInput } from '../../sandbox/comfyui/index.ts';
import type { JobInputWire } from '../../shared/index.ts';
import { readProgressEvent } from '../../shared/index.ts';
import { until } from '../support/runpod-emulator.ts';
import { filesBelow, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

let stack: WholeStack | undefined;

afterEach(async () => {
  await stack?.close();
  stack = undefined;
});

async function start(prefetch: string, faults: readonly FaultInput[] = []): Promise<WholeStack> {
  stack = await startWholeStack({
    workers: 1,
    endpoint: { takeHoldMs: 2_000 },
    environment: { PREFETCH: prefetch },
    comfyFaults: () => faults,
  });
  return stack;
}

const image = (node: string) => [node, 0];
let colour = 0;

/** Sleeps in steps, then saves a picture that no other job has. */
function sleepy(steps: number, stepMs: number, extra: Partial<JobInputWire> = {}): JobInputWire {
  colour += 1;
  return {
    workflow: {
      '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: colour } },
      '2': { class_type: 'SandboxSleep', inputs: { steps, step_ms: stepMs, value: image('1'), label: `${colour}` } },
      '3': { class_type: 'SaveImage', inputs: { images: image('2'), filename_prefix: 'slept' } },
    },
    ...extra,
  };
}

function queueOf(running: WholeStack) {
  return running.comfy[0]?.inspect.queue() ?? { running: [], pending: [] };
}

const waitsBehind = (running: WholeStack) => () =>
  queueOf(running).running.length === 1 && queueOf(running).pending.length === 1;

describe('PREFETCH=1', () => {
  it('queues the next job in ComfyUI behind the one that runs, tells its caller that it is queued, and never puts a third there', async () => {
    const running = await start('1');
    const handles: JobHandle[] = [];
    for (let index = 0; index < 4; index++) handles.push(await running.client.submit(sleepy(30, 20)));
    await until(waitsBehind(running));
    await until(async () => {
      const phase = readProgressEvent((await handles[1]?.status())?.output)?.phase;
      return phase === 'queued';
    });
    expect(running.emulator.inspect.jobs().filter((job) => job.status === 'IN_PROGRESS').length).toBe(2);
    let deepest = 0;
    const all = Promise.all(handles.map((handle) => handle.wait()));
    let done = false;
    void all.finally(() => {
      done = true;
    });
    await until(() => {
      deepest = Math.max(deepest, queueOf(running).running.length + queueOf(running).pending.length);
      return done;
    });
    expect((await all).map((result) => result.kind)).toEqual(['succeeded', 'succeeded', 'succeeded', 'succeeded']);
    expect(deepest).toBe(2);
  });

  it('takes two jobs at once, in the batch form, when it has nothing to do', async () => {
    const running = await start('1');
    await until(() => running.emulator.inspect.requestsSeen('job-take').length > 0);
    expect(running.emulator.inspect.requestsSeen('job-take')[0]?.target).toMatch(/\/job-take-batch\/.*batch_size=2/);
  });

  it("a waiting job that is cancelled leaves ComfyUI's queue, its files are wiped, and the job that runs is not touched", async () => {
    const running = await start('1');
    const first = await running.client.submit(sleepy(60, 20));
    const second = await running.client.submit(sleepy(60, 20));
    await until(waitsBehind(running));
    await second.cancel();
    await until(() => queueOf(running).pending.length === 0);
    expect(queueOf(running).running).toHaveLength(1);
    expect((await second.wait()).kind).toBe('cancelled');
    expect((await first.wait()).kind).toBe('succeeded');
    await running.drain();
    for (const folder of Object.values(running.comfy[0]?.directories ?? {})) {
      expect(await filesBelow(folder)).toEqual([]);
    }
  });

  it("the caller's own time limit stands still while the job waits behind another", async () => {
    const running = await start('1');
    const first = await running.client.submit(sleepy(100, 20));
    const second = await running.client.submit(sleepy(2, 10, { limits: { executionMs: 1_000, stallMs: 1_500 } }));
    await until(waitsBehind(running));
    const results = await Promise.all([first.wait(), second.wait()]);
    expect(results.map((result) => ('error' in result ? result.error.message : result.kind))).toEqual([
      'succeeded',
      'succeeded',
    ]);
    const receipt = results[1]?.kind === 'succeeded' ? results[1].envelope.receipt : undefined;
    expect(receipt?.timings.queueMs).toBeGreaterThan(1_000);
  });
});

describe('a job that waits behind one in trouble', () => {
  it('is not called stalled, however little patience it asks for: the silence is not its own', async () => {
    const running = await start('1');
    const first = await running.client.submit(sleepy(350, 20));
    const second = await running.client.submit(sleepy(2, 10, { limits: { stallMs: 1_000 } }));
    await until(waitsBehind(running));
    const results = await Promise.all([first.wait(), second.wait()]);
    expect(results.map((result) => ('error' in result ? result.error.message : result.kind))).toEqual([
      'succeeded',
      'succeeded',
    ]);
  });

  it('that nothing stops fails without waiting for it, and the worker ends', async () => {
    const running = await start('1', [{ kind: 'interrupt-ignored', times: 'always' }]);
    const first = await running.client.submit(sleepy(100_000, 20), { policy: { executionTimeout: 5_000 } });
    const second = await running.client.submit(sleepy(2, 10));
    await until(waitsBehind(running));
    expect(await first.wait()).toMatchObject({ kind: 'failed', error: { code: 'DEADLINE_EXCEEDED' } });
    expect(await second.wait()).toMatchObject({ kind: 'failed', error: { code: 'COMFY_STALLED' } });
    expect(await running.workers[0]?.stopped).toEqual({ code: 0, reason: 'recycle' });
    expect(queueOf(running).pending).toEqual([]);
  });

  it('runs while the other, out of memory, waits its turn: memory is freed when nothing is in ComfyUI, and both succeed', async () => {
    const running = await start('1', [{ kind: 'out-of-memory', classType: 'SaveImage' }]);
    const first = await running.client.submit(sleepy(30, 20));
    const second = await running.client.submit(sleepy(10, 20));
    await until(waitsBehind(running));
    const results = await Promise.all([first.wait(), second.wait()]);
    expect(results.map((result) => ('error' in result ? result.error.message : result.kind))).toEqual([
      'succeeded',
      'succeeded',
    ]);
    const requests = (running.comfy[0]?.inspect.requestsSeen() ?? [])
      .map(({ method, url }) => `${method} ${url}`)
      .filter((line) => line === 'POST /prompt' || line === 'POST /free');
    expect(requests).toEqual(['POST /prompt', 'POST /prompt', 'POST /free', 'POST /prompt']);
  });

  it('comes to a truthful end when ComfyUI dies under both, and the worker goes on', async () => {
    const running = await start('1', [{ kind: 'crash', at: 'progress', restartAfterMs: 300 }]);
    const first = await running.client.submit(sleepy(30, 20));
    const second = await running.client.submit(sleepy(10, 20));
    for (const result of await Promise.all([first.wait(), second.wait()])) {
      if (result.kind === 'succeeded') expect(result.envelope.artifacts).toHaveLength(1);
      else expect(result.error.code).toMatch(/^(COMFY_|PROMPT_LOST)/);
    }
    expect((await (await running.client.submit(sleepy(2, 5))).wait()).kind).toBe('succeeded');
    await running.drain();
    for (const folder of Object.values(running.comfy[0]?.directories ?? {})) {
      expect(await filesBelow(folder)).toEqual([]);
    }
  });
});

describe('PREFETCH=auto', () => {
  it('queues the next job ahead once recent runs were short', async () => {
    const running = await start('auto');
    for (let index = 0; index < 3; index++) {
      expect((await (await running.client.submit(sleepy(2, 5))).wait()).kind).toBe('succeeded');
    }
    await running.client.submit(sleepy(60, 20));
    await running.client.submit(sleepy(2, 5));
    await until(waitsBehind(running));
  });

  it('leaves the next job alone while a run takes long for the time that jobs have', async () => {
    const running = await start('auto');
    const policy = { executionTimeout: 5_000 };
    for (let index = 0; index < 3; index++) {
      const handle = await running.client.submit(sleepy(20, 20), { policy });
      expect((await handle.wait()).kind).toBe('succeeded');
    }
    const first = await running.client.submit(sleepy(40, 20), { policy });
    const second = await running.client.submit(sleepy(2, 5), { policy });
    await until(() => queueOf(running).running.length === 1);
    const seenWaiting: boolean[] = [];
    const over = first.wait();
    let done = false;
    void over.finally(() => {
      done = true;
    });
    await until(() => {
      seenWaiting.push(queueOf(running).pending.length > 0);
      return done;
    });
    expect(seenWaiting).not.toContain(true);
    expect((await second.wait()).kind).toBe('succeeded');
  });
});
