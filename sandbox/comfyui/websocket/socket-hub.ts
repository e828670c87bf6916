// The table of sockets and the one loop that delivers to them (ComfyUI protocol notes §2.3, §2.7, §6.4, §6.5).
// Neighbours: connection.ts registers sockets, execution/ enqueues, faults/ may reshape what is delivered.
// Invariants: 1. one loop, one send at a time, each awaited: a reader that stops reading stalls everyone. 2. A message for
// an id without a socket is dropped. 3. A message Python could not serialise ends the server (onFatal). 4. Removing an id
// is unconditional: the end of an old socket unregisters a newer one under the same id.
import { WebSocket } from 'ws';
import { encodePyJson } from '../python-json.ts';
import type { OutMessage, Recipient } from './out-message.ts';

/** Bytes a socket may have unsent before the loop waits for it, as in aiohttp's writer. */
const HIGH_WATER_BYTES = 64 * 1024;

/** What the hub asks of its surroundings. */
export interface HubHooks {
  /** Called with each message right before delivery; returns what to deliver instead. */
  readonly shape: (message: OutMessage) => readonly OutMessage[];
  /** Resolves when delivery may go on; the stalled-loop fault holds it. */
  readonly gate: () => Promise<void>;
  /** A message could not be serialised: the server is to die. */
  readonly onFatal: (error: unknown) => void;
  /** Told of every message handed to a socket. */
  readonly onDelivered: (message: OutMessage, clientId: string) => void;
}

interface Registered {
  readonly socket: WebSocket;
  featureFlags: ReadonlyMap<string, unknown>;
}

/** Sends one payload, waiting while the socket holds too much unsent data. Never rejects. */
export async function sendWithBackPressure(socket: WebSocket, payload: string | Uint8Array): Promise<void> {
  if (socket.readyState !== WebSocket.OPEN) return;
  let flushed = (): void => undefined;
  socket.send(payload, () => flushed());
  if (socket.bufferedAmount <= HIGH_WATER_BYTES) return;
  await new Promise<void>((resolve) => {
    flushed = (): void => {
      socket.off('close', flushed);
      resolve();
    };
    socket.once('close', flushed);
  });
}

/** Sockets by client id. */
export class SocketHub {
  private readonly table = new Map<string, Registered>();
  private readonly open = new Set<WebSocket>();
  private readonly hooks: HubHooks;
  private readonly waiting: OutMessage[] = [];
  private running = false;
  private closed = false;

  constructor(hooks: HubHooks) {
    this.hooks = hooks;
  }

  /** Ids that currently receive messages. */
  clientIds(): string[] {
    return [...this.table.keys()];
  }

  /** All open sockets, registered or silenced. */
  get openSockets(): number {
    return this.open.size;
  }

  /** The socket registered under an id. */
  socketOf(clientId: string): WebSocket | undefined {
    return this.table.get(clientId)?.socket;
  }

  /** Messages not yet handed to a socket. */
  get undelivered(): number {
    return this.waiting.length;
  }

  /** Puts the socket under the id; an older one under it stays open but gets nothing more. */
  register(clientId: string, socket: WebSocket): void {
    this.table.delete(clientId);
    this.table.set(clientId, { socket, featureFlags: new Map() });
    this.open.add(socket);
  }

  /** Forgets the id, whoever holds it now. */
  unregister(clientId: string, socket: WebSocket): void {
    this.table.delete(clientId);
    this.open.delete(socket);
  }

  setFeatureFlags(clientId: string, flags: ReadonlyMap<string, unknown>): void {
    const entry = this.table.get(clientId);
    if (entry !== undefined) entry.featureFlags = flags;
  }

  /** Whether the client announced `supports_preview_metadata: true` on its connection. */
  wantsPreviewMetadata(client: Recipient): boolean {
    return typeof client === 'string' && this.table.get(client)?.featureFlags.get('supports_preview_metadata') === true;
  }

  /** Queues a message for delivery. */
  enqueue(message: OutMessage): void {
    if (this.closed) return;
    this.waiting.push(message);
    if (!this.running) void this.deliverAll();
  }

  /** Sends at once to the socket registered under the id, past the loop: what a connection's own handler does. */
  async sendDirect(clientId: string, event: string, data: unknown): Promise<void> {
    const entry = this.table.get(clientId);
    if (entry !== undefined) await sendWithBackPressure(entry.socket, encodePyJson({ type: event, data }));
  }

  /** Cuts every socket without a closing handshake, or only those of one client. */
  cutSockets(clientId?: string): void {
    const victims = clientId === undefined ? [...this.open] : [this.table.get(clientId)?.socket];
    for (const socket of victims) socket?.terminate();
  }

  /** Stops delivery and cuts all sockets. */
  close(): void {
    this.closed = true;
    this.waiting.length = 0;
    this.cutSockets();
  }

  private async deliverAll(): Promise<void> {
    this.running = true;
    try {
      for (let message = this.waiting.shift(); message !== undefined; message = this.waiting.shift()) {
        await this.hooks.gate();
        if (this.closed) return;
        for (const shaped of this.hooks.shape(message)) await this.deliver(shaped);
      }
    } catch (error) {
      this.hooks.onFatal(error);
    } finally {
      this.running = false;
    }
  }

  private async deliver(message: OutMessage): Promise<void> {
    const targets = [...this.table].filter(([id]) => message.to === null || message.to === id);
    if (targets.length === 0) return;
    const payload =
      message.kind === 'binary' ? message.frame : encodePyJson({ type: message.event, data: message.data });
    for (const [clientId, entry] of targets) {
      this.hooks.onDelivered(message, clientId);
      await sendWithBackPressure(entry.socket, payload);
    }
  }
}
