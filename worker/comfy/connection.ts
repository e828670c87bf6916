/**
 * The connection to one ComfyUI: attached to a running one, or started and stopped by us. Everything that worker/job needs of ComfyUI
 * goes through here.
 *
 * starting -> ready -> (died | condemned -> starting on the next `ready`) -> closed
 *
 * A process that died is started again at once, with a growing pause when it keeps dying. Its runs go into the new one under the same ids,
 * once; a run that was there at two deaths fails with `COMFY_CRASHED` and the last lines of the log.
 */
import {
  backoffMs,
  ComfyRunpodError,
  createDeadline,
  delay,
  isComfyRunpodError,
  limits,
  raceSignal,
} from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { ComfyProcess, type LaunchOptions } from './comfy-process.ts';
import { executePrompt } from './execution.ts';
import { type FileTransfer, fileTransfer } from './file-transfer.ts';
import { freeMemory } from './free-memory.ts';
import { ComfyHttp, transportFailure } from './http.ts';
import { type ComfyInspection, inspectServer } from './inspect-server.ts';
import { NodeCatalog } from './node-catalog.ts';
import { deleteHistory, readHistory } from './prompt-state.ts';
import { probeServer, readFailedPacks, readGpuMemory } from './server-info.ts';
import { ComfySocket } from './socket.ts';
import type { ComfyServer, ComfyTimings, Execution, ExecutionRequest, GpuMemory, NodeClass } from './types.ts';

/** Where ComfyUI is: at an address, or in a folder from which it is started. */
export type ComfySource =
  | { readonly kind: 'attach'; readonly url: string }
  | ({ readonly kind: 'start' } & Omit<LaunchOptions, 'logger' | 'stopMs'>);

/** Configuration of {@link connectComfy}. */
export interface ComfyConfig {
  readonly source: ComfySource;
  readonly logger: Logger;
  /** How long ComfyUI may take to answer for the first time, milliseconds. */
  readonly startTimeoutMs: number;
  /** Replaces single time limits of `shared/limits.ts`. */
  readonly timings?: Partial<ComfyTimings>;
}

/** One ComfyUI, ready or on its way. */
export interface ComfyConnection extends FileTransfer {
  /** It has answered and may be used now; `ready` does not wait then. */
  isReady(): boolean;
  /** Waits until it answers, starting it again when it has died. Throws `COMFY_START_FAILED` or `COMFY_UNREACHABLE`. */
  ready(signal: AbortSignal): Promise<ComfyServer>;
  /** Classes that exist among `names`. */
  describe(names: Iterable<string>, signal: AbortSignal): Promise<ReadonlyMap<string, NodeClass>>;
  /** Runs one prompt to its end. Never throws. Call `ready` first. */
  execute(request: ExecutionRequest): Promise<Execution>;
  /** Removes a run's history entry and reads back: true when it is gone. */
  forget(promptId: string, signal: AbortSignal): Promise<boolean>;
  /** Unloads models and drops caches, when nothing is queued; waits for the effect for a moment. */
  freeMemory(signal: AbortSignal): Promise<void>;
  /** GPU memory now; undefined without a GPU. */
  gpuMemory(signal: AbortSignal): Promise<GpuMemory | undefined>;
  /** What it says about itself. Call `ready` first. Throws `COMFY_UNREACHABLE` when it does not answer. */
  inspect(signal: AbortSignal): Promise<ComfyInspection>;
  /** Ends the connection, and the process when it was started here. */
  close(): Promise<void>;
}

const defaultTimings: ComfyTimings = {
  pollIdleMs: limits.pollIdleMs,
  pollHintMs: limits.pollHintMs,
  historyLagMs: limits.historyLagMs,
  requestMs: limits.comfyRequestMs,
  submitMs: limits.comfySubmitMs,
  outageMs: limits.comfyOutageMs,
  cancelMs: limits.comfyCancelMs,
  interruptGapMs: limits.comfyInterruptGapMs,
  stopMs: limits.comfyStopMs,
};

/** Pause before another start of a ComfyUI that keeps ending. */
const restartPause = { baseMs: 500, maxMs: 30_000, jitter: 0.2 };

/** One ComfyUI that answers, with all that belongs to it. */
interface Link {
  readonly process: ComfyProcess | undefined;
  readonly http: ComfyHttp;
  readonly socket: ComfySocket;
  readonly catalog: NodeCatalog;
  readonly server: ComfyServer;
  condemned: boolean;
  /** Aborted when this ComfyUI can't be used any more and can't be restarted: what waits in it would wait in vain. */
  readonly stuck: AbortController;
}

/** Connects to ComfyUI. Returns at once; the start goes on in the background, and `ready` waits for it. */
export function connectComfy(config: ComfyConfig): ComfyConnection {
  return new Connection(config);
}

class Connection implements ComfyConnection {
  readonly #config: ComfyConfig;
  readonly #timings: ComfyTimings;
  readonly #closing = new AbortController();
  readonly #files: FileTransfer;
  #link: Link | undefined;
  #opening: Promise<Link> | undefined;
  /** Starts since a run ended well. */
  #starts = 0;
  #closed: Promise<void> | undefined;

  constructor(config: ComfyConfig) {
    this.#config = config;
    this.#timings = { ...defaultTimings, ...config.timings };
    this.#files = fileTransfer(() => this.#current().http);
    this.#open().catch(() => undefined);
  }

  isReady(): boolean {
    return this.#usable() !== undefined;
  }

  async ready(signal: AbortSignal): Promise<ComfyServer> {
    signal.throwIfAborted();
    const link = this.#usable() ?? (await raceSignal(this.#open(), signal));
    return link.server;
  }

  describe(names: Iterable<string>, signal: AbortSignal): Promise<ReadonlyMap<string, NodeClass>> {
    return this.#current().catalog.describe(names, signal);
  }

  async execute(request: ExecutionRequest): Promise<Execution> {
    const link = this.#current();
    const first = await this.#executeOn(link, request);
    if (first.failure?.code !== 'COMFY_CRASHED' || !link.process?.end || request.signal.aborted) return first;
    this.#config.logger.warn({ promptId: first.promptId }, 'ComfyUI ended during a run; the run is repeated');
    try {
      await this.ready(request.signal);
    } catch {
      return first;
    }
    const second = await this.#executeOn(this.#current(), request, first.promptId);
    const retries = first.retries + second.retries + 1;
    // What the first attempt made is still on the disk; it counts only when the second one fails.
    return { ...second, retries, outputs: { ...(second.failure && first.outputs), ...second.outputs } };
  }

  async #executeOn(link: Link, request: ExecutionRequest, promptId?: string): Promise<Execution> {
    link.process?.promptsBegin();
    let stuck = false;
    const signal = AbortSignal.any([request.signal, link.stuck.signal]);
    const execution = await executePrompt(
      {
        http: link.http,
        socket: link.socket,
        capabilities: link.server.capabilities,
        timings: this.#timings,
        logger: this.#config.logger,
        onCrash: (listener) => onCrash(link.process, listener),
        condemn: (why) => {
          stuck = link.process === undefined;
          this.#condemn(link, why);
          if (stuck) link.stuck.abort(new ComfyRunpodError('COMFY_STALLED', `ComfyUI was given up: ${why}.`));
        },
      },
      { ...request, signal },
      promptId,
    );
    const { failure } = execution;
    if (!failure) this.#starts = 0;
    if (failure?.code === 'COMFY_UNREACHABLE') this.#condemn(link, 'it does not answer');
    return stuck ? { ...execution, stuck } : execution;
  }

  async forget(promptId: string, signal: AbortSignal): Promise<boolean> {
    const { http } = this.#current();
    await deleteHistory(http, promptId, signal);
    return (await readHistory(http, promptId, signal)).kind === 'absent';
  }

  freeMemory(signal: AbortSignal): Promise<void> {
    return freeMemory(this.#current().http, signal);
  }

  gpuMemory(signal: AbortSignal): Promise<GpuMemory | undefined> {
    return readGpuMemory(this.#current().http, signal);
  }

  inspect(signal: AbortSignal): Promise<ComfyInspection> {
    return inspectServer(this.#current().http, signal);
  }

  upload: FileTransfer['upload'] = (file, signal) => this.#files.upload(file, signal);
  size: FileTransfer['size'] = (file, signal) => this.#files.size(file, signal);
  download: FileTransfer['download'] = (file, maxBytes, signal) => this.#files.download(file, maxBytes, signal);

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #current(): Link {
    if (!this.#link) throw new ComfyRunpodError('COMFY_UNREACHABLE', 'ComfyUI is not ready.');
    return this.#link;
  }

  #usable(): Link | undefined {
    const link = this.#link;
    return link && !link.condemned && !link.process?.end ? link : undefined;
  }

  /** Opens a link unless one is being opened. */
  #open(): Promise<Link> {
    this.#opening ??= this.#replace().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #replace(): Promise<Link> {
    const old = this.#link;
    if (old) await closeLink(old);
    this.#closing.signal.throwIfAborted();
    const { source, logger } = this.#config;
    if (this.#starts > 1) await delay(backoffMs(this.#starts - 2, restartPause), this.#closing.signal);
    this.#starts++;
    const child =
      source.kind === 'start'
        ? await ComfyProcess.start({ ...source, logger, stopMs: this.#timings.stopMs })
        : undefined;
    const http = new ComfyHttp(child?.url ?? (source.kind === 'attach' ? source.url : ''), this.#timings.requestMs);
    let server: ComfyServer;
    try {
      const answered = await this.#probe(http, child);
      const failedPacks = child?.failedPacks ?? (await readFailedPacks(http, this.#closing.signal));
      server = { ...answered, failedPacks };
    } catch (error) {
      await http.close();
      await child?.stop();
      throw error;
    }
    const catalog = new NodeCatalog(http);
    // A new connection may mean a new server with other nodes.
    const socket = new ComfySocket({ url: (id) => http.socketUrl(id), logger, onReconnect: () => catalog.clear() });
    const link: Link = {
      process: child,
      http,
      socket,
      catalog,
      server,
      condemned: false,
      stuck: new AbortController(),
    };
    this.#link = link;
    const { version, failedPacks } = server;
    logger.info({ comfyVersion: version, ...(failedPacks.length > 0 && { failedPacks }) }, 'ComfyUI is ready');
    // The next job should not have to wait for the start.
    child?.onEnd(() => {
      if (!this.#closing.signal.aborted) this.#open().catch(() => undefined);
    });
    if (this.#closing.signal.aborted) await closeLink(link);
    // Fetched ahead, so that the first job does not wait for it. A failure shows when it is asked for.
    catalog.describe(['SaveImage'], this.#closing.signal).catch(() => undefined);
    return link;
  }

  /** Asks until it answers. A refused connection means that it is still starting (ComfyUI protocol notes §1.1). */
  async #probe(http: ComfyHttp, child: ComfyProcess | undefined): Promise<ComfyServer> {
    const { startTimeoutMs } = this.#config;
    const late = () =>
      new ComfyRunpodError(
        child ? 'COMFY_START_FAILED' : 'COMFY_UNREACHABLE',
        `ComfyUI did not answer within ${Math.round(startTimeoutMs / 1000)} seconds.${child?.logText() ?? ''}`,
      );
    using deadline = createDeadline(startTimeoutMs, late, this.#closing.signal);
    for (let attempt = 0; ; attempt++) {
      if (child?.end) throw child.endError('COMFY_START_FAILED');
      try {
        const server = await probeServer(http, deadline.signal, Math.min(5_000, this.#timings.requestMs));
        // Somebody else's ComfyUI may hold the port while ours gives up for that reason.
        if (child?.end) throw child.endError('COMFY_START_FAILED');
        return server;
      } catch (error) {
        if (deadline.signal.aborted) throw deadline.expired ? late() : error;
        if (isComfyRunpodError(error) && error.code !== 'COMFY_UNREACHABLE' && error.code !== 'COMFY_PROTOCOL')
          throw error;
        if (transportFailure(error) === undefined && !isComfyRunpodError(error)) throw error;
      }
      await delay(backoffMs(attempt, { baseMs: 50, maxMs: 500, jitter: 0 }), deadline.signal).catch(() => undefined);
    }
  }

  /** This ComfyUI gets no further prompt; ours is ended, so that the next `ready` starts another. */
  #condemn(link: Link, why: string): void {
    if (link.condemned) return;
    link.condemned = true;
    this.#config.logger.warn({ why, started: link.process !== undefined }, 'ComfyUI is given up');
    link.process?.stop().catch(() => undefined);
  }

  async #close(): Promise<void> {
    this.#closing.abort(new ComfyRunpodError('WORKER_SHUTDOWN', 'The worker is stopping.'));
    await this.#opening?.catch(() => undefined);
    if (this.#link) await closeLink(this.#link);
  }
}

function onCrash(child: ComfyProcess | undefined, listener: (cause: ComfyRunpodError) => void): () => void {
  return child ? child.onEnd(() => listener(child.endError('COMFY_CRASHED'))) : () => undefined;
}

async function closeLink(link: Link): Promise<void> {
  await link.socket.close();
  await link.process?.stop();
  await link.http.close();
}
