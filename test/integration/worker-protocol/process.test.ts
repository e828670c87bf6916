/** The worker as a process of its own: signals, exit codes, a busy main thread, sudden death. Promises W53, W54, W67, W68 and W72. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { errorFromWire } from '../../../shared/index.ts';
import { afterThisTest, until } from '../../support/runpod-emulator.ts';
import { startWorkerBench, type WorkerBench } from '../../support/worker-bench.ts';

const program = join(import.meta.dirname, '../../support/worker-child.ts');

interface Child {
  readonly process: ChildProcessWithoutNullStreams;
  readonly exited: Promise<number | null>;
  stdout: string;
  stderr: string;
}

function startChild(environment: Readonly<Record<string, string | undefined>>): Child {
  const started = spawn(process.execPath, [program], { env: { PATH: process.env['PATH'], ...environment } });
  const exited = once(started, 'exit').then(([code]) => code as number | null);
  const child: Child = { process: started, exited, stdout: '', stderr: '' };
  started.stdout.on('data', (text: Buffer) => {
    child.stdout += text.toString();
  });
  started.stderr.on('data', (text: Buffer) => {
    child.stderr += text.toString();
  });
  afterThisTest(async () => {
    started.kill('SIGKILL');
    await exited;
  });
  return child;
}

/** Starts a bench and a worker process that has taken a job. */
async function withJob(input: object): Promise<{ bench: WorkerBench; child: Child; id: string }> {
  const bench = await startWorkerBench();
  const child = startChild(bench.environment());
  const id = await bench.run(input);
  await until(() => bench.emulator.inspect.job(id)?.status === 'IN_PROGRESS');
  await until(() => child.stdout.includes('"Started."'));
  return { bench, child, id };
}

describe('a worker process', () => {
  it('W67: SIGTERM during a job lets it finish and post; the exit code is 0 and no further job is taken', async () => {
    const { bench, child, id } = await withJob({ do: 'wait', ms: 400, value: 1 });
    const takes = bench.seen('job-take').length;
    child.process.kill('SIGTERM');
    expect(await child.exited).toBe(0);
    expect(await bench.ended(id)).toMatchObject({ status: 'COMPLETED', output: 1 });
    expect(bench.seen('job-take')).toHaveLength(takes);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'W68: %s while idle ends it within a second, with exit code 0',
    async (name) => {
      const bench = await startWorkerBench();
      const child = startChild(bench.environment());
      await until(() => bench.emulator.inspect.workers()[0]?.heldTakes === 1);
      const startedAt = performance.now();
      child.process.kill(name);
      expect(await child.exited).toBe(0);
      expect(performance.now() - startedAt).toBeLessThan(1_000);
    },
  );

  it('a second signal gives the running job up: its caller is told and the exit code is 1', async () => {
    const { bench, child, id } = await withJob({ do: 'hold' });
    child.process.kill('SIGTERM');
    await until(() => child.stdout.includes('Draining'));
    child.process.kill('SIGTERM');
    expect(await child.exited).toBe(1);
    expect(errorFromWire((await bench.ended(id)).error ?? '').code).toBe('WORKER_SHUTDOWN');
  });

  it('a third signal ends it on the spot', async () => {
    const { child } = await withJob({ do: 'stubborn' });
    child.process.kill('SIGTERM');
    await until(() => child.stdout.includes('"count":1'));
    child.process.kill('SIGTERM');
    await until(() => child.stdout.includes('"count":2'));
    const startedAt = performance.now();
    child.process.kill('SIGTERM');
    expect(await child.exited).toBe(1);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('W53: pings go on while a job keeps the main thread busy for more than three intervals', async () => {
    const { bench, id } = await withJob({ do: 'block', ms: 3_600 });
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    const named = bench.seen('ping').filter((ping) => ping.target.includes(id));
    expect(named.length).toBeGreaterThanOrEqual(3);
    const gaps = named.slice(1).map((ping, n) => ping.at - (named[n]?.at ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(1_500);
  });

  it('W54: after SIGKILL no ping is sent any more', async () => {
    const { bench, child } = await withJob({ do: 'hold' });
    await until(() => bench.seen('ping').length > 1);
    child.process.kill('SIGKILL');
    await child.exited;
    const sent = bench.seen('ping').length;
    const deadAt = performance.now();
    await until(() => performance.now() - deadAt > 2_200);
    expect(bench.seen('ping')).toHaveLength(sent);
  });

  it('an exception that nobody caught gives the job an error report and ends the process with 1, and its text is not logged', async () => {
    const { bench, child, id } = await withJob({ do: 'crash' });
    expect(await child.exited).toBe(1);
    expect(errorFromWire((await bench.ended(id)).error ?? '').code).toBe('WORKER_SHUTDOWN');
    expect(child.stdout).toContain('Uncaught exception');
    expect(child.stdout + child.stderr).not.toContain('text of a caller');
  });

  it('W72: with an endpoint id every line is one JSON object with requestId, message and level', async () => {
    const { bench, child, id } = await withJob({ do: 'wait', ms: 50, value: 'secret picture' });
    await bench.ended(id);
    child.process.kill('SIGTERM');
    await child.exited;
    const lines = child.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      expect(line).toMatchObject({
        message: expect.any(String),
        level: expect.stringMatching(/^(DEBUG|INFO|WARN|ERROR)$/),
      });
      expect(line).toHaveProperty('requestId');
    }
    expect(lines.find((line) => line['message'] === 'Started.')).toMatchObject({ requestId: id });
    expect(child.stdout).not.toContain('secret picture');
  });

  it("without RunPod's variables it explains what is missing, names the command that helps, and exits with the code of wrong usage", async () => {
    const child = startChild({});
    expect(await child.exited).toBe(2);
    expect(child.stderr).toContain('RUNPOD_WEBHOOK_GET_JOB');
    expect(child.stderr).toContain('comfy-runpod dev');
    expect(child.stdout).toBe('');
  });
});
