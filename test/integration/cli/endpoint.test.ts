// Commands against an endpoint: what goes wrong there or on the way, Ctrl-C, and what is on disk afterwards.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ComfyRunpodError, contractVersion, errorToWire, exitCodes } from '../../../shared/index.ts';
import {
  artifact,
  envelope,
  json,
  runCommandLine,
  startClientBench,
  startCommand,
  startFakeApi,
  useFolder,
} from '../../support/client-bench.ts';
import { until } from '../../support/runpod-emulator.ts';

const workflow = JSON.stringify({
  '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'out' } },
});
const bytes = Buffer.from('the bytes of a picture');

async function useWorkflow(): Promise<string> {
  const folder = await useFolder();
  await writeFile(join(folder, 'w.json'), workflow);
  return folder;
}

function address(baseUrl: string, changes: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    RUNPOD_API_KEY: 'sandbox',
    RUNPOD_ENDPOINT_ID: 'ep1',
    RUNPOD_BASE_URL: baseUrl,
    RUNPOD_REQUEST_TIMEOUT: '1',
    ...changes,
  };
}

describe('an endpoint that refuses', () => {
  it('a wrong key, an unknown endpoint and an unknown job each say which setting to check', async () => {
    const { environment } = await startClientBench();
    const folder = await useWorkflow();
    const cases: [readonly string[], Record<string, string>, string, string][] = [
      [['run', 'w.json'], { RUNPOD_API_KEY: 'wrong' }, 'UNAUTHORIZED', 'RUNPOD_API_KEY'],
      [['health'], { RUNPOD_API_KEY: 'wrong' }, 'UNAUTHORIZED', 'RUNPOD_API_KEY'],
      [['run', 'w.json'], { RUNPOD_ENDPOINT_ID: 'nobody' }, 'ENDPOINT_NOT_FOUND', 'RUNPOD_ENDPOINT_ID'],
      [['wait', 'gone-u1'], {}, 'JOB_NOT_FOUND', 'expired'],
      [['cancel', 'gone-u1'], {}, 'JOB_NOT_FOUND', 'expired'],
    ];
    for (const [argv, changes, code, hint] of cases) {
      const outcome = await runCommandLine(argv, { folder, environment: { ...environment, ...changes } });
      expect(outcome).toMatchObject({ exitCode: exitCodes.access, stdout: '' });
      expect(outcome.stderr).toContain(`error ${code}: `);
      expect(outcome.stderr).toContain(hint);
      expect(outcome.stderr).not.toContain('wrong');
    }
    expect(await readdir(folder)).toEqual(['w.json']);
  });

  it('a server that always asks to slow down is given up after a few attempts', async () => {
    const api = await startFakeApi((_, response) => json(response, 429, { error: 'slow' }, { 'retry-after': '0' }));
    const folder = await useWorkflow();
    const outcome = await runCommandLine(['run', 'w.json'], { folder, environment: address(api.baseUrl) });
    expect(outcome.exitCode).toBe(exitCodes.platform);
    expect(outcome.stderr).toContain('error RATE_LIMITED: ');
    expect(api.calls.length).toBeGreaterThan(1);
    expect(api.calls.length).toBeLessThan(6);
  });

  it('a web page, a redirect, garbage and a refused connection are told apart', async () => {
    const folder = await useWorkflow();
    const page = await startFakeApi((_, response) => response.end('<!doctype html><h1>Welcome</h1>'));
    const moved = await startFakeApi((_, response) =>
      response.writeHead(302, { location: 'http://127.0.0.1:9/' }).end(),
    );
    const run = (baseUrl: string, argv = ['run', 'w.json']) =>
      runCommandLine(argv, { folder, environment: address(baseUrl) });
    for (const argv of [['run', 'w.json'], ['wait', 'j'], ['status', 'j'], ['health']]) {
      const outcome = await run(page.baseUrl, argv);
      expect(outcome.stderr).toContain('error PLATFORM_ANSWER_INVALID: ');
      expect(outcome.stderr).toContain('a web page');
      expect(outcome.exitCode).toBe(exitCodes.platform);
    }
    expect((await run(moved.baseUrl, ['wait', 'j'])).stderr).toContain('error PLATFORM_ANSWER_INVALID: ');
    const closed = await run('http://127.0.0.1:9');
    expect(closed.stderr).toContain('error NETWORK_UNREACHABLE: 127.0.0.1:9 can');
    expect(closed.exitCode).toBe(exitCodes.platform);
  });

  it('a server that never answers ends in a time-out; a submit to it is called uncertain', async () => {
    const api = await startFakeApi(() => undefined);
    const folder = await useWorkflow();
    const environment = address(api.baseUrl);
    const submit = await runCommandLine(['submit', 'w.json'], { folder, environment });
    expect(submit.stderr).toContain('error SUBMIT_UNCERTAIN: ');
    expect(submit.stdout).toBe('');
    expect(api.calls).toHaveLength(1);
    const health = await runCommandLine(['health'], { folder, environment });
    expect(health.stderr).toContain('error NETWORK_TIMEOUT: ');
  }, 60_000);
});

describe('a job that ends badly', () => {
  it("shows the worker's message, its issues and its next step, and nothing is saved", async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const running = startCommand(['run', 'w.json'], { folder, environment });
    const worker = bench.worker();
    const job = await worker.takeJob();
    const error = new ComfyRunpodError('WORKFLOW_REJECTED', 'ComfyUI rejected 1 node.\u001b[2J', {
      issues: [
        { node: '2', classType: 'SaveImage', field: 'images', message: 'Required input is missing' },
        { node: '3', message: 'Bad link' },
      ],
      nextStep: 'Connect the input.',
    });
    await worker.done(job.id, { error: errorToWire(error, { workerId: 'w', hostname: 'h', version: '1' }) });
    expect(await running.exitCode).toBe(exitCodes.input);
    expect(running.stdout()).toBe('');
    expect(running.stderr()).toContain('error WORKFLOW_REJECTED: ComfyUI rejected 1 node.');
    expect(running.stderr()).toContain('  - node 2 (SaveImage), images: Required input is missing');
    expect(running.stderr()).toContain('next: Connect the input.');
    expect(running.stderr()).not.toContain('\u001b');
    expect(await readdir(folder)).toEqual(['w.json']);
  });

  it('a worker that dies with the job is reported as lost', async () => {
    const { bench, environment } = await startClientBench({ endpoint: { leaseMs: 300, takeHoldMs: 20_000 } });
    const folder = await useWorkflow();
    const running = startCommand(['run', 'w.json'], { folder, environment });
    const worker = bench.worker();
    await worker.takeJob();
    // Nobody pings for it: RunPod gives it to another worker once, which dies as well.
    await bench.worker('w2').takeJob();
    expect(await running.exitCode).toBe(exitCodes.jobFailed);
    expect(running.stderr()).toContain('error WORKER_LOST: ');
    expect(running.stderr()).toContain('attempt 2');
  });

  it('a completed job without a comfy-runpod result is never a success', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const worker = bench.worker();
    for (const output of [
      { images: ['x'] },
      undefined,
      envelope([artifact(bytes)], { contract: contractVersion + 1 }),
    ]) {
      const running = startCommand(['run', 'w.json'], { folder, environment });
      const job = await worker.takeJob();
      await worker.done(job.id, output === undefined ? {} : { output });
      expect(await running.exitCode).toBe(exitCodes.result);
      expect(running.stderr()).toContain('error RESULT_INVALID: ');
    }
    expect(await readdir(folder)).toEqual(['w.json']);
  });

  it('a damaged file is refused and nothing of the result is kept', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const worker = bench.worker();
    const good = artifact(bytes);
    for (const bad of [
      artifact(bytes, { delivery: { via: 'inline', data: '%%%%' } }),
      artifact(bytes, { size: bytes.byteLength + 1 }),
      artifact(bytes, { sha256: '0'.repeat(64) }),
    ]) {
      const running = startCommand(['run', 'w.json', '--out', 'a/b'], { folder, environment });
      const job = await worker.takeJob();
      await worker.done(job.id, { output: envelope([good, { ...bad, index: 1 }]) });
      expect(await running.exitCode).toBe(exitCodes.result);
      expect(running.stderr()).toContain('error RESULT_CORRUPT: ');
      expect(await readdir(folder)).toEqual(['w.json']);
    }
  });

  it('what was made before a failure is saved and named, and the command still fails', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const worker = bench.worker();
    const running = startCommand(['run', 'w.json', '--json'], { folder, environment });
    const job = await worker.takeJob();
    const error = errorToWire(new ComfyRunpodError('NODE_FAILED', 'Node 9 failed.'), {
      workerId: 'w',
      hostname: 'h',
      version: '1',
    });
    await worker.done(job.id, { error, output: envelope([artifact(bytes)], { status: 'partial' }) });
    expect(await running.exitCode).toBe(exitCodes.jobFailed);
    const document = JSON.parse(running.stdout());
    expect(document).toMatchObject({ ok: false, jobId: job.id, error: { code: 'NODE_FAILED' } });
    expect(document.files).toMatchObject([{ name: 'picture_00001_.png' }]);
    expect(await readdir(join(folder, 'results'))).toEqual(['picture_00001_.png']);
    expect(running.stderr()).toContain('made before the failure: ./results/picture_00001_.png');
  });
});

describe('a job that ends well', () => {
  it('run saves files readable by their owner only, prints their paths, and never overwrites', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const worker = bench.worker();
    const hostile = [
      artifact(bytes, { name: '../../escape.png', subfolder: '../..' }),
      artifact(bytes, { name: 'same.png', subfolder: 'sub/deep' }),
      artifact(bytes, { name: 'same.png', subfolder: 'sub/deep' }),
      artifact(bytes, { name: '/etc/passwd\0.png', subfolder: 'C:\\x' }),
    ];
    const running = startCommand(['run', 'w.json', '--out', 'out'], { folder, environment });
    const job = await worker.takeJob();
    await worker.done(job.id, {
      output: envelope(hostile, { values: [{ node: '5', classType: 'ShowText', key: 'text', value: ['hi'] }] }),
    });
    expect(await running.exitCode).toBe(0);
    expect(running.stdout().split('\n')).toEqual([
      './out/escape.png',
      './out/sub/deep/same.png',
      './out/sub/deep/same (1).png',
      './out/C_/x/etc/passwd_.png',
      '5.text\t["hi"]',
      '',
    ]);
    for (const line of running.stdout().split('\n').slice(0, 4)) {
      expect(await readFile(join(folder, line))).toEqual(bytes);
      expect((await stat(join(folder, line))).mode & 0o777).toBe(0o600);
    }
    expect((await readdir(join(folder, 'out'), { recursive: true })).filter((name) => name.endsWith('.tmp'))).toEqual(
      [],
    );
  });

  it('submit prints the id; status, wait and cancel take it; health counts', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const command = (...argv: string[]) => runCommandLine(argv, { folder, environment });
    const first = (await command('submit', 'w.json', '--timeout', '60')).stdout.trim();
    const second = (await command('submit', 'w.json')).stdout.trim();
    expect((await command('status', first)).stdout).toBe(`${first} IN_QUEUE\n`);
    expect((await command('cancel', second)).stdout).toBe(`${second} CANCELLED\n`);
    expect((await command('health')).stdout).toContain('inQueue 1');
    const worker = bench.worker();
    const job = await worker.takeJob();
    expect(job).toMatchObject({
      id: first,
      input: { limits: { executionMs: 60_000 } },
      policy: { executionTimeout: 90_000 },
    });
    await worker.done(first, { output: envelope([artifact(bytes)]) });
    const waited = await command('wait', first, '--json');
    expect(JSON.parse(waited.stdout)).toMatchObject({
      ok: true,
      jobId: first,
      files: [{ size: bytes.byteLength, node: '1' }],
    });
    const cancelled = await command('wait', second);
    expect(cancelled.exitCode).toBe(exitCodes.cancelled);
    expect(cancelled.stderr).toContain('error JOB_CANCELLED: ');
  });

  it('progress goes to stderr as plain lines, or as one redrawn line on a terminal; NO_COLOR is obeyed', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const worker = bench.worker();
    const event = (sequence: number) => ({
      kind: 'comfy-runpod/progress',
      contract: contractVersion,
      sequence,
      phase: 'running',
      node: { id: '3', classType: 'KSampler', title: 'Dream\u001b[31m' },
      step: { value: sequence, max: 20 },
      fraction: sequence / 20,
      elapsedMs: 1,
    });
    for (const interactive of [false, true]) {
      const running = startCommand(['run', 'w.json'], {
        folder,
        environment: { ...environment, NO_COLOR: '1' },
        interactive,
      });
      const job = await worker.takeJob();
      await worker.progress(job.id, event(5));
      await until(() => running.stderr().includes('running: Dream[31m (node 3)'));
      await worker.done(job.id, { output: envelope([artifact(bytes)]) });
      expect(await running.exitCode).toBe(0);
      expect(running.stderr().includes('25% running: Dream[31m (node 3) 5/20')).toBe(interactive);
      expect(running.stderr().includes('\u001b[31m')).toBe(false);
      expect(running.stderr().includes('\u001b[2K')).toBe(interactive);
    }
  });
});

describe('Ctrl-C', () => {
  it('cancels the remote job, says so, and waits until RunPod has stopped it', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const running = startCommand(['run', 'w.json'], { folder, environment });
    const job = await bench.worker().takeJob();
    await until(() => running.stderr().includes('taken by a worker'));
    running.press();
    expect(await running.exitCode).toBe(exitCodes.cancelled);
    expect(running.stderr()).toContain(`Cancelling job ${job.id}`);
    expect(bench.emulator.inspect.job(job.id)?.status).toBe('CANCELLED');
  });

  it('pressed twice leaves the job, prints its id and exits at once, even when cancelling hangs', async () => {
    const { bench, environment } = await startClientBench({
      faults: [{ route: 'cancel', do: { kind: 'hang', at: 'before' } }],
    });
    const folder = await useWorkflow();
    const running = startCommand(['run', 'w.json'], { folder, environment });
    const job = await bench.worker().takeJob();
    await until(() => running.stderr().includes('taken by a worker'));
    running.press();
    await until(() => running.stderr().includes('Cancelling'));
    running.press();
    expect(await running.exitCode).toBe(exitCodes.interrupted);
    expect(running.stderr()).toContain(`comfy-runpod wait ${job.id}`);
    expect(bench.emulator.inspect.job(job.id)?.status).toBe('IN_PROGRESS');
  });

  it('while the job is being submitted cancels it as soon as its id is known', async () => {
    const { bench, environment } = await startClientBench({
      faults: [{ route: 'run', do: { kind: 'delay', ms: 400 } }],
    });
    const folder = await useWorkflow();
    for (const [index, command] of ['run', 'submit'].entries()) {
      const running = startCommand([command, 'w.json'], { folder, environment });
      await until(() => bench.emulator.inspect.requestsSeen('run').length > index);
      running.press();
      expect(await running.exitCode).toBe(exitCodes.cancelled);
      expect(running.stdout()).toBe('');
    }
    expect(bench.emulator.inspect.jobs().map((job) => job.status)).toEqual(['CANCELLED', 'CANCELLED']);
  });

  it('while waiting for a job of earlier leaves the job alone', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow();
    const id = await bench.run({ input: { n: 1 } });
    const running = startCommand(['wait', id], { folder, environment });
    await until(() => running.stderr().includes('waiting in the queue'));
    running.press();
    expect(await running.exitCode).toBe(exitCodes.interrupted);
    expect(bench.emulator.inspect.job(id)?.status).toBe('IN_QUEUE');
  });
});
