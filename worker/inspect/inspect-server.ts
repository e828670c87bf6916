/** Answers `comfy-runpod-inspect`: HTTP over a socket file that only this user and root may open. One answer, whatever is asked. */
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { type Inspection, inspectSocketName } from '../../shared/index.ts';
import type { Logger } from '../types.ts';

/** A listening socket. */
export interface InspectServer {
  readonly socket: string;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Listens in the first of `folders` in which that is possible. A worker without it is a good worker: a failure is logged, and undefined. */
export async function startInspectServer(
  folders: readonly string[],
  inspect: () => Promise<Inspection>,
  logger: Logger,
): Promise<InspectServer | undefined> {
  for (const folder of folders) {
    try {
      return await listen(folder, inspect);
    } catch {
      // The next one.
    }
  }
  logger.warn({}, 'RUNTIME_DIR can not be written to: `comfy-runpod-inspect` will not work.');
  return undefined;
}

async function listen(folder: string, inspect: () => Promise<Inspection>): Promise<InspectServer> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const socket = path.join(folder, inspectSocketName);
  // Of an earlier start of this container.
  await rm(socket, { force: true });
  const server = createServer((_request, response) => {
    inspect().then(
      (inspection) => response.setHeader('content-type', 'application/json').end(JSON.stringify(inspection)),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  await chmod(socket, 0o600);
  server.unref();
  let closed: Promise<void> | undefined;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(socket, { force: true });
  };
  return {
    socket,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}
