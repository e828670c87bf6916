// The stand-in as a test or a child process uses it: starts lives of the server on one port, keeps faults and folders across
// restarts, cleans up. Neighbours: comfy-process.ts (one life), stand-in-options.ts.
// Invariants: 1. fresh folders are removed on close, given ones are kept. 2. close() is idempotent and leaves nothing running.
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Recent } from '../recent.ts';
import { ComfyProcess } from './comfy-process.ts';
import type { StandInClock } from './execution/run-context.ts';
import { FaultController } from './faults/fault-controller.ts';
import { LogBook } from './log-book.ts';
import type { ComfyFolders } from './node-definition.ts';
import { imageNodes as builtinNodes } from './nodes/index.ts';
import { itemTuple } from './queue/queue-item.ts';
import type { AcceptedPrompt, ServerSettings } from './server-context.ts';
import { type ComfyStandInOptions, defaultVersion } from './stand-in-options.ts';
import { sandboxNodes } from './test-nodes/index.ts';

/** Requests and prompts that `inspect` still knows, at least. */
const recentEntries = 2_000;

/** A look inside, for tests; nothing here goes over HTTP. */
export interface StandInInspection {
  /** Ids of running and pending prompts; pending ones in heap order. */
  queue(): { readonly running: readonly string[]; readonly pending: readonly string[] };
  /** The running prompts' tuples. */
  runningItems(): readonly (readonly unknown[])[];
  /** Ids in history, oldest first. */
  history(): readonly string[];
  /** Every prompt accepted since the start, across restarts. */
  accepted(): readonly AcceptedPrompt[];
  /** Client ids that receive messages. */
  sockets(): readonly string[];
  /** All open sockets, silenced ones included. */
  openSockets(): number;
  requestsSeen(): readonly { readonly method: string; readonly url: string }[];
  workerAlive(): boolean;
  /** Whether the port is bound. */
  listening(): boolean;
  /** Messages waiting for delivery. */
  undelivered(): number;
  /** The log ring as text. */
  logs(): string;
}

/** A running stand-in. */
export interface ComfyStandIn extends AsyncDisposable {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly directories: ComfyFolders & { readonly user: string; readonly models: string };
  readonly faults: FaultController;
  readonly inspect: StandInInspection;
  /** Ends this life and starts the next on the same port: queue, history and caches are gone, files remain. */
  restart(): Promise<void>;
  /** Ends this life like a crash; the port refuses until restart(), or for `downMs`. */
  crash(downMs?: number): Promise<void>;
  close(): Promise<void>;
}

const systemClock: StandInClock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    await wait(ms, undefined, { signal });
  },
};

interface PreparedFolders {
  readonly folders: ServerSettings['folders'];
  readonly owned: string | undefined;
}

async function prepareFolders(options: ComfyStandInOptions): Promise<PreparedFolders> {
  const given = options.directories ?? {};
  const all = [given.input, given.output, given.temp, given.user, given.models];
  const owned = all.includes(undefined)
    ? await realpath(await mkdtemp(path.join(os.tmpdir(), 'comfy-stand-in-')))
    : undefined;
  const at = (name: string, chosen: string | undefined): string => path.resolve(chosen ?? path.join(owned ?? '', name));
  const folders = {
    input: at('input', given.input),
    output: at('output', given.output),
    temp: at('temp', given.temp),
    user: at('user', given.user),
    models: at('models', given.models),
    ...(options.extraModels && { extraModels: options.extraModels }),
  };
  for (const folder of [folders.input, folders.output]) {
    if (owned !== undefined && folder.startsWith(owned)) await mkdir(folder, { recursive: true });
  }
  return { folders, owned };
}

class StandIn implements ComfyStandIn {
  readonly host: string;
  readonly directories: ServerSettings['folders'];
  readonly faults: FaultController;
  private readonly options: ComfyStandInOptions;
  private readonly owned: string | undefined;
  private readonly acceptedPrompts = new Recent<AcceptedPrompt>(recentEntries);
  private readonly requests = new Recent<{ readonly method: string; readonly url: string }>(recentEntries);
  private readonly stopping = new AbortController();
  private log: LogBook;
  private life: ComfyProcess;
  private boundPort: number;
  private up = false;
  private closed: Promise<void> | undefined;
  private turn: Promise<void> = Promise.resolve();

  constructor(options: ComfyStandInOptions, prepared: PreparedFolders) {
    this.options = options;
    this.host = options.host ?? '127.0.0.1';
    this.boundPort = options.port ?? 0;
    this.directories = prepared.folders;
    this.owned = prepared.owned;
    this.faults = new FaultController(() => this.life?.applyMissingClasses());
    for (const fault of options.faults ?? []) this.faults.arm(fault);
    this.log = this.newLog();
    this.life = this.newLife();
  }

  get port(): number {
    return this.boundPort;
  }

  get url(): string {
    const host = this.host.includes(':') ? `[${this.host}]` : this.host;
    return `http://${host}:${this.boundPort}`;
  }

  get inspect(): StandInInspection {
    return {
      queue: () => ({
        running: this.life.context.queue.runningItems().map((item) => item.promptId),
        pending: this.life.context.queue.pendingItems().map((item) => item.promptId),
      }),
      runningItems: () => this.life.context.queue.runningItems().map(itemTuple),
      history: () => this.life.context.queue.history.all().map((entry) => entry.item.promptId),
      accepted: () => this.acceptedPrompts.list(),
      sockets: () => this.life.context.hub.clientIds(),
      openSockets: () => this.life.context.hub.openSockets,
      requestsSeen: () => this.requests.list(),
      workerAlive: () => this.life.workerAlive,
      listening: () => this.up,
      undelivered: () => this.life.context.hub.undelivered,
      logs: () =>
        this.log
          .entries()
          .map((entry) => entry.m)
          .join(''),
    };
  }

  async start(): Promise<void> {
    await this.life.start();
    this.boundPort = this.life.port;
    this.up = true;
  }

  restart(): Promise<void> {
    return this.inTurn(async () => {
      await this.goDown();
      await this.comeUp();
    });
  }

  crash(downMs?: number): Promise<void> {
    const down = this.inTurn(() => this.goDown());
    if (downMs !== undefined) this.comeBackAfter(downMs);
    return down;
  }

  close(): Promise<void> {
    this.closed ??= this.closeOnce();
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private inTurn(step: () => Promise<void>): Promise<void> {
    this.turn = this.turn.then(step, step);
    return this.turn;
  }

  private async goDown(): Promise<void> {
    this.up = false;
    await this.life.end();
  }

  private async comeUp(): Promise<void> {
    if (this.stopping.signal.aborted || this.up) return;
    this.log = this.newLog();
    this.life = this.newLife();
    await this.life.start();
    this.up = true;
  }

  private comeBackAfter(ms: number): void {
    const { signal } = this.stopping;
    void wait(ms, undefined, { signal }).then(
      () => this.inTurn(() => this.comeUp()),
      () => undefined,
    );
  }

  private async closeOnce(): Promise<void> {
    this.stopping.abort(new Error('the stand-in was closed'));
    await this.inTurn(() => this.goDown());
    if (this.owned !== undefined) await rm(this.owned, { recursive: true, force: true });
  }

  private newLog(): LogBook {
    const clock = this.options.clock ?? systemClock;
    const log = new LogBook(
      this.options.logLevel ?? 'INFO',
      () => clock.now(),
      (text, level) => this.options.onLog?.(text, level),
    );
    // One write a line, as ComfyUI does it.
    const packs = (this.options.failedImports ?? []).map((pack) => `   0.1 seconds (IMPORT FAILED): ${pack}`);
    if (packs.length > 0)
      for (const line of ['\nImport times for custom nodes:', ...packs, '']) log.write('INFO', line);
    return log;
  }

  private newLife(): ComfyProcess {
    const { options } = this;
    const profile = options.profile ?? 'baseline';
    const megabytes = options.maxUploadMegabytes ?? 100;
    return new ComfyProcess({
      host: this.host,
      port: this.boundPort,
      settings: {
        profile,
        version: options.version ?? defaultVersion(profile),
        dialect: options.dialect ?? 'aiohttp-3.11',
        folders: this.directories,
        maxUploadMegabytes: megabytes,
        maxUploadBytes: Math.round(megabytes * 1024 * 1024),
        argv: options.argv ?? ['main.py'],
        orderOutputs: options.orderOutputs ?? ((ids) => ids),
        corsOrigin: options.corsOrigin,
      },
      nodes: [...builtinNodes, ...sandboxNodes, ...(options.nodes ?? [])],
      faults: this.faults,
      clock: options.clock ?? systemClock,
      log: this.log,
      choices: options,
      onRequest: (method, url) => this.requests.push({ method, url }),
      onAccepted: (prompt) => this.acceptedPrompts.push(prompt),
      onCrash: (restartAfterMs) => {
        void this.crash(restartAfterMs ?? undefined);
        options.onExit?.(restartAfterMs);
      },
    });
  }
}

/** Starts a stand-in for ComfyUI's server. Rejects when its port cannot be bound. */
export async function startComfyStandIn(options: ComfyStandInOptions = {}): Promise<ComfyStandIn> {
  options.signal?.throwIfAborted();
  const standIn = new StandIn(options, await prepareFolders(options));
  try {
    await standIn.start();
  } catch (error) {
    await standIn.close();
    throw error;
  }
  options.signal?.addEventListener('abort', () => void standIn.close(), { once: true });
  return standIn;
}
