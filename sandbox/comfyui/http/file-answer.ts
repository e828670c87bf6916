// Files as aiohttp's FileResponse serves them: validators, ranges, HEAD (ComfyUI protocol notes §1.9).

import type { Stats } from 'node:fs';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { type AiohttpDialect, sendAnswer } from './answers.ts';

/** What a fault does to the body. */
export interface BodyDamage {
  readonly slowMs?: number | undefined;
  readonly cutAfterBytes?: number | undefined;
}

/** A file to serve. */
export interface ServedFile {
  readonly path: string;
  readonly stats: Stats;
  readonly headers: Readonly<Record<string, string>>;
  readonly damage?: BodyDamage;
}

interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The single range a request asks for: none, one, or one that cannot be had. */
function requestedRange(header: string | undefined, size: number): ByteRange | 'whole' | 'impossible' {
  if (header === undefined) return 'whole';
  const match = /^bytes=(\d*)-(\d*)$/.exec(header);
  if (match === null || (match[1] === '' && match[2] === '')) return 'impossible';
  const first = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return first >= size || first > last ? 'impossible' : { start: first, end: last };
}

function etagOf(stats: Stats): string {
  return `${BigInt(Math.round(stats.mtimeMs * 1e6)).toString(16)}-${stats.size.toString(16)}`;
}

/** Answers with the file or a part of it. */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: ServedFile,
  dialect: AiohttpDialect,
): Promise<void> {
  const etag = `"${etagOf(file.stats)}"`;
  const headers = {
    ...file.headers,
    Etag: etag,
    'Last-Modified': file.stats.mtime.toUTCString(),
    'Accept-Ranges': 'bytes',
  };
  if (request.headers['if-none-match'] === etag) {
    sendAnswer(response, { status: 304, headers, body: '' }, dialect, true);
    return;
  }
  const range = requestedRange(request.headers.range, file.stats.size);
  if (range === 'impossible') {
    const rangeHeaders = { ...headers, 'Content-Range': `bytes */${file.stats.size}` };
    sendAnswer(response, { status: 416, headers: rangeHeaders, body: '' }, dialect, false);
    return;
  }
  const part = range === 'whole' ? { start: 0, end: file.stats.size - 1 } : range;
  response.writeHead(range === 'whole' ? 200 : 206, {
    ...headers,
    'Content-Length': part.end - part.start + 1,
    ...(range === 'whole' ? {} : { 'Content-Range': `bytes ${part.start}-${part.end}/${file.stats.size}` }),
  });
  if (request.method === 'HEAD' || part.end < part.start) {
    response.end();
    return;
  }
  await pipeBody(file, part, response);
}

async function pipeBody(file: ServedFile, part: ByteRange, response: ServerResponse): Promise<void> {
  const { slowMs, cutAfterBytes } = file.damage ?? {};
  let sent = 0;
  for await (const chunk of createReadStream(file.path, part)) {
    let bytes = chunk as Buffer;
    if (slowMs !== undefined) await wait(slowMs);
    if (response.destroyed) return;
    const room = cutAfterBytes === undefined ? bytes.length : cutAfterBytes - sent;
    if (room < bytes.length) bytes = bytes.subarray(0, Math.max(0, room));
    sent += bytes.length;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        response.off('close', finish);
        resolve();
      };
      response.once('close', finish);
      response.write(bytes, finish);
    });
    if (cutAfterBytes !== undefined && sent >= cutAfterBytes) {
      response.destroy();
      return;
    }
  }
  response.end();
}
