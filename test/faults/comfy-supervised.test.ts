/** A ComfyUI that the worker starts: whatever it does, the worker says so truthfully, gets it back, and leaves no process behind. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../../shared/index.ts';
import { connectComfy } from '../../worker/comfy/index.ts';
import { createJobRunner } from '../../worker/job/index.ts';
import { createSharedWorkspace, rootDirectories } from '../../worker/workspace/index.ts';
import {
  emptyPicture,
  loadedPicture,
  pictureThrough,
  quickTimings,
  readBody,
  recordingLogger,
  tinyPng,
} from '../support/driver-bench.ts';
import { afterThisTest, until } from '../support/runpod-emulator.ts';

const impostors = path.resolve('test/fixtures/comfy-impostors');
const marker = 'MARKER-PROMPT';
const slow = () =>
  pictureThrough('SandboxSleep', { steps: 30, step_ms: 30, label: `${marker} a portrait of somebody` });

interface Supervised {
  /** The folder of all of ComfyUI's folders. */
  readonly root: string;
  readonly comfy: ReturnType<typeof connectComfy>;
  readonly log: readonly string[];
  pids(file?: string): Promise<number[]>;
  run(workflow: unknown, onProgress?: (event: ProgressEvent) => void): Promise<Ended>;
  /** Runs a job with this input. */
  ask(input: unknown, onProgress?: (event: ProgressEvent) => void): Promise<Ended>;
}

interface Ended {
  readonly kind: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly recycle: boolean;
  readonly envelope: Record<string, unknown> | undefined;
}

/** Starts an impostor and a runner of jobs that drives it. */
async function supervise(
  args: string[],
  faults: object[] = [],
  startTimeoutMs = 15_000,
  denied: string[] = [],
): Promise<Supervised> {
  const root = await mkdtemp(path.join(tmpdir(), 'comfy-supervised-'));
  afterThisTest(() => rm(root, { recursive: true, force: true }));
  const directories = rootDirectories(root);
  const logger = recordingLogger();
  const environment = { PATH: process.env['PATH'] ?? '', SANDBOX_COMFYUI_FAULTS: JSON.stringify(faults) };
  const source = { kind: 'start', dir: impostors, python: process.execPath, port: 0, args, directories } as const;
  const comfy = connectComfy({
    source: { ...source, environment },
    logger,
    startTimeoutMs,
    timings: { ...quickTimings, stopMs: 400 },
  });
  afterThisTest(() => comfy.close());
  const workspace = createSharedWorkspace(directories);
  await workspace.prepare();
  const runner = createJobRunner({ comfy, workspace, logger, workerId: 'worker-1', policy: { denied } });
  const supervised: Supervised = {
    root,
    comfy,
    log: logger.lines,
    pids: async (file = 'pids') =>
      (await readFile(path.join(root, 'user', file), 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number),
    run: (workflow, onProgress) => supervised.ask({ contract: 1, workflow }, onProgress),
    ask: async (input, onProgress = () => undefined) => {
      const signal = AbortSignal.timeout(25_000);
      const outcome = await runner.run(
        { id: 'job-1', input },
        {
          signal,
          resultLimitBytes: 10 ** 7,
          onProgress,
        },
      );
      const output = outcome.kind === 'cancelled' ? undefined : outcome.output;
      const error = outcome.kind === 'failed' ? outcome.error : undefined;
      return {
        kind: outcome.kind,
        code: error?.code,
        message: error?.message ?? '',
        recycle: error?.policy.recycle ?? false,
        envelope: output && (JSON.parse(await readBody(output)) as Record<string, unknown>),
      };
    },
  };
  return supervised;
}

const soon = () => AbortSignal.timeout(15_000);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Kills the newest ComfyUI as soon as the job runs. */
function killOnce(bench: Supervised): (event: ProgressEvent) => void {
  let killed = false;
  return (event) => {
    if (killed || event.step === undefined) return;
    killed = true;
    void bench.pids().then((pids) => process.kill(pids.at(-1) ?? 0, 'SIGKILL'));
  };
}

describe('a ComfyUI that the worker started', () => {
  it('that is killed during a run gets the run again, once, under the same id, and the caller gets the result', async () => {
    const bench = await supervise([]);
    const ended = await bench.run(slow(), killOnce(bench));
    expect(ended).toMatchObject({
      kind: 'completed',
      envelope: { artifacts: [{ node: '9', name: 'pic_00001_.png' }] },
    });
    expect(ended.envelope).toMatchObject({ receipt: { retries: 1 } });
    expect(await bench.pids()).toHaveLength(2);
  });

  it('that dies in every run fails the run after the second time, with its last lines and nothing of the prompt', async () => {
    const bench = await supervise([], [{ kind: 'crash', at: 'progress', times: 'always' }]);
    const ended = await bench.run(slow());
    expect(ended).toMatchObject({ kind: 'failed', code: 'COMFY_CRASHED' });
    expect(ended.message).toContain('with code 1');
    expect(ended.message).not.toContain(marker);
    expect((await bench.pids()).length).toBeGreaterThanOrEqual(2);
    // It is there again for the next job.
    await expect(bench.comfy.ready(soon())).resolves.toMatchObject({ version: '0.3.64' });
  });

  it('that nothing stops is ended and started again, and what waited in it runs in the new one', async () => {
    const bench = await supervise([], [{ kind: 'interrupt-ignored', times: 'always' }]);
    await bench.comfy.ready(soon());
    const endless = pictureThrough('SandboxSleep', { steps: 10_000, step_ms: 20 });
    const first = bench.ask({ contract: 1, workflow: endless, limits: { executionMs: 1_000 } });
    const second = bench.run(emptyPicture());
    expect(await first).toMatchObject({ kind: 'failed', code: 'DEADLINE_EXCEEDED' });
    expect(await second).toMatchObject({ kind: 'completed', envelope: { receipt: { retries: 1 } } });
    expect(await bench.pids()).toHaveLength(2);
  });

  it('that dies between two jobs is started again at once, before a job asks for it', async () => {
    const bench = await supervise([]);
    await bench.comfy.ready(soon());
    const [first = 0] = await bench.pids();
    process.kill(first, 'SIGKILL');
    await until(async () => (await bench.pids()).length === 2);
    expect(await bench.run(emptyPicture())).toMatchObject({ kind: 'completed' });
  });

  it('that does not come back fails the run with how it ended', async () => {
    const bench = await supervise(['--impostor-dies-young-again']);
    const ended = await bench.run(slow(), killOnce(bench));
    expect(ended).toMatchObject({ kind: 'failed', code: 'COMFY_CRASHED' });
    expect(ended.message).toContain('SIGKILL');
  });

  it('that keeps ending is started with growing pauses, not in a tight loop', async () => {
    const bench = await supervise(['--impostor-dies-young']);
    const startedAt = performance.now();
    for (let i = 0; i < 4; i++) {
      await expect(bench.comfy.ready(soon())).rejects.toMatchObject({
        code: 'COMFY_START_FAILED',
        message: expect.stringContaining("No module named 'torch'") as string,
      });
    }
    expect(performance.now() - startedAt).toBeGreaterThan(1_000);
    expect((await bench.pids()).length).toBeLessThanOrEqual(4);
  });

  it('that does not know a flag says so with its usage, and asks for another worker', async () => {
    const bench = await supervise(['--no-such-flag']);
    const ended = await bench.run(emptyPicture());
    expect(ended).toMatchObject({ kind: 'failed', code: 'COMFY_START_FAILED', recycle: true });
    expect(ended.message).toContain('with code 2');
    expect(ended.message).toContain('--no-such-flag');
  });

  it('that starts slowly is waited for; one that never listens is ended', async () => {
    const slowly = await supervise(['--impostor-slow']);
    expect(await slowly.run(emptyPicture())).toMatchObject({ kind: 'completed' });
    const never = await supervise(['--impostor-never-binds'], [], 1_000);
    expect(await never.run(emptyPicture())).toMatchObject({ kind: 'failed', code: 'COMFY_START_FAILED' });
    for (const pid of await never.pids()) await until(() => !isAlive(pid));
  });

  it('that is still booting has the files of the first job in its input folder when it answers', async () => {
    const bench = await supervise(['--impostor-slow']);
    const phases: string[] = [];
    const input = { contract: 1, workflow: loadedPicture('in.png'), files: [{ name: 'in.png', data: tinyPng }] };
    const running = bench.ask(input, ({ phase }) => phases.push(phase));
    const staged = async () =>
      (await readdir(path.join(bench.root, 'input'), { recursive: true })).filter((name) => name.endsWith('.png'));
    await until(async () => (await staged()).length === 1);
    expect(bench.comfy.isReady()).toBe(false);
    await expect(running).resolves.toMatchObject({ kind: 'completed', envelope: { receipt: { bytes: { in: 97 } } } });
    expect([...new Set(phases)].slice(0, 2)).toEqual(['starting', 'staging']);
    expect(await staged()).toEqual([]);
  });

  it('that is still booting gets no file of a job that its owner does not allow, and the job does not wait for it', async () => {
    const bench = await supervise(['--impostor-slow'], [], undefined, ['Load*']);
    const input = { contract: 1, workflow: loadedPicture('in.png'), files: [{ name: 'in.png', data: tinyPng }] };
    expect(await bench.ask(input)).toMatchObject({ kind: 'failed', code: 'WORKFLOW_FORBIDDEN_NODE' });
    expect(bench.comfy.isReady()).toBe(false);
    const left = await readdir(path.join(bench.root, 'input'), { recursive: true });
    expect(left.filter((name) => name.endsWith('.png'))).toEqual([]);
  });

  it('that is still booting gets no file of a job that names one of them nowhere, or whose ComfyUI never comes', async () => {
    const files = [
      { name: 'in.png', data: tinyPng },
      { name: 'unnamed.png', data: tinyPng },
    ];
    const slowly = await supervise(['--impostor-slow']);
    const refused = await slowly.ask({ contract: 1, workflow: loadedPicture('in.png'), files });
    expect(refused).toMatchObject({ kind: 'failed', code: 'INPUT_INVALID' });
    expect(slowly.comfy.isReady()).toBe(false);
    const never = await supervise(['--impostor-never-binds'], [], 1_000);
    const ended = await never.ask({ contract: 1, workflow: loadedPicture('in.png'), files: files.slice(0, 1) });
    expect(ended).toMatchObject({ kind: 'failed', code: 'COMFY_START_FAILED' });
    for (const { root } of [slowly, never]) {
      const left = await readdir(path.join(root, 'input'), { recursive: true });
      expect(left.filter((name) => name.endsWith('.png'))).toEqual([]);
    }
  });

  it.each([[[]], [['--impostor-deaf']]])('is ended with everything that it started: %j', async (extra) => {
    const bench = await supervise(['--impostor-grandchild', ...extra]);
    await bench.comfy.ready(soon());
    const pids = [...(await bench.pids()), ...(await bench.pids('grandchildren'))];
    expect(pids).toHaveLength(2);
    await bench.comfy.close();
    for (const pid of pids) await until(() => !isAlive(pid));
  });

  it('that was killed leaves none of its children beside the next one', async () => {
    const bench = await supervise(['--impostor-grandchild']);
    await bench.comfy.ready(soon());
    const [first = 0] = await bench.pids();
    const [grandchild = 0] = await bench.pids('grandchildren');
    process.kill(first, 'SIGKILL');
    await until(() => !isAlive(grandchild));
  });

  it('tells the packs that failed to import, in every error about a missing node and when it is described', async () => {
    const bench = await supervise(['--impostor-failed-imports']);
    expect((await bench.comfy.ready(soon())).failedPacks).toEqual(['ComfyUI-Broken-Pack']);
    const ended = await bench.run({ ...emptyPicture(), '3': { class_type: 'BrokenPackNode', inputs: {} } });
    expect(ended).toMatchObject({ kind: 'failed', code: 'WORKFLOW_UNKNOWN_NODE' });
    expect(ended.message).toContain('ComfyUI-Broken-Pack');
    expect(bench.log.join('\n')).toContain('ComfyUI-Broken-Pack');
    const { envelope } = await bench.ask({ action: 'describe' });
    expect(envelope?.['importFailures']).toEqual([{ pack: 'ComfyUI-Broken-Pack' }]);
  });

  it('whose GPU has failed asks for another worker after the error', async () => {
    const bench = await supervise([], [{ kind: 'cuda-fault', classType: 'EmptyImage' }]);
    expect(await bench.run(emptyPicture())).toMatchObject({ kind: 'failed', code: 'GPU_BROKEN', recycle: true });
  });

  it('that prints prompts in every shape of a log line gets none of them into our log or errors', async () => {
    const bench = await supervise(['--impostor-chatty'], [{ kind: 'crash', at: 'progress', times: 'always' }]);
    const ended = await bench.run(slow());
    expect(ended).toMatchObject({ kind: 'failed', code: 'COMFY_CRASHED' });
    expect(ended.message).toContain('ValueError');
    expect(ended.message + bench.log.join('\n')).not.toContain(marker);
  });
});
