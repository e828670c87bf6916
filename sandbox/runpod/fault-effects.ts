// Carries out what a FaultPlan says on a real connection. Deciding is fault-script.ts's business.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EndingFault } from './fault-script.ts';
import type { BodyParts } from './job-view.ts';
import type { Reply } from './reply.ts';

/** Ends a request the way a fault wants it, without the route's own answer. Resolves when there is nothing left to do. */
export async function endWithFault(
  fault: EndingFault,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  switch (fault.kind) {
    case 'hang':
      await untilAborted(signal);
      return;
    case 'drop':
      request.socket.destroy();
      return;
    case 'reset':
      request.socket.resetAndDestroy();
      return;
    case 'answer':
      await writeReply(response, faultAnswer(fault));
      return;
    case 'truncate':
      throw new TypeError('a truncated answer needs the answer itself: use truncateReply');
  }
}

/** Announces a whole answer, sends the first bytes of its body and closes the connection. */
export async function truncateReply(response: ServerResponse, reply: Reply, bytes: number | undefined): Promise<void> {
  if (response.closed || response.destroyed) return;
  const body = Buffer.concat(reply.body.map((part) => Buffer.from(part)));
  writeHead(response, reply, body.length);
  const kept = body.subarray(0, Math.min(bytes ?? Math.floor(body.length / 2), Math.max(0, body.length - 1)));
  response.flushHeaders();
  await new Promise<void>((resolve) => response.write(kept, () => resolve()));
  response.socket?.destroySoon();
}

/** Writes an answer; resolves `true` once it is handed over to the machine, `false` when the connection went away. */
export function writeReply(response: ServerResponse, reply: Reply): Promise<boolean> {
  if (response.closed || response.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    response.once('close', () => resolve(response.writableFinished));
    response.once('finish', () => resolve(true));
    writeHead(response, reply, sizeOf(reply.body));
    response.cork();
    for (const part of reply.body) response.write(part);
    response.end();
    response.uncork();
  });
}

function writeHead(response: ServerResponse, reply: Reply, size: number): void {
  const type = size > 0 ? { 'content-type': 'application/json' } : {};
  const length = reply.status === 204 || reply.status === 304 || reply.status < 200 ? {} : { 'content-length': size };
  response.writeHead(reply.status, { ...type, ...length, ...reply.headers });
}

function sizeOf(body: BodyParts): number {
  return body.reduce((size, part) => size + Buffer.byteLength(part), 0);
}

function faultAnswer(fault: Extract<EndingFault, { kind: 'answer' }>): Reply {
  const headers = Object.fromEntries(
    Object.entries(fault.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const body = fault.text ?? (fault.json === undefined ? undefined : JSON.stringify(fault.json));
  return { status: fault.status, headers, body: body === undefined ? [] : [body] };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
