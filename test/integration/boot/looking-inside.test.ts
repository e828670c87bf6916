/** The worker as a process of its own, the way the image starts it: RunPod emulated beside it, and what can be seen of it from inside. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { request } from 'undici';
import { describe, expect, it } from 'vitest';
import { inspectionSchema } from '../../../shared/index.ts';
import { comfyFolder } from '../../support/boot-bench.ts';
import { afterThisTest, until } from '../../support/runpod-emulator.ts';

const prompt = 'a very private wish';
const workflow = {
  '1': { class_type: 'EmptyImage', inputs: { width: 16, height: 16, batch_size: 1, color: 255 } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' }, _meta: { title: prompt } },
};

interface Started {
  readonly child: ChildProcess;
  readonly lines: () => string;
  readonly code: Promise<number | null>;
}

function start(program: string, args: readonly string[], environment: Readonly<Record<string, string>>): Started {
  const env = { PATH: process.env['PATH'] ?? '', ...environment };
  const child = spawn(process.execPath, [path.resolve('bin', program), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  }
  const code = once(child, 'close').then(([exit]: unknown[]) => exit as number | null);
  afterThisTest(async () => {
    child.kill('SIGKILL');
    await code;
  });
  return { child, lines: () => text, code };
}

async function variables(): Promise<Record<string, string>> {
  const { root, comfy } = await comfyFolder();
  return {
    COMFY_DIR: comfy,
    COMFY_PYTHON: process.execPath,
    COMFY_PORT: '0',
    ALLOW_CPU: '1',
    WORKSPACE_DIR: path.join(root, 'shm'),
    NETWORK_VOLUME_DIR: path.join(root, 'volume'),
    RUNTIME_DIR: path.join(root, 'run'),
  };
}

describe('SERVE_API_LOCALLY', () => {
  it('answers /runsync in the container; comfy-runpod-inspect shows the job, its receipt and the start, and no words of the job', async () => {
    const base = await variables();
    const environment = { ...base, SERVE_API_LOCALLY: 'true', LOCAL_API_PORT: '0' };
    const worker = start('comfy-runpod.js', ['worker'], environment);
    await until(() => /url=?"?:?\s*"?(http:[^\s"]+)/.test(worker.lines()));
    const url = /http:\/\/127\.0\.0\.1:\d+\/\S*ep1/.exec(worker.lines())?.[0] ?? '';
    const answer = await request(`${url}/runsync`, {
      method: 'POST',
      headers: { authorization: 'Bearer sandbox', 'content-type': 'application/json' },
      body: JSON.stringify({ input: { contract: 1, workflow } }),
    });
    expect(await answer.body.json()).toMatchObject({ status: 'COMPLETED' });

    const inspect = start('comfy-runpod-inspect.js', ['--json'], { RUNTIME_DIR: base['RUNTIME_DIR'] ?? '' });
    expect(await inspect.code).toBe(0);
    const { inspection } = JSON.parse(inspect.lines()) as { inspection: unknown };
    const found = inspectionSchema.parse(inspection);
    expect(found).toMatchObject({ mode: 'worker', state: 'ready', comfy: { state: 'ready' } });
    expect(found.jobs.ended).toMatchObject([
      { outcome: 'completed', receipt: { wipe: { mode: 'wiped', verified: true } } },
    ]);
    expect(found.boot.stages.map(({ name }) => name)).toEqual(expect.arrayContaining(['api', 'jobs', 'comfyui']));
    expect(inspect.lines()).not.toContain(prompt);
    const words = start('comfy-runpod-inspect.js', [], { RUNTIME_DIR: base['RUNTIME_DIR'] ?? '' });
    expect(await words.code).toBe(0);
    expect(words.lines()).toContain('wipe wiped');

    worker.child.kill('SIGTERM');
    expect(await worker.code).toBe(0);
    const gone = start('comfy-runpod-inspect.js', [], { RUNTIME_DIR: base['RUNTIME_DIR'] ?? '' });
    expect(await gone.code).not.toBe(0);
    expect(gone.lines()).toContain('No worker answers');
  });

  it('is refused where RunPod itself has set its variables', async () => {
    const worker = start('comfy-runpod.js', ['worker'], {
      ...(await variables()),
      SERVE_API_LOCALLY: '1',
      RUNPOD_WEBHOOK_GET_JOB: 'https://runpod.example/job-take/$ID',
    });
    expect(await worker.code).toBe(2);
    expect(worker.lines()).toContain('SERVE_API_LOCALLY');
  });
});

describe('MODE=interactive', () => {
  it.skipIf(existsSync('/usr/sbin/sshd'))(
    'ends with exit code 24 and a sentence where there is no SSH server (in the image there is one)',
    async () => {
      const key = `ssh-ed25519 ${Buffer.alloc(51, 1).toString('base64')} someone`;
      const worker = start('comfy-runpod.js', ['worker'], {
        ...(await variables()),
        MODE: 'interactive',
        PUBLIC_KEY: key,
      });
      expect(await worker.code).toBe(24);
      expect(worker.lines().trim().split('\n').at(-2)).toContain('SSH_FAILED');
    },
  );
});
