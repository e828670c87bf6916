// Becoming ready and finding out what a ComfyUI can do: statements D01 to D07 of the ComfyUI protocol notes §7.1.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { type ComfyConnection, connectComfy } from '../../../worker/comfy/index.ts';
import { rootDirectories } from '../../../worker/workspace/index.ts';
import {
  completed,
  emptyPicture,
  failureOf,
  loadedPicture,
  pictureThrough,
  quickTimings,
  recordingLogger,
  startDriverBench,
  tinyPng,
} from '../../support/driver-bench.ts';
import { afterThisTest, until } from '../../support/runpod-emulator.ts';

const impostor = path.resolve('test/fixtures/comfy-driver/impostor');

/** Starts the impostor, which behaves as its arguments say. */
async function startImpostor(
  args: string[],
  startTimeoutMs = 10_000,
): Promise<{ comfy: ComfyConnection; root: string }> {
  const root = await mkdtemp(path.join(tmpdir(), 'comfy-driver-'));
  afterThisTest(() => rm(root, { recursive: true, force: true }));
  const comfy = connectComfy({
    source: {
      kind: 'start',
      dir: impostor,
      python: process.execPath,
      port: 0,
      args,
      directories: rootDirectories(root),
      environment: { PATH: process.env['PATH'] ?? '' },
    },
    logger: recordingLogger(),
    startTimeoutMs,
    timings: quickTimings,
  });
  afterThisTest(() => comfy.close());
  return { comfy, root };
}

const soon = () => AbortSignal.timeout(10_000);

describe('start', () => {
  it('D01 waits for a ComfyUI that refuses connections while it starts', async () => {
    const standIn = await startComfyStandIn();
    afterThisTest(() => standIn.close());
    await standIn.crash(600);
    const timings = quickTimings;
    const source = { kind: 'attach', url: standIn.url } as const;
    const comfy = connectComfy({ source, logger: recordingLogger(), startTimeoutMs: 10_000, timings });
    afterThisTest(() => comfy.close());
    await expect(comfy.ready(soon())).resolves.toMatchObject({ version: '0.3.64' });
  });

  it('D01 tells the last lines of a ComfyUI that ends while it starts', async () => {
    const { comfy } = await startImpostor(['--die-at-start']);
    await expect(comfy.ready(soon())).rejects.toMatchObject({
      code: 'COMFY_START_FAILED',
      message: expect.stringContaining('ModuleNotFoundError: No module named') as string,
      details: { exitCode: 3 },
    });
  });

  it('D01 gives up a ComfyUI that never answers, and leaves no process behind', async () => {
    const { comfy, root } = await startImpostor(['--never-listen'], 1_500);
    await expect(comfy.ready(soon())).rejects.toMatchObject({
      code: 'COMFY_START_FAILED',
      message: expect.stringContaining('did not answer within') as string,
    });
    const pid = Number(await readFile(path.join(root, 'user', 'pid'), 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  it('D02 is ready only when the statistics can be read', async () => {
    const standIn = await startComfyStandIn();
    afterThisTest(() => standIn.close());
    standIn.faults.arm({ kind: 'bad-status', endpoint: '/system_stats', status: 500, times: 3 });
    const source = { kind: 'attach', url: standIn.url } as const;
    const comfy = connectComfy({ source, logger: recordingLogger(), startTimeoutMs: 10_000, timings: quickTimings });
    afterThisTest(() => comfy.close());
    await comfy.ready(soon());
    const asked = standIn.inspect.requestsSeen().filter(({ url }) => url === '/system_stats');
    expect(asked).toHaveLength(4);
  });

  it.each([
    { profile: 'baseline', route: '/interrupt' },
    { profile: 'late-2026', route: '/api/jobs/' },
  ] as const)('D03 cancels the way the version knows: $route', async ({ profile, route }) => {
    const bench = await startDriverBench({ standIn: { profile } });
    const stop = new AbortController();
    const running = bench.run(
      { workflow: pictureThrough('SandboxSleep', { steps: 400, step_ms: 25 }) },
      { signal: stop.signal },
    );
    await until(() => bench.standIn.inspect.queue().running.length === 1);
    stop.abort(new Error('stopped'));
    expect((await running).outcome.kind).toBe('cancelled');
    const posts = bench.proxy.seen.filter(({ method, path: to }) => method === 'POST' && to.startsWith(route));
    expect(posts.length).toBeGreaterThan(0);
  });

  it('D04 makes the folders first and passes only flags that the installed version declares', async () => {
    const { comfy, root } = await startImpostor([]);
    await comfy.ready(soon());
    const argv = JSON.parse(await readFile(path.join(root, 'user', 'argv.json'), 'utf8')) as string[];
    expect(argv).toEqual(
      expect.arrayContaining(['--listen', '127.0.0.1', '--input-directory', path.join(root, 'input')]),
    );
    expect(argv).toEqual(expect.arrayContaining(['--temp-directory', root, '--disable-metadata']));
    expect(argv).not.toContain('--disable-assets');
    for (const folder of ['input', 'output', 'temp', 'user']) expect(existsSync(path.join(root, folder))).toBe(true);
  });

  it('D57 ends a ComfyUI that is deaf to the polite signal, with what it started, and removes its temp folder', async () => {
    const { comfy, root } = await startImpostor(['--deaf']);
    await comfy.ready(soon());
    const pids = await Promise.all(
      ['pid', 'grandchild'].map(async (name) => Number(await readFile(path.join(root, 'user', name), 'utf8'))),
    );
    await comfy.close();
    await comfy.close();
    for (const pid of pids) await until(() => !isAlive(pid));
    expect(existsSync(path.join(root, 'temp'))).toBe(false);
  });

  it('starts a ComfyUI that died again for the next job', async () => {
    const { comfy, root } = await startImpostor([]);
    await comfy.ready(soon());
    const pidFile = path.join(root, 'user', 'pid');
    const first = Number(await readFile(pidFile, 'utf8'));
    process.kill(first, 'SIGKILL');
    await until(() => !isAlive(first));
    await until(async () => {
      await comfy.ready(soon());
      return Number(await readFile(pidFile, 'utf8')) !== first;
    });
  });

  it.each(['history', 'executed', 'object_info'] as const)('D05 reads answers with NaN in them: %s', async (where) => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'nan', in: where, times: 'always' }] } });
    expect(completed(await bench.run({ workflow: emptyPicture() })).artifacts).toHaveLength(1);
  });

  it('D06 tells a 500 with a text body as such, on any route that a job needs', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    const fault = bench.standIn.faults.arm({ kind: 'bad-status', endpoint: '/upload/image', status: 500 });
    const files = [{ name: 'a.png', data: tinyPng }];
    const error = failureOf(await bench.run({ workflow: loadedPicture('a.png'), files }));
    expect(error.code).toBe('COMFY_PROTOCOL');
    expect(error.message).toContain('500 Internal Server Error');
    expect(fault.struck).toBe(1);
  });

  it('D06 does not lose a result because ComfyUI fails to forget it', async () => {
    const bench = await startDriverBench();
    const fault = bench.standIn.faults.arm({ kind: 'bad-status', endpoint: '/history', status: 500 });
    expect(completed(await bench.run({ workflow: emptyPicture() })).artifacts).toHaveLength(1);
    expect(fault.struck).toBe(1);
  });

  it('D07 asks for single classes when the whole list fails, and still finds what is missing', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'bad-status', endpoint: '/object_info', status: 500, times: 'always' });
    expect(completed(await bench.run({ workflow: emptyPicture() })).artifacts).toHaveLength(1);
    const unknown = { ...emptyPicture(), '3': { class_type: 'NoSuchNode', inputs: {} } };
    expect(failureOf(await bench.run({ workflow: unknown })).code).toBe('WORKFLOW_UNKNOWN_NODE');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
