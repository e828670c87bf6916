/**
 * A TCP proxy that stands for the way between two machines: every byte takes half a round trip, and what the caller sends shares one line of
 * limited speed, as all connections of a machine do. A new connection costs a round trip more; encryption is not simulated.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** The way to simulate. */
export interface LinkOptions {
  /** Milliseconds there and back. */
  readonly roundTripMs: number;
  /** Bits a second from the caller to the server, all connections together. The other direction is not limited. */
  readonly upBitsPerSecond: number;
}

/** A running proxy. */
export interface SlowLink extends AsyncDisposable {
  /** `127.0.0.1:PORT`, to be put where the server's own host and port stood. */
  readonly host: string;
}

/** Bytes on their way at which the sender has to wait, as with a full window: somewhat more than what 50 ms of 100 Mbit/s hold. */
const windowBytes = 1024 * 1024;

/** Starts a proxy in front of the server at this port of the loopback. */
export async function startSlowLink(port: number, options: LinkOptions): Promise<SlowLink> {
  const sockets = new Set<Socket>();
  const line = { freeAt: 0 };
  const bytesPerMs = options.upBitsPerSecond / 8_000;
  const server: Server = createServer((caller) => {
    const target = connect(port, '127.0.0.1');
    for (const socket of [caller, target]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => undefined);
    }
    const half = options.roundTripMs / 2;
    // The handshake has answered at once; its round trip is made up for by the first bytes.
    const openAt = performance.now() + options.roundTripMs;
    forward(caller, target, (bytes) => {
      line.freeAt = Math.max(line.freeAt, openAt, performance.now()) + bytes / bytesPerMs;
      return line.freeAt + half;
    });
    forward(target, caller, () => performance.now() + half);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Passes bytes on, in order, each piece when `arrivesAt` says. */
function forward(from: Socket, to: Socket, arrivesAt: (bytes: number) => number): void {
  const queue: { readonly at: number; readonly act: () => void }[] = [];
  let onTheWay = 0;
  let timer: NodeJS.Timeout | undefined;
  // One timer for the first of the queue: timers of their own would not keep the order.
  const pump = () => {
    timer = undefined;
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      const rest = next.at - performance.now();
      if (rest > 0) {
        timer = setTimeout(pump, rest);
        return;
      }
      queue.shift();
      next.act();
    }
  };
  const later = (at: number, act: () => void) => {
    queue.push({ at, act });
    if (timer === undefined) pump();
  };
  from.on('data', (piece: Buffer) => {
    onTheWay += piece.length;
    if (onTheWay >= windowBytes) from.pause();
    later(arrivesAt(piece.length), () => {
      onTheWay -= piece.length;
      if (onTheWay < windowBytes) from.resume();
      if (!to.destroyed) to.write(piece);
    });
  });
  from.on('end', () => later(arrivesAt(0), () => to.end()));
  from.on('close', () => {
    // An orderly end waits for its turn; a break is told at once.
    if (from.readableEnded) return;
    clearTimeout(timer);
    queue.length = 0;
    to.destroy();
  });
}
