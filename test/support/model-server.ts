/** A server of models on loopback, ranged as Hugging Face is, that can be told to misbehave; and folders for a worker's models. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ModelSpec } from '../../shared/index.ts';
import type { Logger } from '../../worker/index.ts';
import { type ModelPlaces, type ModelState, type ModelStoreOptions, provideModels } from '../../worker/models/index.ts';
import { afterThisTest } from './runpod-emulator.ts';

/** A safetensors file of so many bytes of tensor, different for every seed. */
export function safetensors(bytes: number, seed = 1): Buffer {
  const header = JSON.stringify({ t: { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] } });
  const data = Buffer.alloc(bytes);
  for (let at = 0, state = seed; at < bytes; at++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    data[at] = state >> 16;
  }
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), data]);
}

/** SHA-256, hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** What a request asked for. */
export interface SeenRange {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Decides about one request: `true` when it has answered. Called before the good answer is given. */
export type Misbehave = (request: IncomingMessage, response: ServerResponse, count: number) => boolean;

/** See the banner. */
export class ModelServer {
  readonly files = new Map<string, Buffer>();
  readonly seen: SeenRange[] = [];
  /** Sent as entity tag; a file's hash when undefined. */
  etag: string | undefined;
  ranges = true;
  misbehave: Misbehave | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
    });
  }

  /** Starts on a free port; closed after the test. */
  static async start(): Promise<ModelServer> {
    const server = new ModelServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    afterThisTest(() => server.close());
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Bytes that were sent as bodies can't be seen from here; ranges can. */
  ranged(): string[] {
    return this.seen.flatMap(({ range }) => (range === undefined || range === 'bytes=0-0' ? [] : [range]));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const file = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    const { range, authorization } = request.headers;
    this.seen.push({ path: file, range, authorization });
    if (this.misbehave?.(request, response, this.seen.length) === true) return;
    this.send(request, response);
  }

  /** The good answer. */
  send(request: IncomingMessage, response: ServerResponse): void {
    const file = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    const bytes = this.files.get(file);
    if (bytes === undefined) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end('{"error":"Entry not found"}');
      return;
    }
    const etag = this.etag ?? `"${sha256(bytes)}"`;
    const match = this.ranges ? /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') : null;
    const conditional = request.headers['if-range'];
    if (match === null || (conditional !== undefined && conditional !== etag)) {
      response.writeHead(200, { 'content-length': bytes.length, etag }).end(bytes);
      return;
    }
    const start = Number(match[1]);
    const end = Math.min(Number(match[2]), bytes.length - 1);
    response
      .writeHead(206, {
        etag,
        'content-length': end - start + 1,
        'content-range': `bytes ${start}-${end}/${bytes.length}`,
      })
      .end(bytes.subarray(start, end + 1));
  }
}

/** Folders of a worker, gone after the test. */
export async function modelFolders(): Promise<ModelPlaces & { readonly root: string }> {
  const root = await mkdtemp(path.join(tmpdir(), 'models-'));
  afterThisTest(() => rm(root, { recursive: true, force: true }));
  const at = (name: string) => path.join(root, name);
  await mkdir(at('own'));
  return {
    root,
    own: at('own'),
    image: at('image'),
    volume: [at('volume/ComfyUI/models'), at('volume/models')],
    hostCache: at('volume/huggingface-cache/hub'),
  };
}

/** Keeps nothing. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

/** Pieces and pauses small enough for tests. */
export const quickPace = { pieceBytes: 10_000, connections: 3, attempts: 4, pause: { baseMs: 5, maxMs: 20 } };

/** Provides models with quick pauses. */
export function provide(
  specs: readonly ModelSpec[],
  places: ModelPlaces,
  options: Partial<ModelStoreOptions> = {},
  signal: AbortSignal = AbortSignal.timeout(20_000),
): Promise<ModelState[]> {
  const store = { places, hub: { hubUrl: 'http://127.0.0.1:1' }, logger: silent, pace: quickPace, ...options };
  return provideModels(specs, store, signal);
}

/** A model at an address. */
export function byUrl(url: string, extra: Partial<ModelSpec> = {}): ModelSpec {
  return { folder: 'loras', name: 'a.safetensors', source: { kind: 'url', url }, ...extra };
}

/** A model in a repository. */
export function byRepo(extra: Partial<ModelSpec> = {}): ModelSpec {
  const source = { kind: 'huggingface', repo: 'maker/pack', revision: 'main', file: 'sub/a.safetensors' } as const;
  return { folder: 'loras', name: 'a.safetensors', source, ...extra };
}
