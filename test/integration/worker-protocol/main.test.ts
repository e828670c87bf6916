/** The composition root inside this process: signals come from a stand-in for `process`, ComfyUI from the sandbox. */
import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { ComfyRunpodError, errorFromWire, readResultEnvelope } from '../../../shared/index.ts';
import { type RunnerFactory, runWorkerProcess } from '../../../worker/index.ts';
import { afterThisTest, until } from '../../support/runpod-emulator.ts';
import { ScriptedRunner } from '../../support/scripted-runner.ts';
import { startWorkerBench } from '../../support/worker-bench.ts';

/** The part of `process` that a worker process uses. */
class Host extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
  handlers(): number {
    return this.eventNames().reduce((sum, name) => sum + this.listenerCount(name), 0);
  }
}

const scripted: RunnerFactory = () => Promise.resolve({ runner: new ScriptedRunner(), close: () => Promise.resolve() });

const picture = {
  '1': { class_type: 'EmptyImage', inputs: { width: 16, height: 16, batch_size: 1, color: 255 } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
};

describe('the composition root', () => {
  it('runs a workflow through ComfyUI, posts the picture, drains on SIGTERM and takes its handlers back', async () => {
    const comfy = await startComfyStandIn();
    afterThisTest(() => comfy.close());
    const bench = await startWorkerBench({ environment: { COMFY_URL: comfy.url } });
    const host = new Host();
    const lines: string[] = [];
    const ended = runWorkerProcess(bench.environment(), { host, write: (line) => void lines.push(line) });
    const { status, output } = await bench.ended(await bench.run({ contract: 1, workflow: picture }));
    expect(status).toBe('COMPLETED');
    expect(readResultEnvelope(output)?.artifacts).toEqual([
      expect.objectContaining({ name: 'x_00001_.png', contentType: 'image/png' }),
    ]);
    host.emit('SIGTERM', 'SIGTERM');
    expect(await ended).toBe(0);
    expect(host.handlers()).toBe(0);
    expect(host.exits).toEqual([]);
    expect(lines.join('')).not.toContain('EmptyImage');
  });

  it('asks for jobs and beats while ComfyUI is not there yet; the job waits for it and then runs', async () => {
    const comfy = await startComfyStandIn();
    afterThisTest(() => comfy.close());
    await comfy.crash();
    const bench = await startWorkerBench({ environment: { COMFY_URL: comfy.url } });
    const host = new Host();
    const ended = runWorkerProcess(bench.environment(), { host, write: () => undefined });
    const id = await bench.run({ workflow: picture });
    await until(() => bench.seen('ping').some((ping) => ping.target.includes(id)));
    expect(bench.emulator.inspect.job(id)?.status).toBe('IN_PROGRESS');
    await comfy.restart();
    expect((await bench.ended(id)).status).toBe('COMPLETED');
    host.emit('SIGINT', 'SIGINT');
    expect(await ended).toBe(0);
  });

  it('a signal that comes while the runner is still being made is obeyed', async () => {
    const bench = await startWorkerBench();
    const host = new Host();
    const slow: RunnerFactory = async (...details) => {
      host.emit('SIGTERM', 'SIGTERM');
      return scripted(...details);
    };
    expect(await runWorkerProcess(bench.environment(), { host, createRunner: slow, write: () => undefined })).toBe(0);
  });

  it('a start that never ends, for example on a disk that does not answer, does not keep the process from ending', async () => {
    const bench = await startWorkerBench();
    const host = new Host();
    const lines: string[] = [];
    const createRunner: RunnerFactory = () => new Promise(() => undefined);
    const options = { host, createRunner, write: (line: string) => void lines.push(line) };
    const ended = runWorkerProcess(bench.environment(), options);
    await until(() => bench.seen('job-take').length > 0);
    host.emit('SIGTERM', 'SIGTERM');
    expect(await ended).toBe(0);
    expect(lines.join('')).toContain('A stage of the start did not end');
    await until(() => host.exits.length > 0);
    expect(host.exits).toEqual([0]);
  }, 20_000);

  it('a runner that cannot be made ends the process with the exit code of its error, and says why', async () => {
    const bench = await startWorkerBench();
    const host = new Host();
    const lines: string[] = [];
    const broken: RunnerFactory = () => Promise.reject(new ComfyRunpodError('WORKSPACE_FAILED', 'No folder.'));
    const options = { host, createRunner: broken, write: (line: string) => void lines.push(line) };
    expect(await runWorkerProcess(bench.environment(), options)).toBe(6);
    expect(lines.map((line) => JSON.parse(line) as { level: string }).filter(({ level }) => level === 'ERROR')).toEqual(
      [
        expect.objectContaining({
          level: 'ERROR',
          code: 'WORKSPACE_FAILED',
          message: expect.stringContaining('No folder.'),
        }),
      ],
    );
    expect(host.handlers()).toBe(0);
  });

  it('a job that was taken before the runner turned out to be impossible fails with that reason', async () => {
    const bench = await startWorkerBench();
    const failing = Promise.withResolvers<never>();
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    const options = { host: new Host(), createRunner: () => failing.promise, write };
    const ended = runWorkerProcess(bench.environment(), options);
    const id = await bench.run({ do: 'echo' });
    // The worker's own word that it has the job; RunPod's view is ahead of it by the way of an answer.
    await until(() => lines.some((line) => line.includes('Started.')));
    failing.reject(new ComfyRunpodError('WORKSPACE_FAILED', 'No folder.'));
    expect(errorFromWire((await bench.ended(id)).error ?? '').code).toBe('WORKSPACE_FAILED');
    expect(await ended).toBe(6);
  });

  it('a close that fails changes neither the exit code nor keeps the process', async () => {
    const bench = await startWorkerBench();
    const host = new Host();
    const factory: RunnerFactory = () =>
      Promise.resolve({ runner: new ScriptedRunner(), close: () => Promise.reject(new Error('text of a caller')) });
    const lines: string[] = [];
    const options = { host, createRunner: factory, write: (line: string) => void lines.push(line) };
    const ended = runWorkerProcess(bench.environment(), options);
    await until(() => bench.seen('job-take').length > 0);
    host.emit('SIGTERM', 'SIGTERM');
    expect(await ended).toBe(0);
    expect(lines.join('')).toContain('Not everything could be closed.');
    expect(lines.join('')).not.toContain('text of a caller');
  });

  it('a wrong variable is named, with the exit code of wrong usage; its value is not repeated', async () => {
    const bench = await startWorkerBench({ environment: { DRAIN_TIMEOUT: 'soon' } });
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    expect(await runWorkerProcess(bench.environment(), { host: new Host(), write })).toBe(2);
    expect(lines.join('')).toContain('DRAIN_TIMEOUT');
    expect(lines.join('')).not.toContain('soon');
  });
});
