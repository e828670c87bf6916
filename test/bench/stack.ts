/** What the benchmark runs against: the emulator in this process, ComfyUI and the worker each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { pathToFileURL } from 'node:url';
import { request } from 'undici';
import { type EmulatorEvent, type RunpodEmulator, startRunpodEmulator } from '../../sandbox/runpod/index.ts';
import { delay, ResourceStack } from '../../shared/index.ts';
import { type LinkOptions, startSlowLink } from '../support/slow-link.ts';
import { QueueWatch } from './queue-watch.ts';

const root = join(import.meta.dirname, '../..');

/** An emulator event with a monotonic time in milliseconds. */
export interface TimedEvent {
  readonly ms: number;
  readonly event: EmulatorEvent;
}

/** What a worker is started with besides its environment. */
export interface BenchWorkerOptions {
  /** Measures the event loop: see test/support/loop-delay-child.ts. */
  readonly watchLoop?: boolean;
}

/** The running stack, and the line between RunPod and everybody else. */
export interface BenchStack extends AsyncDisposable {
  readonly comfyName: string;
  /** What stands for `https://api.runpod.ai/v2`, as a client reaches it. */
  readonly clientUrl: string;
  readonly emulator: RunpodEmulator;
  /** Everything that the emulator did, in order. */
  readonly events: readonly TimedEvent[];
  /** ComfyUI's queue as its status broadcasts tell it. */
  readonly queue: QueueWatch;
  /** Starts a worker process; it is ended with the stack or by its disposal. */
  startWorker(
    name: string,
    environment?: Readonly<Record<string, string>>,
    options?: BenchWorkerOptions,
  ): ChildProcess & AsyncDisposable;
  /** A budget, and what the line alone takes on top of it: one round trip and the bytes that are sent to RunPod. */
  onTop(budgetMs: number | undefined, bytesUp: number): string;
  /** What others were measured at, where that was over a line like this one. */
  rivals(recorded: string): { readonly rivals: string };
  /** The same stack over a line like this one. */
  over(line: LinkOptions): Promise<BenchStack>;
}

/** The memory file system that the image works on, or the system's temporary folder where there is none. */
export function ramDisk(): string {
  return existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

interface Comfy {
  readonly name: string;
  readonly url: string;
  readonly environment: Readonly<Record<string, string>>;
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await ended;
  clearTimeout(killer);
}

async function waitForServer(url: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (child.exitCode !== null) throw new Error('the ComfyUI stand-in ended before it answered');
    const answer = await request(`${url}/system_stats`).catch(() => undefined);
    await answer?.body.dump();
    if (answer?.statusCode === 200) return;
    await delay(50);
  }
  throw new Error('the ComfyUI stand-in did not answer in time');
}

async function startStandIn(resources: ResourceStack): Promise<Comfy> {
  const folder = await mkdtemp(join(ramDisk(), 'comfy-runpod-bench-'));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const port = 18_000 + Math.floor(Math.random() * 2_000);
  const directories = { input: join(folder, 'input'), output: join(folder, 'output'), temp: folder };
  const child = spawn(
    process.execPath,
    [
      join(root, 'sandbox/comfyui/main.ts'),
      ...['--port', String(port), '--input-directory', directories.input, '--output-directory', directories.output],
      ...['--temp-directory', directories.temp, '--disable-metadata', '--dont-print-server'],
    ],
    { stdio: 'ignore' },
  );
  resources.defer(() => endProcess(child));
  const url = `http://127.0.0.1:${port}`;
  await waitForServer(url, child);
  return {
    name: 'the stand-in',
    url,
    environment: {
      COMFY_URL: url,
      COMFY_INPUT_DIR: directories.input,
      COMFY_OUTPUT_DIR: directories.output,
      COMFY_TEMP_DIR: join(directories.temp, 'temp'),
    },
  };
}

function realComfy(environment: NodeJS.ProcessEnv, url: string): Comfy {
  const names = ['COMFY_URL', 'COMFY_INPUT_DIR', 'COMFY_OUTPUT_DIR', 'COMFY_TEMP_DIR'];
  const given = Object.fromEntries(names.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])));
  return {
    name: `a real one${environment['COMFY_INPUT_DIR'] ? ', disk shared' : ', over HTTP'}`,
    url,
    environment: given,
  };
}

/** Starts emulator and ComfyUI; workers are started by the measurements. */
export async function startBenchStack(environment: NodeJS.ProcessEnv): Promise<BenchStack> {
  const resources = new ResourceStack();
  const url = environment['COMFY_URL'];
  const comfy = url ? realComfy(environment, url) : await startStandIn(resources);
  const events: TimedEvent[] = [];
  const emulator = resources.use(
    await startRunpodEmulator({ onEvent: (event) => events.push({ ms: performance.now(), event }) }),
  );
  const queue = resources.use(await QueueWatch.open(comfy.url));
  const common = { comfyName: comfy.name, emulator, events, queue, [Symbol.asyncDispose]: () => resources.close() };
  // What the built image keeps between its starts is kept between ours.
  const compiled = await mkdtemp(join(tmpdir(), 'comfy-runpod-bench-compiled-'));
  resources.defer(() => rm(compiled, { recursive: true, force: true }));

  const at = (host: string, line: LinkOptions | undefined): BenchStack => {
    const through = (url: string) => url.replaceAll(new URL(emulator.url).host, host);
    return {
      ...common,
      clientUrl: through(emulator.baseUrl),
      startWorker(name, environment = {}, { watchLoop = false } = {}) {
        const probe = pathToFileURL(join(root, 'test/support/loop-delay-child.ts')).href;
        const own = emulator.workerEnvironment({ endpointId: 'ep1', podId: name });
        const child = spawn(
          process.execPath,
          [...(watchLoop ? ['--import', probe] : []), join(root, 'dist/client/cli/bin.js'), 'worker'],
          {
            stdio: watchLoop ? ['ignore', 'ignore', 'inherit', 'ipc'] : ['ignore', 'ignore', 'inherit'],
            env: {
              PATH: process.env['PATH'],
              NODE_COMPILE_CACHE: compiled,
              RUNPOD_LOG_LEVEL: 'error',
              ...Object.fromEntries(Object.entries(own).map(([key, value]) => [key, through(value)])),
              ...comfy.environment,
              ...environment,
            },
          },
        );
        resources.defer(() => endProcess(child));
        return Object.assign(child, { [Symbol.asyncDispose]: () => endProcess(child) });
      },
      onTop(budgetMs, bytesUp) {
        const wire = line ? Math.round(line.roundTripMs + (bytesUp * 8_000) / line.upBitsPerSecond) : 0;
        if (budgetMs === undefined) return line ? `none set (line: ${wire})` : 'none set';
        return line ? `<= ${budgetMs + wire} (line: ${wire})` : `<= ${budgetMs}`;
      },
      rivals: (recorded) => ({ rivals: line ? 'not recorded' : recorded }),
      async over(other) {
        const link = resources.use(await startSlowLink(Number(new URL(emulator.url).port), other));
        return at(link.host, other);
      },
    };
  };
  return at(new URL(emulator.url).host, undefined);
}
