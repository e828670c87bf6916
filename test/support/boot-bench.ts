/** A worker process inside this one, with a ComfyUI of its own to start: the sandbox's stand-in in a folder that looks like ComfyUI's. */
import { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BootReport, readPong } from '../../shared/index.ts';
import { runWorkerProcess } from '../../worker/index.ts';
import { afterThisTest, until } from './runpod-emulator.ts';
import { type LogLine, startWorkerBench, type WorkerBench } from './worker-bench.ts';

/** The part of `process` that a worker process uses. */
export class TestHost extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

/** A running process. */
export interface BootedWorker {
  readonly bench: WorkerBench;
  readonly root: string;
  readonly host: TestHost;
  readonly log: readonly LogLine[];
  /** The exit code. */
  readonly ended: Promise<number>;
  /** What a ping tells of the start. */
  boot(): Promise<BootReport & { readonly missing: readonly { readonly name: string; readonly code: string }[] }>;
  /** Waits for the line that says that everything is there. */
  up(): Promise<void>;
  stop(): Promise<number>;
}

/** Starts one in a folder of its own. `environment` comes on top; undefined takes a variable away. */
export async function bootWorker(
  environment: (root: string) => Readonly<Record<string, string | undefined>> = () => ({}),
): Promise<BootedWorker> {
  const { root, comfy } = await comfyFolder();
  const bench = await startWorkerBench();
  const host = new TestHost();
  const log: LogLine[] = [];
  const variables = {
    ...bench.environment(),
    COMFY_URL: undefined,
    COMFY_DIR: comfy,
    COMFY_PYTHON: process.execPath,
    COMFY_PORT: '0',
    WORKSPACE_DIR: path.join(root, 'shm'),
    NETWORK_VOLUME_DIR: path.join(root, 'volume'),
    ALLOW_CPU: '1',
    PATH: process.env['PATH'],
    ...environment(root),
  };
  const write = (line: string) => void log.push(JSON.parse(line) as LogLine);
  const writeError = (text: string) => void log.push({ level: 'ERROR', message: text, requestId: null });
  const ended = runWorkerProcess(variables, { host, write, writeError });
  const stop = () => {
    host.emit('SIGTERM', 'SIGTERM');
    return ended;
  };
  afterThisTest(async () => {
    await stop();
  });
  return {
    ...{ bench, root, host, log, ended, stop },
    up: () => until(() => log.some(({ message }) => message === 'The worker is up.')),
    boot: async () => {
      const { output } = await bench.ended(await bench.run({ action: 'ping' }));
      const pong = readPong(output);
      if (pong?.boot === undefined) throw new Error('the ping does not tell of the start');
      return { ...pong.boot, missing: pong.missingModels ?? [] };
    },
  };
}

/** A ComfyUI to start, in a folder of its own that is gone after the test. */
export async function comfyFolder(): Promise<{ readonly root: string; readonly comfy: string }> {
  const root = await mkdtemp(path.join(tmpdir(), 'boot-'));
  afterThisTest(() => rm(root, { recursive: true, force: true }));
  await writeComfy(path.join(root, 'ComfyUI'));
  return { root, comfy: path.join(root, 'ComfyUI') };
}

/** A folder with a main.py that Node runs: ComfyUI's place is taken by the stand-in. */
async function writeComfy(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const standIn = pathToFileURL(path.resolve('sandbox/comfyui/main.ts')).href;
  await writeFile(path.join(folder, 'package.json'), '{"type":"commonjs"}');
  await writeFile(
    path.join(folder, 'main.py'),
    `import(${JSON.stringify(standIn)}).then(({ main }) => main(process.argv.slice(2)));\n`,
  );
}

/** A stage of a report. */
export function stageOf(report: BootReport, name: string) {
  const found = report.stages.find((stage) => stage.name === name);
  if (!found) throw new Error(`no stage ${name}`);
  return found;
}
