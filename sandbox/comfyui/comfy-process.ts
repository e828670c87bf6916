// One life of the server, from binding its port to its end: what a `python main.py` would be. Owns queue, history, caches,
// sockets and worker; stand-in.ts starts, restarts and ends lives.
// Invariants: 1. nothing of a life survives it but files. 2. end() cuts all connections, refuses the port and waits for the
// worker. 3. A message that cannot be serialised ends the life (§6.6).
import { mkdir, rm } from 'node:fs/promises';
import { setImmediate as eventLoopTurn, setTimeout as wait } from 'node:timers/promises';
import { PromptExecutor } from './execution/executor.ts';
import { InterruptFlag } from './execution/interrupt-flag.ts';
import type { StandInClock } from './execution/run-context.ts';
import { ExecutionSession } from './execution/session.ts';
import { startWorker, type WorkerHandle } from './execution/worker.ts';
import { EventFaults } from './faults/event-faults.ts';
import type { FaultController } from './faults/fault-controller.ts';
import { PromptFaults } from './faults/prompt-faults.ts';
import { allRoutes } from './http/all-routes.ts';
import { type Listener, listen } from './http/listener.ts';
import { Router } from './http/router.ts';
import type { LogBook, LogLevel } from './log-book.ts';
import type { NodeDefinition } from './node-definition.ts';
import { NodeRegistry } from './node-registry.ts';
import { PromptQueue } from './queue/prompt-queue.ts';
import { type AcceptedPrompt, queueInfo, type ServerContext, type ServerSettings } from './server-context.ts';
import type { ComfyStandInOptions } from './stand-in-options.ts';
import { SocketHub } from './websocket/socket-hub.ts';

/** What a life is made of. */
export interface ComfyProcessOptions {
  readonly host: string;
  readonly port: number;
  readonly settings: ServerSettings;
  readonly nodes: readonly NodeDefinition[];
  readonly faults: FaultController;
  readonly clock: StandInClock;
  readonly log: LogBook;
  readonly choices: Pick<
    ComfyStandInOptions,
    'cache' | 'cachedUiNeedsClient' | 'disableMetadata' | 'historyDelayMs' | 'historyLimit' | 'onEvent'
  >;
  readonly onRequest: (method: string, url: string) => void;
  readonly onAccepted: (prompt: AcceptedPrompt) => void;
  /** The life ended by itself: a crash fault or a message it could not send. */
  readonly onCrash: (restartAfterMs: number | null) => void;
}

/** A running life. */
export class ComfyProcess {
  readonly context: ServerContext;
  private readonly options: ComfyProcessOptions;
  private readonly closing = new AbortController();
  private readonly promptFaults: PromptFaults;
  private readonly refusedUntil = new Map<string, number>();
  private stalled: Promise<void> | undefined;
  private worker: WorkerHandle;
  private listener: Listener | undefined;
  private ending: Promise<void> | undefined;

  constructor(options: ComfyProcessOptions) {
    this.options = options;
    const { settings, faults, log, clock, choices } = options;
    const hub = this.createHub();
    const session = new ExecutionSession(hub);
    const queue = new PromptQueue({
      historyLimit: choices.historyLimit ?? 10_000,
      onChange: (remaining) => session.broadcast('status', { status: queueInfo(remaining) }),
    });
    const registry = new NodeRegistry(options.nodes, { folders: settings.folders, profile: settings.profile });
    const interrupt = new InterruptFlag();
    this.promptFaults = new PromptFaults({
      faults,
      folders: settings.folders,
      queue,
      session,
      closing: this.closing.signal,
      historyDelayMs: choices.historyDelayMs ?? 0,
    });
    const executor = this.createExecutor(registry, session, interrupt);
    this.worker = startWorker({
      queue,
      executor,
      session,
      closing: this.closing.signal,
      log: (level, text) => log.write(level, text),
      historyDelay: (id) => this.promptFaults.historyDelay(id),
      beforePrompt: (id) => this.promptFaults.beforePrompt(id),
      beforeHistory: (id, result) => this.promptFaults.beforeHistory(id, result),
      afterHistory: (entry) => this.promptFaults.afterHistory(entry),
    });
    this.context = {
      settings,
      clock,
      queue,
      hub,
      session,
      registry,
      interrupt,
      faults,
      log,
      closing: this.closing.signal,
      onAccepted: options.onAccepted,
      jobTimes: new Map(),
    };
    this.applyMissingClasses();
  }

  /** Binds the port; the server is ready when this resolves. */
  async start(): Promise<void> {
    const { folders } = this.options.settings;
    await rm(folders.temp, { recursive: true, force: true });
    await mkdir(folders.temp, { recursive: true });
    const slow = this.options.faults.strike('slow-start');
    if (slow !== undefined) await wait(slow.delayMs, undefined, { signal: this.closing.signal });
    this.listener = await listen({
      host: this.options.host,
      port: this.options.port,
      context: this.context,
      router: new Router(allRoutes(this.options.settings.profile)),
      onRequest: this.options.onRequest,
      mayConnect: (clientId) => (this.refusedUntil.get(clientId) ?? 0) <= performance.now(),
      onSocket: (_clientId, takenOver) => this.onSocket(takenOver),
    });
  }

  /** 0 before start(). */
  get port(): number {
    return this.listener?.port ?? 0;
  }

  get workerAlive(): boolean {
    return this.worker.alive;
  }

  /** Ends the life like a killed process: sockets cut, port refused. Idempotent. */
  end(): Promise<void> {
    this.ending ??= this.endOnce();
    return this.ending;
  }

  /** Hides and shows classes as the armed faults say. */
  applyMissingClasses(): void {
    const hidden = new Set(
      this.options.faults.armed().flatMap((fault) => (fault.kind === 'missing-class' ? [fault.classType] : [])),
    );
    this.context.registry.hideOnly(hidden);
  }

  private async endOnce(): Promise<void> {
    this.closing.abort(new Error('the server ended'));
    this.context.hub.close();
    await this.listener?.stop();
    await this.worker.done;
  }

  private createHub(): SocketHub {
    const { choices, faults, log } = this.options;
    const eventFaults = new EventFaults(faults, {
      cutSocket: (client, refuseReconnectMs) => this.cutSocket(client, refuseReconnectMs),
      stall: (forMs) => this.stall(forMs),
      crash: (restartAfterMs) => this.options.onCrash(restartAfterMs),
    });
    return new SocketHub({
      shape: (message) => eventFaults.shape(message),
      gate: () => this.stalled ?? Promise.resolve(),
      onFatal: (error) => {
        log.write('CRITICAL', `Traceback (most recent call last):\n${String(error)}`);
        this.options.onCrash(null);
      },
      onDelivered: (message, clientId) => choices.onEvent?.(message, clientId),
    });
  }

  private createExecutor(registry: NodeRegistry, session: ExecutionSession, interrupt: InterruptFlag): PromptExecutor {
    const { settings, log, clock, choices } = this.options;
    return new PromptExecutor({
      registry,
      session,
      interrupt,
      folders: settings.folders,
      profile: settings.profile,
      disableMetadata: choices.disableMetadata ?? false,
      cacheMode: choices.cache ?? { kind: 'classic' },
      clock,
      closing: this.closing.signal,
      log: (level: LogLevel & ('INFO' | 'WARNING' | 'ERROR'), text: string) => log.write(level, text),
      beforeNode: (promptId, nodeId, classType) => this.promptFaults.beforeNode(promptId, nodeId, classType),
      beforeSuccess: (promptId) => this.promptFaults.beforeSuccess(promptId),
      cachedUiNeedsClient: choices.cachedUiNeedsClient ?? false,
      yieldTurn: async () => {
        await eventLoopTurn();
        this.closing.signal.throwIfAborted();
      },
    });
  }

  private cutSocket(client: unknown, refuseReconnectMs: number): void {
    if (typeof client !== 'string') {
      this.context.hub.cutSockets();
      return;
    }
    this.refusedUntil.set(client, performance.now() + refuseReconnectMs);
    this.context.hub.cutSockets(client);
  }

  private stall(forMs: number | undefined): void {
    const { signal } = this.closing;
    this.stalled = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (forMs !== undefined) void wait(forMs, undefined, { signal }).then(resolve, () => undefined);
    });
  }

  private onSocket(takenOver: (() => void) | undefined): void {
    if (takenOver === undefined) return;
    const late = this.options.faults.strike('late-old-socket-close');
    if (late === undefined) return;
    void wait(late.afterMs, undefined, { signal: this.closing.signal }).then(takenOver, () => undefined);
  }
}
