// One WebSocket connection: its first messages and the feature-flag handshake (ComfyUI protocol notes §2.1, §2.2, §6.4).
// Invariants: 1. the first message is always `status` with `sid`, sent past the delivery loop. 2. Feature flags count only in
// the first valid JSON message. 3. The end of the connection unregisters its id whoever holds it.
import { randomUUID } from 'node:crypto';
import type { RawData, WebSocket } from 'ws';
import type { ExecutionSession } from '../execution/session.ts';
import { decodePyJson, PyJsonError, type PyValue } from '../python-json.ts';
import type { SocketHub } from './socket-hub.ts';

/** What a connection needs. */
export interface ConnectionOptions {
  readonly hub: SocketHub;
  readonly session: ExecutionSession;
  /** The body of `status` right now. */
  readonly queueInfo: () => unknown;
  /** The server's feature flags. */
  readonly features: () => unknown;
  readonly warn: (line: string) => void;
}

/** Takes over an accepted socket. `requestedId` is the `clientId` of the URL. */
export async function serveConnection(
  socket: WebSocket,
  requestedId: string,
  options: ConnectionOptions,
): Promise<void> {
  const { hub, session } = options;
  const clientId = requestedId === '' ? randomUUID().replaceAll('-', '') : requestedId;
  hub.register(clientId, socket);
  socket.on('close', () => hub.unregister(clientId, socket));
  socket.on('error', (error) => options.warn(`ws connection closed with exception ${error.message}`));
  let first = true;
  socket.on('message', (data: RawData, isBinary: boolean) => {
    if (isBinary) return;
    const message = parse(data, clientId, options.warn);
    if (message === undefined) return;
    if (first && message instanceof Map && message.get('type') === 'feature_flags') {
      const flags = message.get('data') ?? new Map();
      if (flags instanceof Map) hub.setFeatureFlags(clientId, flags);
      void hub.sendDirect(clientId, 'feature_flags', options.features());
    }
    // A message that is JSON but not an object raises before the chance is used up, as in the server.
    if (message instanceof Map) first = false;
  });
  await hub.sendDirect(clientId, 'status', { status: options.queueInfo(), sid: clientId });
  if (session.clientId === clientId && session.lastNodeId !== null) {
    await hub.sendDirect(clientId, 'executing', { node: session.lastNodeId });
  }
}

function parse(data: RawData, clientId: string, warn: (line: string) => void): PyValue | undefined {
  const text = Array.isArray(data)
    ? Buffer.concat(data).toString('utf8')
    : Buffer.from(data as Buffer).toString('utf8');
  try {
    return decodePyJson(text);
  } catch (error) {
    if (!(error instanceof PyJsonError)) throw error;
    warn(`Invalid JSON received from client ${clientId}: ${text}`);
    return undefined;
  }
}
