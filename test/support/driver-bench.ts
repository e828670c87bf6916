// The worker's job runner against a ComfyUI stand-in over loopback: through a proxy that records every request and may refuse
// sockets. Everything is gone after the test.
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type ComfyStandIn, type ComfyStandInOptions, startComfyStandIn } from '../../sandbox/comfyui/index.ts';
import { type ProgressEvent, type ResultEnvelope, resultEnvelopeSchema } from '../../shared/index.ts';
import { type ComfyConnection, type ComfyTimings, connectComfy } from '../../worker/comfy/index.ts';
import { createJobRunner, type JobRunnerOptions } from '../../worker/job/index.ts';
import type { JobOutcome, JobRunner, JsonBody, Logger } from '../../worker/types.ts';
import { createRemoteWorkspace, createSharedWorkspace, type Workspace } from '../../worker/workspace/index.ts';
import { afterThisTest } from './runpod-emulator.ts';

/** A request as it came by. */
export interface SeenExchange {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A proxy before a stand-in. */
export interface RecordingProxy {
  readonly url: string;
  readonly seen: SeenExchange[];
  /** Bodies of `POST /prompt`, parsed. */
  prompts(): Record<string, unknown>[];
}

/** Records HTTP and passes it on; sockets only when `sockets` is true. */
export async function startRecordingProxy(target: string, sockets: boolean): Promise<RecordingProxy> {
  const seen: SeenExchange[] = [];
  const open = new Set<Socket>();
  const { hostname, port } = new URL(target);
  const server: Server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks);
      const { method = 'GET', url: path = '/', headers } = incoming;
      seen.push({ method, path, headers, body: body.toString() });
      const onward = httpRequest({ hostname, port, method, path, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
        answer.on('error', () => outgoing.destroy());
      });
      onward.on('error', () => incoming.socket.destroy());
      onward.end(body);
    });
  });
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  server.on('upgrade', (incoming, socket, head) => {
    socket.on('error', () => undefined);
    seen.push({ method: 'UPGRADE', path: incoming.url ?? '/', headers: incoming.headers, body: '' });
    if (!sockets) {
      socket.destroy();
      return;
    }
    const onward = connect(Number(port), hostname, () => {
      const lines = Object.entries(incoming.headers).map(([name, value]) => `${name}: ${String(value)}`);
      onward.write(`GET ${incoming.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    open.add(onward);
    onward.on('error', () => socket.destroy());
    onward.on('close', () => open.delete(onward));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  afterThisTest(async () => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    seen,
    prompts: () =>
      seen
        .filter(({ method, path }) => method === 'POST' && path === '/prompt')
        .map(({ body }) => JSON.parse(body) as Record<string, unknown>),
  };
}

/** Pauses short enough for tests. */
export const quickTimings: Partial<ComfyTimings> = {
  pollIdleMs: 100,
  historyLagMs: 10_000,
  requestMs: 3_000,
  submitMs: 3_000,
  outageMs: 1_500,
  cancelMs: 4_000,
  interruptGapMs: 150,
  stopMs: 1_000,
};

/** Everything a logger was told. */
export interface RecordingLogger extends Logger {
  readonly lines: string[];
}

/** A logger that keeps its lines. */
export function recordingLogger(): RecordingLogger {
  const lines: string[] = [];
  const add = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const logger: RecordingLogger = {
    lines,
    debug: add('debug'),
    info: add('info'),
    warn: add('warn'),
    error: add('error'),
    child: () => logger,
  };
  return logger;
}

/** How to start a bench; everything is optional. */
export interface DriverBenchOptions {
  readonly standIn?: ComfyStandInOptions;
  /** Default `shared`: the runner sees the stand-in's folders. */
  readonly workspace?: 'shared' | 'remote';
  /** Default true. */
  readonly sockets?: boolean;
  readonly timings?: Partial<ComfyTimings>;
  readonly stallMs?: number;
  /** Where input files are held and how addresses are fetched, made from the stand-in's input folder. */
  readonly inputs?: (inputFolder: string, logger: Logger) => JobRunnerOptions['inputs'];
  /** Where results go that don't fit into the answer. */
  readonly delivery?: JobRunnerOptions['delivery'];
}

/** How one job ended. */
export interface RunResult {
  readonly outcome: JobOutcome;
  readonly envelope: ResultEnvelope | undefined;
  readonly events: readonly ProgressEvent[];
}

/** What goes with one run; everything is optional. */
export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly executionTimeoutMs?: number;
  readonly resultLimitBytes?: number;
  readonly onProgress?: (event: ProgressEvent) => void;
}

/** A runner and the stand-in that it drives. */
export interface DriverBench {
  readonly standIn: ComfyStandIn;
  readonly proxy: RecordingProxy;
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly logger: RecordingLogger;
  readonly runner: JobRunner;
  run(input: unknown, options?: RunOptions): Promise<RunResult>;
}

/** Reads a body and checks that it is as long as it said. */
export async function readBody(body: JsonBody): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.chunks()) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (bytes.length !== body.byteLength) throw new Error(`said ${body.byteLength} bytes, gave ${bytes.length}`);
  return bytes.toString('utf8');
}

/** Starts stand-in, proxy, connection and runner. */
export async function startDriverBench(options: DriverBenchOptions = {}): Promise<DriverBench> {
  const standIn = await startComfyStandIn(options.standIn);
  afterThisTest(() => standIn.close());
  const proxy = await startRecordingProxy(standIn.url, options.sockets ?? true);
  const logger = recordingLogger();
  const comfy = connectComfy({
    source: { kind: 'attach', url: proxy.url },
    logger,
    startTimeoutMs: 10_000,
    timings: { ...quickTimings, ...options.timings },
  });
  afterThisTest(() => comfy.close());
  const workspace =
    options.workspace === 'remote' ? createRemoteWorkspace(comfy) : createSharedWorkspace(standIn.directories);
  await workspace.prepare();
  afterThisTest(() => workspace.close());
  const { stallMs } = options;
  const inputs = options.inputs?.(standIn.directories.input, logger);
  const runner = createJobRunner({
    comfy,
    workspace,
    logger,
    workerId: 'worker-1',
    ...(stallMs !== undefined && { stallMs }),
    ...(inputs && { inputs }),
    ...(options.delivery && { delivery: options.delivery }),
  });
  const run = async (input: unknown, runOptions: RunOptions = {}): Promise<RunResult> => {
    const events: ProgressEvent[] = [];
    const outcome = await runner.run(
      { id: 'job-1', input: inOurContract(input) },
      {
        signal: runOptions.signal ?? new AbortController().signal,
        ...(runOptions.executionTimeoutMs !== undefined && { executionTimeoutMs: runOptions.executionTimeoutMs }),
        resultLimitBytes: runOptions.resultLimitBytes ?? 10 * 1024 * 1024,
        onProgress: (event) => {
          events.push(event);
          runOptions.onProgress?.(event);
        },
      },
    );
    const output = outcome.kind === 'cancelled' ? undefined : outcome.output;
    const envelope = output && resultEnvelopeSchema.parse(JSON.parse(await readBody(output)));
    return { outcome, envelope, events };
  };
  return { standIn, proxy, comfy, workspace, logger, runner, run };
}

/** The error of a failed run. Throws when it did not fail. */
export function failureOf(result: RunResult) {
  if (result.outcome.kind !== 'failed') throw new Error(`the job is ${result.outcome.kind}`);
  return result.outcome.error;
}

/** The envelope of a completed run. Throws with the error when it failed. */
export function completed(result: RunResult): ResultEnvelope {
  if (result.outcome.kind === 'failed')
    throw new Error(`${result.outcome.error.code}: ${result.outcome.error.message}`);
  if (result.outcome.kind !== 'completed' || !result.envelope) throw new Error(`the job is ${result.outcome.kind}`);
  return result.envelope;
}

/** As our client sends it: without `contract` a job may be another worker's caller's. */
function inOurContract(input: unknown): unknown {
  return typeof input === 'object' && input !== null ? { contract: 1, ...input } : input;
}

type Node = { class_type: string; inputs: Record<string, unknown> };

/** EmptyImage(1) -> SaveImage(9). */
export function emptyPicture(inputs: Record<string, unknown> = {}): Record<string, Node> {
  return {
    '1': { class_type: 'EmptyImage', inputs: { width: 16, height: 8, batch_size: 1, color: 255, ...inputs } },
    '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'pic' } },
  };
}

/** EmptyImage(1) -> a Sandbox node (5) that passes it on -> SaveImage(9). */
export function pictureThrough(classType: string, inputs: Record<string, unknown>): Record<string, Node> {
  return {
    ...emptyPicture(),
    '5': { class_type: classType, inputs: { ...inputs, value: ['1', 0] } },
    '9': { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: 'pic' } },
  };
}

/** LoadImage(1) -> SaveImage(9). */
export function loadedPicture(image: string): Record<string, Node> {
  return {
    '1': { class_type: 'LoadImage', inputs: { image } },
    '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'loaded' } },
  };
}

/** A small PNG, as base64: 2 by 2 red pixels. */
export const tinyPng =
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAE0lEQVQImWP4z8DwnwGM/zMwAAAf7gP9qS/A4gAAAABJRU5ErkJggg==';
