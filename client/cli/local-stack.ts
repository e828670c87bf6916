/**
 * The whole chain on one machine: RunPod emulator -> worker -> ComfyUI (the stand-in, or a real one by its address). With commands/dev.ts the
 * only place where the client meets the worker and the sandbox; both are real, so that what works here works there.
 */
import { randomUUID } from 'node:crypto';
import { startComfyStandIn, startRunpodEmulator } from '../../sandbox/index.ts';
import { ComfyRunpodError, limits, ResourceStack, raceSignal } from '../../shared/index.ts';
import { createLogger, createRunner, readWorkerConfig, startWorker, type Worker } from '../../worker/index.ts';
import type { ClientOptions } from '../client.ts';
import type { Environment } from '../config.ts';
import { createInProcessTransport } from '../transport/in-process.ts';
import { reachComfy } from './reach-comfy.ts';
import type { ComfyFolders } from './target.ts';

/** Options of {@link startLocalStack}. */
export interface LocalStackOptions {
  /** A real ComfyUI instead of the stand-in. */
  readonly comfyUrl?: string;
  /** Its folders, when it shares this machine's disk: absolute paths, all three or none. */
  readonly folders?: ComfyFolders;
  /** Port of the emulator; 0 (default) picks a free one. */
  readonly port?: number;
  /** A fault script (docs/sandbox-runpod.md), already parsed. */
  readonly faults?: Parameters<typeof startRunpodEmulator>[0] extends infer O | undefined
    ? O extends { readonly faults?: infer F }
      ? F
      : never
    : never;
  readonly environment: Environment;
  /** Log level of the worker where RUNPOD_LOG_LEVEL is not set. Default `silent`. */
  readonly logLevel?: string;
  /** Receives the worker's log lines. Default: nobody. */
  readonly log?: (line: string) => void;
}

/** A running chain. */
export interface LocalStack {
  readonly clientOptions: ClientOptions;
  /** Variables that point clients at it, this one and RunPod's own. */
  readonly clientEnvironment: Readonly<Record<string, string>>;
  readonly comfyUrl: string;
  /** Lets the worker finish what it has, then stops everything. `signal` cuts the finishing short. Idempotent. */
  close(signal?: AbortSignal): Promise<void>;
}

const endpointId = 'ep1';

/** How long a closing worker may finish a job that nobody waits for any more, milliseconds. */
const drainMs = 2_000;

/** Starts the chain. Whatever fails to start, nothing is left running. */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const resources = new ResourceStack();
  try {
    const comfy = await openComfy(options, resources);
    const emulator = await startEmulator(options, resources);
    const workers = new WorkerKeeper(
      () => ({
        ...workerBase(options, comfy),
        ...emulator.workerEnvironment({ endpointId, podId: `local-${randomUUID().slice(0, 8)}` }),
      }),
      options.log ?? (() => undefined),
    );
    resources.defer(() => workers.close());
    await workers.start();
    const clientEnvironment = emulator.clientEnvironment({ endpointId });
    return {
      clientOptions: {
        apiKey: clientEnvironment['RUNPOD_API_KEY'] ?? '',
        endpointId,
        baseUrl: emulator.baseUrl,
        // The emulator is near: a long pause would only make progress late.
        pollIntervalMs: 1_000,
      },
      clientEnvironment,
      comfyUrl: comfy.url,
      close: async (signal) => {
        if (signal) await raceSignal(workers.drain(), signal).catch(() => undefined);
        await resources.close();
      },
    };
  } catch (error) {
    await resources.close().catch(() => undefined);
    throw error;
  }
}

interface OpenComfy {
  readonly url: string;
  readonly folders: ComfyFolders;
}

async function openComfy(options: LocalStackOptions, resources: ResourceStack): Promise<OpenComfy> {
  if (options.comfyUrl !== undefined) {
    await reachComfy(options.comfyUrl);
    return { url: options.comfyUrl, folders: options.folders ?? {} };
  }
  const standIn = await startComfyStandIn({});
  resources.defer(() => standIn.close());
  return { url: standIn.url, folders: standIn.directories };
}

async function startEmulator(options: LocalStackOptions, resources: ResourceStack) {
  const { port, faults } = options;
  try {
    const emulator = await startRunpodEmulator({
      ...(port !== undefined && { port }),
      ...(faults !== undefined && { faults }),
    });
    resources.defer(() => emulator.close());
    return emulator;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    throw new ComfyRunpodError('USAGE', `Port ${port} can't be used (${code}).`, {
      cause: error,
      nextStep: 'Name another with --port, or leave it out.',
    });
  }
}

/** Worker variables that come from here. RunPod's own ones of a surrounding container must not leak in: this chain stays on the machine. */
function workerBase(options: LocalStackOptions, comfy: OpenComfy): Record<string, string> {
  const { environment } = options;
  const kept = ['STALL_TIMEOUT', 'DRAIN_TIMEOUT'].flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(kept),
    RUNPOD_LOG_LEVEL: environment['RUNPOD_LOG_LEVEL'] ?? options.logLevel ?? 'silent',
    COMFY_URL: comfy.url,
    // Files and destinations of a trial lie on this machine as well.
    ALLOW_PRIVATE_ADDRESSES: environment['ALLOW_PRIVATE_ADDRESSES'] ?? 'loopback',
    // It answered a moment ago; the default is for one that boots.
    COMFY_START_TIMEOUT: environment['COMFY_START_TIMEOUT'] ?? '30',
    ...(comfy.folders.input !== undefined && { COMFY_INPUT_DIR: comfy.folders.input }),
    ...(comfy.folders.output !== undefined && { COMFY_OUTPUT_DIR: comfy.folders.output }),
    ...(comfy.folders.temp !== undefined && { COMFY_TEMP_DIR: comfy.folders.temp }),
  };
}

/** Keeps one worker running: one that asks to be recycled is replaced under a new id, as RunPod does. */
class WorkerKeeper {
  readonly #environment: () => Environment;
  readonly #log: (line: string) => void;
  readonly #closing = new AbortController();
  #worker: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(environment: () => Environment, log: (line: string) => void) {
    this.#environment = environment;
    this.#log = log;
  }

  async start(): Promise<void> {
    const config = readWorkerConfig(this.#environment());
    const { runpod, refreshWorker, concurrency, drainTimeoutMs } = config;
    if (runpod === undefined) throw new TypeError('The emulator gave no worker addresses.');
    const logger = createLogger({ ...config.log, format: 'text', write: this.#log });
    const composed = await createRunner(config, logger, this.#closing.signal);
    const worker = startWorker(
      { runpod, refreshWorker, concurrency, drainTimeoutMs },
      { runner: composed.runner, logger, ...(composed.keepResult && { keepResult: composed.keepResult }) },
    );
    this.#worker = worker;
    this.#ended = worker.stopped.then(async () => {
      await composed.close();
      if (!this.#closing.signal.aborted) await this.start();
    });
    // Looked at by close(); a failed restart must not end the process in between.
    this.#ended.catch(() => undefined);
  }

  async drain(): Promise<void> {
    this.#closing.abort();
    await this.#worker?.drain();
  }

  async close(): Promise<void> {
    await raceSignal(this.drain(), AbortSignal.timeout(drainMs)).catch(() => undefined);
    await this.#worker?.stop();
    await this.#ended;
  }
}

/** Options of {@link startDirect}. */
export type DirectOptions = Pick<LocalStackOptions, 'folders' | 'environment' | 'log'> & { readonly comfyUrl: string };

/** The glass box: the worker's job runner against a ComfyUI, without any RunPod between. */
export async function startDirect(
  options: DirectOptions,
): Promise<{ readonly clientOptions: ClientOptions; close(): Promise<void> }> {
  await reachComfy(options.comfyUrl);
  const config = readWorkerConfig(workerBase(options, { url: options.comfyUrl, folders: options.folders ?? {} }));
  const logger = createLogger({ ...config.log, format: 'text', write: options.log ?? (() => undefined) });
  const closing = new AbortController();
  const composed = await createRunner(config, logger, closing.signal);
  const transport = createInProcessTransport(composed.runner);
  return {
    clientOptions: { transport, requestTimeoutMs: limits.comfyRequestMs },
    close: async () => {
      await transport.close();
      closing.abort();
      await composed.close();
    },
  };
}
