// A WebSocket client that keeps everything it receives, for conformance tests.
import { once } from 'node:events';
import { WebSocket } from 'ws';

/** A received message. */
export type Received =
  | { readonly kind: 'json'; readonly text: string; readonly value: unknown }
  | { readonly kind: 'binary'; readonly bytes: Buffer };

/** Text that JSON.parse refuses (bare NaN) stays a text. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** An open socket and what came over it, in order. */
export class SocketClient implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly socket: WebSocket;
  private readonly waiters = new Set<() => void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      const text = data.toString('utf8');
      this.received.push(isBinary ? { kind: 'binary', bytes: data } : { kind: 'json', text, value: parse(text) });
      for (const wake of this.waiters) wake();
    });
    socket.on('close', () => {
      for (const wake of this.waiters) wake();
    });
    socket.on('error', () => undefined);
  }

  /** Opens a socket; rejects when the server refuses. */
  static async open(url: string, clientId: string, headers: Record<string, string> = {}): Promise<SocketClient> {
    const target = `${url.replace(/^http/, 'ws')}/ws${clientId === '' ? '' : `?clientId=${clientId}`}`;
    const socket = new WebSocket(target, { headers, perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 });
    const client = new SocketClient(socket);
    await once(socket, 'open');
    return client;
  }

  /** JSON messages only. */
  get messages(): { type: string; data: Record<string, unknown> }[] {
    return this.received.flatMap((entry) =>
      entry.kind === 'json' && typeof entry.value === 'object'
        ? [entry.value as { type: string; data: Record<string, unknown> }]
        : [],
    );
  }

  /** Binary frames only. */
  get frames(): Buffer[] {
    return this.received.flatMap((entry) => (entry.kind === 'binary' ? [entry.bytes] : []));
  }

  /** Resolves once the condition holds; checked with every message. Rejects after `withinMs`, telling what came. */
  async until(condition: () => boolean, what: string, withinMs = 15_000): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error): void => {
        clearTimeout(timer);
        this.waiters.delete(check);
        if (error === undefined) resolve();
        else reject(error);
      };
      const check = (): void => {
        if (condition()) done();
      };
      const timer = setTimeout(() => {
        const seen = this.messages.map((message) => message.type).join(', ');
        done(new Error(`waited ${withinMs} ms for ${what}; received: ${seen}`));
      }, withinMs);
      this.waiters.add(check);
    });
  }

  /** Waits for the end message of a prompt. */
  async untilEnd(promptId: string): Promise<void> {
    await this.until(
      () =>
        this.messages.some(
          (message) =>
            message.type === 'executing' && message.data['node'] === null && message.data['prompt_id'] === promptId,
        ),
      `the end of ${promptId}`,
    );
  }

  async close(): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.socket, 'close');
    this.socket.close();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    if (this.socket.readyState !== WebSocket.CLOSED) await once(this.socket, 'close');
  }
}
