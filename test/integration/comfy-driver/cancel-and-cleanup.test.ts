// Cancelling, memory and what is left behind: statements D50 to D60 of the ComfyUI protocol notes §7.1.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { request } from 'undici';
import { describe, expect, it } from 'vitest';
import {
  completed,
  type DriverBench,
  emptyPicture,
  failureOf,
  loadedPicture,
  pictureThrough,
  startDriverBench,
  tinyPng,
} from '../../support/driver-bench.ts';
import { until } from '../../support/runpod-emulator.ts';

const endless = () => pictureThrough('SandboxSleep', { steps: 4_000, step_ms: 20 });

function leftovers(bench: DriverBench): string[] {
  const { input, output, temp } = bench.standIn.directories;
  return [input, output, temp].flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => path.join(entry.parentPath, entry.name))
      : [],
  );
}

describe('cancel and cleanup', () => {
  it('D50 D51 cancels a running prompt by its id, also when the first interrupts are lost', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'interrupt-ignored', times: 2 });
    const stop = new AbortController();
    const running = bench.run({ workflow: endless() }, { signal: stop.signal });
    await until(() => bench.standIn.inspect.queue().running.length === 1);
    stop.abort(new Error('stopped'));
    expect((await running).outcome).toEqual({ kind: 'cancelled' });
    expect(bench.standIn.inspect.queue()).toEqual({ running: [], pending: [] });
    const interrupts = bench.proxy.seen.filter(({ path: to }) => to === '/interrupt');
    expect(interrupts.length).toBeGreaterThan(2);
    const id = bench.proxy.prompts()[0]?.['prompt_id'];
    for (const { body } of interrupts) expect(JSON.parse(body)).toEqual({ prompt_id: id });
  });

  it('D50 takes a waiting prompt out of the queue and leaves the running one alone', async () => {
    const bench = await startDriverBench();
    const first = bench.run({ workflow: pictureThrough('SandboxSleep', { steps: 60, step_ms: 20 }) });
    await until(() => bench.standIn.inspect.queue().running.length === 1);
    const stop = new AbortController();
    const second = bench.run({ workflow: endless() }, { signal: stop.signal });
    await until(() => bench.standIn.inspect.queue().pending.length === 1);
    stop.abort(new Error('stopped'));
    expect((await second).outcome.kind).toBe('cancelled');
    expect(bench.proxy.seen.filter(({ path: to }) => to === '/interrupt')).toEqual([]);
    expect(completed(await first).artifacts).toHaveLength(1);
  });

  it('D50 takes a success that comes in spite of the deadline', async () => {
    const bench = await startDriverBench();
    const workflow = pictureThrough('SandboxDeaf', { ms: 1_500 });
    bench.standIn.faults.arm({ kind: 'interrupt-ignored', times: 'always' });
    const result = await bench.run({ workflow, limits: { executionMs: 1_000 } });
    expect(bench.proxy.seen.filter(({ path: to }) => to === '/interrupt').length).toBeGreaterThan(0);
    expect(completed(result).artifacts).toHaveLength(1);
  });

  it('cancels a job that has not begun, and one that waits for ComfyUI', async () => {
    const bench = await startDriverBench();
    const before = await bench.run({ workflow: emptyPicture() }, { signal: AbortSignal.abort(new Error('stopped')) });
    expect(before.outcome.kind).toBe('cancelled');
    expect(bench.proxy.prompts()).toEqual([]);
  });

  it('D52 tells a run that somebody else interrupted', async () => {
    const bench = await startDriverBench();
    const running = bench.run({ workflow: endless() });
    await until(() => bench.standIn.inspect.queue().running.length === 1);
    await until(async () => {
      const response = await interruptAnything(bench.standIn.url);
      return response && bench.standIn.inspect.queue().running.length === 0;
    });
    expect(failureOf(await running)).toMatchObject({
      code: 'JOB_CANCELLED',
      message: expect.stringContaining('interrupted') as string,
    });
  });

  it('D53 D54 leaves no file and no history entry behind, and tells how much it wiped', async () => {
    const bench = await startDriverBench();
    writeFileSync(path.join(bench.standIn.directories.output, 'not-ours.png'), 'x');
    const workflow = {
      ...loadedPicture('a.png'),
      '10': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
    };
    const { receipt } = completed(await bench.run({ workflow, files: [{ name: 'a.png', data: tinyPng }] }));
    expect(receipt.wipe).toMatchObject({ mode: 'wiped', files: 3, kept: [], verified: true });
    expect(receipt.wipe.bytes).toBeGreaterThan(100);
    expect(leftovers(bench)).toEqual([path.join(bench.standIn.directories.output, 'not-ours.png')]);
    expect(readdirSync(bench.standIn.directories.output)).toEqual(['not-ours.png']);
    expect(bench.standIn.inspect.history()).toEqual([]);
    const order = bench.proxy.seen.map(({ method, path: to }) => `${method} ${to.split('/')[1]}`);
    // Deleted after the last look at it, then read back.
    expect(order.filter((request) => request.endsWith(' history')).slice(-3)).toEqual([
      'GET history',
      'POST history',
      'GET history',
    ]);
  });

  it('D53 wipes after failures and cancels too', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...loadedPicture('a.png'),
      '5': {
        class_type: 'SandboxFail',
        inputs: { message: 'failed on purpose', exception_type: 'ValueError', value: ['1', 0] },
      },
      '10': { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: 'x' } },
    };
    failureOf(await bench.run({ workflow, files: [{ name: 'a.png', data: tinyPng }] }));
    expect(leftovers(bench)).toEqual([]);
    const stop = new AbortController();
    const running = bench.run(
      { workflow: { ...loadedPicture('a.png'), ...endless() }, files: [] },
      { signal: stop.signal },
    );
    await until(() => bench.standIn.inspect.queue().running.length === 1 || bench.proxy.prompts().length > 1);
    stop.abort(new Error('stopped'));
    await running;
    expect(leftovers(bench)).toEqual([]);
  });

  it('keeps the files of a job that asks for it, and says which', async () => {
    const bench = await startDriverBench();
    const { receipt } = completed(await bench.run({ workflow: emptyPicture(), debug: true }));
    expect(receipt.wipe.mode).toBe('debug');
    expect(receipt.wipe.kept).toEqual([expect.stringMatching(/^output\/cr-\d+-[0-9a-f]{16}\/pic_00001_\.png$/)]);
    expect(leftovers(bench)).toHaveLength(1);
  });

  it('D55 D56 frees memory once nothing is queued and tries once more after running out of it', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'out-of-memory', classType: 'EmptyImage' });
    const { artifacts, receipt } = completed(await bench.run({ workflow: emptyPicture() }));
    expect(artifacts).toHaveLength(1);
    expect(receipt.retries).toBe(1);
    const order = bench.proxy.seen.map(({ method, path: to }) => `${method} ${to}`);
    const free = order.indexOf('POST /free');
    expect(order.slice(0, free).lastIndexOf('GET /queue')).toBeGreaterThan(order.indexOf('POST /prompt'));
    expect(free).toBeLessThan(order.lastIndexOf('POST /prompt'));
  });

  it('D56 tells that the GPU is too small when it happens again', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'out-of-memory', classType: 'EmptyImage', times: 'always' });
    const error = failureOf(await bench.run({ workflow: emptyPicture() }));
    expect(error.code).toBe('OUT_OF_MEMORY');
    expect(error.message).toContain('node 1 (EmptyImage)');
    expect(bench.proxy.prompts()).toHaveLength(2);
  });

  it('D56 tells that memory ran out also when it can not be freed', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'out-of-memory', classType: 'EmptyImage' });
    bench.standIn.faults.arm({ kind: 'bad-status', endpoint: '/free', status: 500 });
    const error = failureOf(await bench.run({ workflow: emptyPicture() }));
    expect(error.code).toBe('OUT_OF_MEMORY');
    expect(bench.proxy.prompts()).toHaveLength(1);
  });

  it('gives up a ComfyUI whose GPU has failed', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'cuda-fault', classType: 'EmptyImage' }] } });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('GPU_BROKEN');
    expect(bench.logger.lines.join('\n')).toContain('ComfyUI is given up');
  });

  it('D58 logs neither prompts nor file names nor keys, whatever happens', async () => {
    const bench = await startDriverBench();
    const label = 'the hidden words of a person';
    const secret = 'comfy-org-key-under-test';
    const workflow = {
      ...pictureThrough('SandboxSleep', { steps: 1, step_ms: 1, label }),
      '1': { class_type: 'LoadImage', inputs: { image: 'my-private-face.png' } },
    };
    const files = [{ name: 'my-private-face.png', data: tinyPng }];
    const job = { workflow, files, comfyOrgApiKey: secret };
    completed(await bench.run(job));
    bench.standIn.faults.arm({ kind: 'node-error', classType: 'SandboxSleep', message: `${label} ${secret}` });
    const error = failureOf(
      await bench.run({ ...job, workflow: { ...workflow, '1': emptyPicture()['1'] }, files: [] }),
    );
    failureOf(await bench.run({ ...job, workflow: emptyPicture() }));
    const told = [...bench.logger.lines, error.message, JSON.stringify(error.issues)].join('\n');
    for (const word of [label, 'my-private-face', secret, 'cr-']) expect(told).not.toContain(word);
    expect(bench.proxy.prompts()[0]?.['extra_data']).toEqual({ api_key_comfy_org: secret });
  });

  it('D59 keeps reading the socket while files are fetched slowly', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    bench.standIn.faults.arm({ kind: 'bad-view', slowMs: 50, times: 'always' });
    const first = bench.run({ workflow: emptyPicture({ width: 512, height: 512, batch_size: 8 }) });
    const second = bench.run({ workflow: pictureThrough('SandboxSleep', { steps: 30, step_ms: 5, previews: true }) });
    completed(await first);
    const { events } = await second;
    expect(events.some(({ step }) => step !== undefined)).toBe(true);
    await until(() => bench.standIn.inspect.undelivered() === 0);
  });

  it('D60 sends neither Origin nor Sec-Fetch headers', async () => {
    const bench = await startDriverBench({ standIn: { profile: 'late-2026' }, workspace: 'remote' });
    completed(await bench.run({ workflow: loadedPicture('a.png'), files: [{ name: 'a.png', data: tinyPng }] }));
    const names = new Set(bench.proxy.seen.flatMap(({ headers }) => Object.keys(headers)));
    expect([...names].filter((name) => name === 'origin' || name.startsWith('sec-fetch'))).toEqual([]);
    expect(bench.proxy.seen.some(({ method }) => method === 'UPGRADE')).toBe(true);
  });
});

async function interruptAnything(url: string): Promise<boolean> {
  const { statusCode, body } = await request(`${url}/interrupt`, { method: 'POST' });
  await body.dump();
  return statusCode === 200;
}
