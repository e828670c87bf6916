// A client library against the RunPod emulator on the real clock, against servers that misbehave, and a terminal to run commands in.
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '../../client/cli/main.ts';
import { type Client, type ClientOptions, createClient } from '../../client/index.ts';
import { type EndpointOptions, type FaultRuleInput, systemClock } from '../../sandbox/runpod/index.ts';
import { type Artifact, contractVersion, type JobInputWire, type ResultEnvelope } from '../../shared/index.ts';
import { afterThisTest, type Bench, startBench } from './runpod-emulator.ts';

/** An emulator and a client of it. */
export interface ClientBench {
  readonly bench: Bench;
  readonly client: Client;
  /** Environment of a command line that talks to the emulator. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How to start a client bench. */
export interface ClientBenchOptions {
  readonly endpoint?: Partial<EndpointOptions>;
  readonly faults?: readonly FaultRuleInput[];
  readonly client?: Partial<ClientOptions>;
}

/** Starts an emulator on the real clock and a client that gives up quickly. Both are gone after the test. */
export async function startClientBench(options: ClientBenchOptions = {}): Promise<ClientBench> {
  const bench = await startBench({
    clock: systemClock(),
    recordBodies: 64 * 1024,
    endpoints: [{ id: 'ep1', takeHoldMs: 2_000, ...options.endpoint }],
    ...(options.faults && { faults: options.faults as never }),
  });
  const client = useClient({ baseUrl: bench.emulator.baseUrl, ...options.client });
  return { bench, client, environment: bench.emulator.clientEnvironment({ endpointId: 'ep1' }) };
}

/** A client that is closed after the test. */
export function useClient(options: Partial<ClientOptions>): Client {
  const client = createClient({
    apiKey: 'sandbox',
    endpointId: 'ep1',
    requestTimeoutMs: 5_000,
    pollIntervalMs: 500,
    attempts: 3,
    ...options,
  });
  afterThisTest(() => client.close());
  return client;
}

/** One request that a fake API got. */
export interface SeenCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly at: number;
}

/** A server in RunPod's place that answers as a test says. */
export interface FakeApi {
  readonly baseUrl: string;
  readonly calls: SeenCall[];
  readonly open: () => number;
}

/** Starts a fake API, gone after the test. */
export async function startFakeApi(
  answer: (call: SeenCall, response: ServerResponse, body: Buffer) => void,
): Promise<FakeApi> {
  const calls: SeenCall[] = [];
  let open = 0;
  const server = createServer(async (incoming, response) => {
    open += 1;
    response.once('close', () => {
      open -= 1;
    });
    const call = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      at: performance.now(),
    };
    calls.push(call);
    const pieces: Buffer[] = [];
    incoming.on('error', () => undefined);
    for await (const piece of incoming) pieces.push(piece as Buffer);
    answer(call, response, Buffer.concat(pieces));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterThisTest(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2`, calls, open: () => open };
}

/** Answers with JSON. */
export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** The smallest job that the contract takes. */
export const smallJob: JobInputWire = {
  workflow: {
    '1': { class_type: 'SaveImage', inputs: { images: ['2', 0] } },
    '2': { class_type: 'EmptyImage', inputs: {} },
  },
};

/** One output file as a worker describes it. */
export function artifact(bytes: Buffer, changes: Partial<Artifact> = {}): Artifact {
  return {
    name: 'picture_00001_.png',
    subfolder: '',
    type: 'output',
    node: '1',
    classType: 'SaveImage',
    key: 'images',
    index: 0,
    kind: 'image',
    contentType: 'image/png',
    size: bytes.byteLength,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    metadata: 'stripped',
    delivery: { via: 'inline', data: bytes.toString('base64') },
    ...changes,
  };
}

/** A result as a worker posts it. */
export function envelope(artifacts: readonly Artifact[], changes: Partial<ResultEnvelope> = {}): ResultEnvelope {
  return {
    kind: 'comfy-runpod/result',
    contract: contractVersion,
    status: 'success',
    artifacts: [...artifacts],
    values: [],
    receipt: {
      promptId: 'p',
      workerId: 'w1',
      workerVersion: '0.1.0',
      comfyVersion: '0.3.64',
      timings: { stageMs: 1, runMs: 2, collectMs: 1, totalMs: 4 },
      nodes: [],
      bytes: { in: 0, out: 0 },
      cached: [],
      wipe: { mode: 'wiped', files: 0, bytes: 0, kept: [] },
      retries: 0,
    },
    ...changes,
  };
}

/** A folder that is gone after the test. */
export async function useFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'comfy-runpod-test-'));
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A command that runs: what it printed so far, and Ctrl-C. */
export interface RunningCommand {
  readonly exitCode: Promise<number>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  press(): void;
}

/** What a finished command left. */
export interface CommandOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder for the ledger of one command, gone after the test: the one of whoever runs the tests is never touched. */
function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'comfy-runpod-data-'));
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts the command line in this process, in a folder of the test. */
export function startCommand(
  argv: readonly string[],
  world: {
    readonly folder: string;
    readonly environment?: Readonly<Record<string, string>>;
    readonly interactive?: boolean;
    /** What `--open` does. */
    readonly openFile?: (path: string) => Promise<void>;
    /** What is piped in. */
    readonly stdin?: AsyncIterable<Uint8Array | string>;
  },
): RunningCommand {
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  const exitCode = runCli(argv, {
    stdout: {
      write: (text) => {
        stdout += text;
      },
    },
    stderr: {
      write: (text) => {
        stderr += text;
      },
    },
    interactive: world.interactive ?? false,
    ...(world.stdin && { stdin: world.stdin }),
    environment: { COMFY_RUNPOD_DATA_DIR: dataFolder(), ...world.environment },
    folder: world.folder,
    ...(world.openFile && { openFile: world.openFile }),
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  return {
    exitCode,
    stdout: () => stdout,
    stderr: () => stderr,
    press: () => {
      for (const listener of [...listeners]) listener();
    },
  };
}

/** Runs a command to its end. */
export async function runCommandLine(
  argv: readonly string[],
  world: Parameters<typeof startCommand>[1],
): Promise<CommandOutcome> {
  const running = startCommand(argv, world);
  const exitCode = await running.exitCode;
  return { exitCode, stdout: running.stdout(), stderr: running.stderr() };
}
