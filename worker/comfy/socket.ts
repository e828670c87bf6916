/**
 * One WebSocket to ComfyUI, kept open across jobs. Its events are hints: nothing is lost when it is silent or gone (ComfyUI protocol
 * notes §0.2 rule 1).
 *
 * 1. Every connection has a client id of its own: re-using one silences the new socket (§6.4).
 * 2. It is always drained: a reader that stops would stall delivery to every client (§6.5). Listeners are synchronous and cheap.
 * 3. It never throws and never ends a job.
 */
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { backoffMs, delay, limits, raceSignal } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { type BarePreview, decodeBinary, decodeText, type PromptMessage } from './socket-messages.ts';

/** Gets the messages about one prompt, in order. */
export type PromptListener = (message: PromptMessage) => void;

/** A connection that does not answer pings for this long is dropped. */
const pingMs = 30_000;

type State =
  | { readonly kind: 'connecting'; readonly clientId: string; readonly socket: WebSocket }
  | { readonly kind: 'open'; readonly clientId: string; readonly socket: WebSocket }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'closed' };

/** The socket with its reconnects. Starts connecting at once; close it when done. */
export class ComfySocket {
  readonly #url: (clientId: string) => string;
  readonly #logger: Logger;
  readonly #onReconnect: () => void;
  readonly #listeners = new Map<string, PromptListener>();
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #state: State = { kind: 'waiting' };
  #heardOf: string | undefined;
  #opened = Promise.withResolvers<void>();

  constructor(options: { url: (clientId: string) => string; logger: Logger; onReconnect: () => void }) {
    this.#url = options.url;
    this.#logger = options.logger;
    this.#onReconnect = options.onReconnect;
    this.#loop = this.#run();
  }

  /** Id of the open connection, or undefined while there is none. */
  get clientId(): string | undefined {
    return this.#state.kind === 'open' ? this.#state.clientId : undefined;
  }

  /** Waits until the socket is open, but no longer than `ms`: a run does not depend on it. */
  async whenOpen(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#state.kind === 'open' || this.#state.kind === 'closed') return;
    const timer = new AbortController();
    try {
      await raceSignal(Promise.race([this.#opened.promise, delay(ms, timer.signal)]), signal);
    } finally {
      timer.abort();
    }
  }

  /** Sends the messages about one prompt to `listener` until the returned function is called. */
  listen(promptId: string, listener: PromptListener): () => void {
    this.#listeners.set(promptId, listener);
    return () => {
      if (this.#listeners.get(promptId) === listener) this.#listeners.delete(promptId);
    };
  }

  /** Drops the connection; a new one with a new id is made at once. */
  reset(): void {
    if (this.#state.kind === 'open' || this.#state.kind === 'connecting') this.#state.socket.terminate();
  }

  /** Closes for good. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    await this.#loop;
  }

  async #run(): Promise<void> {
    let failures = 0;
    let connections = 0;
    while (!this.#stop.signal.aborted) {
      const wasOpen = await this.#connectOnce(() => {
        connections++;
        if (connections > 1) this.#onReconnect();
      });
      failures = wasOpen ? 0 : failures + 1;
      this.#state = { kind: 'waiting' };
      await delay(backoffMs(failures, { baseMs: 50, maxMs: 5_000 }), this.#stop.signal).catch(() => undefined);
    }
    this.#state = { kind: 'closed' };
    this.#opened.resolve();
  }

  /** One connection from opening to its end. Answers whether it was ever open. */
  async #connectOnce(onOpen: () => void): Promise<boolean> {
    const clientId = randomUUID();
    const socket = new WebSocket(this.#url(clientId), {
      maxPayload: limits.comfySocketBytes,
      handshakeTimeout: 10_000,
      perMessageDeflate: false,
    });
    this.#state = { kind: 'connecting', clientId, socket };
    let opened = false;
    let alive = true;
    const pings = setInterval(() => {
      if (!alive) socket.terminate();
      alive = false;
      if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, pingMs);
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const onStop = () => socket.terminate();
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    socket.on('open', () => {
      opened = true;
      // Must be the first message of the connection (§2.2); previews then name their prompt.
      socket.send(JSON.stringify({ type: 'feature_flags', data: { supports_preview_metadata: true } }));
      this.#state = { kind: 'open', clientId, socket };
      this.#opened.resolve();
      onOpen();
    });
    socket.on('pong', () => {
      alive = true;
    });
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      alive = true;
      this.#dispatch(isBinary ? decodeBinary(data) : decodeText(data.toString('utf8')));
    });
    await ended;
    clearInterval(pings);
    this.#stop.signal.removeEventListener('abort', onStop);
    if (opened) {
      this.#opened = Promise.withResolvers<void>();
      if (!this.#stop.signal.aborted) this.#logger.warn({}, "ComfyUI's event socket closed; going on by polling");
    }
    return opened;
  }

  /** Gives a preview without a name to the prompt that was heard of last: only one runs at a time. */
  #named(message: PromptMessage | BarePreview): PromptMessage | undefined {
    if ('promptId' in message) {
      this.#heardOf = message.promptId;
      return message;
    }
    if (this.#heardOf === undefined) return undefined;
    return { type: 'preview', promptId: this.#heardOf, data: {}, image: message.image };
  }

  #dispatch(received: PromptMessage | BarePreview | undefined): void {
    const message = received && this.#named(received);
    if (!message) return;
    try {
      this.#listeners.get(message.promptId)?.(message);
    } catch (error) {
      this.#logger.error({ kind: error instanceof Error ? error.name : 'unknown' }, 'A socket listener failed');
    }
  }
}
