// The listening socket: HTTP through dispatch, upgrades to WebSocket connections (ComfyUI protocol notes §2.1).
// Invariants: 1. the origin check applies to upgrades. 2. stop() cuts every connection at once, as the end of a process does.
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { ServerContext } from '../server-context.ts';
import { queueInfo } from '../server-context.ts';
import { serverFeatures } from '../server-features.ts';
import { serveConnection } from '../websocket/connection.ts';
import { dispatch, endpointOf, isRefused } from './dispatch.ts';
import type { Router } from './router.ts';

const LARGEST_CLIENT_FRAME_BYTES = 4 * 1024 * 1024;

/** Where to listen and what to ask. */
export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly context: ServerContext;
  readonly router: Router;
  /** Told of every request, upgrades included. */
  readonly onRequest: (method: string, url: string) => void;
  /** Whether this client may open a socket now. */
  readonly mayConnect: (clientId: string) => boolean;
  /** Told of every registered socket. */
  readonly onSocket: (clientId: string, taken: (() => void) | undefined) => void;
}

/** A bound server. */
export interface Listener {
  readonly port: number;
  stop(): Promise<void>;
}

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
}

async function upgrade(
  server: WebSocketServer,
  options: ListenerOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const { context } = options;
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (await isRefused(request, context)) return refuse(socket, 403);
  if (endpointOf(url.pathname) !== '/ws') return refuse(socket, 404);
  const clientId = url.searchParams.get('clientId') ?? '';
  if (!options.mayConnect(clientId)) {
    socket.destroy();
    return;
  }
  server.handleUpgrade(request, socket, head, (client) => {
    const previous = context.hub.socketOf(clientId);
    options.onSocket(clientId, previous === undefined ? undefined : () => previous.terminate());
    void serveConnection(client, clientId, {
      hub: context.hub,
      session: context.session,
      queueInfo: () => queueInfo(context.queue.remaining),
      features: () => serverFeatures(context.settings),
      warn: (line) => context.log.write('WARNING', line),
    });
  });
}

/** Binds and serves. Rejects when the port cannot be had. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { context, router } = options;
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LARGEST_CLIENT_FRAME_BYTES,
    perMessageDeflate: true,
  });
  const server: Server = createServer((request, response) => {
    options.onRequest(request.method ?? 'GET', request.url ?? '/');
    void dispatch(request, response, router, context);
  });
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    options.onRequest('UPGRADE', request.url ?? '/');
    socket.on('error', () => socket.destroy());
    void upgrade(sockets, options, request, socket, head);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    async stop(): Promise<void> {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of connections) socket.destroy();
      sockets.close();
      await closed;
    },
  };
}
