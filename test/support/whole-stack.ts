// The whole product over loopback: one emulator, workers with a ComfyUI stand-in each, and a client. Nothing in it is faked.
import { readdir } from 'node:fs/promises';
import { type Client, type ClientOptions, createClient } from '../../client/index.ts';
import {
  type ComfyStandIn,
  type ComfyStandInOptions,
  type FaultInput,
  startComfyStandIn,
} from '../../sandbox/comfyui/index.ts';
import {
  type EndpointOptions,
  type FaultRuleInput,
  type RunpodEmulator,
  startRunpodEmulator,
} from '../../sandbox/runpod/index.ts';
import { ResourceStack } from '../../shared/index.ts';

import { createLogger, createRunner, readWorkerConfig, startWorker, type Worker } from '../../worker/index.ts';

/** How to start it. */
export interface WholeStackOptions {
  readonly workers: number;
  readonly endpoint?: Partial<EndpointOptions>;
  readonly platformFaults?: readonly FaultRuleInput[];
  /** Faults of each ComfyUI, by its index. */
  readonly comfyFaults?: (index: number) => readonly FaultInput[];
  /** Further options of each ComfyUI. */
  readonly comfyOptions?: ComfyStandInOptions;
  /** Further variables of each worker. */
  readonly workerEnvironment?: Readonly<Record<string, string>>;
  /** Keeps no log. */
  readonly quiet?: boolean;
  /** Further variables of the workers. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** The running chain. */
export interface WholeStack {
  readonly emulator: RunpodEmulator;
  readonly comfy: readonly ComfyStandIn[];
  readonly workers: readonly Worker[];
  readonly client: Client;
  /** For further clients. */
  readonly clientOptions: ClientOptions;
  /** Everything that the workers logged. */
  readonly log: readonly string[];
  /** Lets the workers finish and end, then closes all but the files, which can still be looked at. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it; whatever fails to start, nothing is left running. */
export async function startWholeStack(options: WholeStackOptions): Promise<WholeStack> {
  const resources = new ResourceStack();
  try {
    return await start(options, resources);
  } catch (error) {
    await resources.close();
    throw error;
  }
}

async function start(options: WholeStackOptions, resources: ResourceStack): Promise<WholeStack> {
  const emulator = resources.use(
    await startRunpodEmulator({
      endpoints: [{ id: 'ep1', ...options.endpoint }],
      ...(options.platformFaults && { faults: options.platformFaults as never }),
    }),
  );
  const comfy: ComfyStandIn[] = [];
  const workers: Worker[] = [];
  const log: string[] = [];
  const leaving: (() => Promise<void>)[] = [];
  for (let index = 0; index < options.workers; index++) {
    const standIn = resources.use(
      await startComfyStandIn({ ...options.comfyOptions, faults: [...(options.comfyFaults?.(index) ?? [])] }),
    );
    comfy.push(standIn);
    const config = readWorkerConfig({
      ...emulator.workerEnvironment({ endpointId: 'ep1', podId: `pod-${index}` }),
      COMFY_URL: standIn.url,
      COMFY_INPUT_DIR: standIn.directories.input,
      COMFY_OUTPUT_DIR: standIn.directories.output,
      COMFY_TEMP_DIR: standIn.directories.temp,
      ALLOW_PRIVATE_ADDRESSES: 'loopback',
      ...options.workerEnvironment,
      ...options.environment,
    });
    if (!config.runpod) throw new Error('the environment of the emulator is not complete');
    const logger = createLogger({
      level: options.quiet ? 'error' : 'debug',
      format: 'json',
      write: (line) => void log.push(line),
    });
    const closing = new AbortController();
    const composed = await createRunner(config, logger, closing.signal);
    const worker = startWorker(
      { runpod: config.runpod, prefetch: config.prefetch },
      { runner: composed.runner, logger, ...(composed.keepResult && { keepResult: composed.keepResult }) },
    );
    workers.push(worker);
    let left: Promise<void> | undefined;
    const leave = (how: () => Promise<unknown>) => {
      left ??= how().then(() => {
        closing.abort();
        return composed.close();
      });
      return left;
    };
    leaving.push(() => leave(() => worker.drain()));
    resources.defer(() => leave(() => worker.stop()));
  }
  const environment = emulator.clientEnvironment({ endpointId: 'ep1' });
  const clientOptions = {
    apiKey: environment['RUNPOD_API_KEY'] ?? '',
    endpointId: 'ep1',
    baseUrl: emulator.baseUrl,
    pollIntervalMs: 500,
    maxPollDurationMs: 120_000,
  };
  const client = resources.use(createClient(clientOptions));
  return {
    emulator,
    comfy,
    workers,
    client,
    clientOptions,
    log,
    drain: async () => {
      await Promise.all(leaving.map((leave) => leave()));
    },
    close: () => resources.close(),
  };
}

/** Files below a folder, sub-folders included. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
}

/** What keeps this process alive, by kind and count; standard streams and the test runner's own channel aside. */
export function openHandles(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (/TTYWrap|PipeWrap|FSReq|Immediate|TickObject|CloseReq/.test(kind)) continue;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
