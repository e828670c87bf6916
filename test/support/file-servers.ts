/** Servers on loopback that hand out input files, well or badly. `closeAll` ends them with every connection. */
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { selfSigned } from './self-signed.ts';

/** A running server. */
export interface FileServer {
  readonly port: number;
  /** Sockets that are open now. */
  readonly open: ReadonlySet<Socket>;
  /** Connections that there ever were. */
  readonly connections: () => number;
}

/** Starts servers and ends them all. */
export class FileServers {
  readonly #servers: { server: Server; open: Set<Socket> }[] = [];

  /** A server without TLS on 127.0.0.1. */
  http(listener: RequestListener): Promise<FileServer> {
    return this.#listen(createHttpServer(listener));
  }

  /** A server with TLS on 127.0.0.1, and the certificate to trust. */
  async https(hosts: readonly string[], listener: RequestListener): Promise<FileServer & { readonly ca: string }> {
    const { key, cert } = selfSigned(hosts);
    return { ...(await this.#listen(createHttpsServer({ key, cert }, listener))), ca: cert };
  }

  /** Ends all servers. */
  async closeAll(): Promise<void> {
    for (const { server, open } of this.#servers.splice(0)) {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  async #listen(server: Server): Promise<FileServer> {
    const open = new Set<Socket>();
    let count = 0;
    server.on('connection', (socket: Socket) => {
      count++;
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => open.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#servers.push({ server, open });
    return { port: (server.address() as AddressInfo).port, open, connections: () => count };
  }
}

/** A PNG of one pixel followed by `extra` bytes that nobody decodes. */
export function pngBytes(extra = 0): Buffer {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  );
  return Buffer.concat([png, Buffer.alloc(extra, 'private ')]);
}
