// The answers aiohttp gives (ComfyUI protocol notes §1.1), in two dialects: the recordings were made with aiohttp 3.11, the
// notes' probes with 3.8. They differ in empty bodies and in unknown paths.
import type { ServerResponse } from 'node:http';
import { encodePyJson } from '../python-json.ts';

/** Which aiohttp the stand-in imitates. */
export type AiohttpDialect = 'aiohttp-3.11' | 'aiohttp-3.8';

/** An answer with its body in memory. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** The connection ends after it, as after an unhandled exception. */
  readonly closeConnection?: boolean;
}

/** `web.json_response`. Throws a TypeError for what Python cannot serialise. */
export function jsonAnswer(value: unknown, status = 200): Answer {
  return { status, headers: { 'Content-Type': 'application/json; charset=utf-8' }, body: encodePyJson(value) };
}

/** A text body with aiohttp's content type. */
export function textAnswer(text: string, status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers }, body: text };
}

/** `web.Response(status=…)`: no body; a content type only in the older dialect. */
export function emptyAnswer(status: number, dialect: AiohttpDialect): Answer {
  const headers = dialect === 'aiohttp-3.8' ? { 'Content-Type': 'application/octet-stream' } : {};
  return { status, headers, body: '' };
}

/** Bytes with a content type. */
export function bytesAnswer(
  body: Uint8Array,
  contentType: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return { status: 200, headers: { 'Content-Type': contentType, ...headers }, body };
}

/** An exception nobody handled. */
export function serverErrorAnswer(): Answer {
  return {
    ...textAnswer('500 Internal Server Error\n\nServer got itself in trouble', 500),
    closeConnection: true,
  };
}

/**
 * Any path nobody serves: the static folder at `/` answers, and it only knows GET and HEAD. Below `/internal/`, and for paths
 * that are no relative path of that folder, aiohttp's own answer comes through.
 */
export function unknownPathAnswer(method: string, path: string, dialect: AiohttpDialect): Answer {
  const outsideOfFolder = path.startsWith('/internal/') || path.startsWith('//');
  if (outsideOfFolder) return textAnswer('404: Not Found', 404);
  if (method !== 'GET' && method !== 'HEAD') return methodNotAllowed(['GET', 'HEAD']);
  if (dialect === 'aiohttp-3.8') return textAnswer('404: Not Found', 404);
  return {
    status: 404,
    headers: { 'Content-Type': 'application/octet-stream', 'Transfer-Encoding': 'chunked' },
    body: '',
  };
}

/** A known path with another method. */
export function methodNotAllowed(allowed: readonly string[]): Answer {
  return textAnswer('405: Method Not Allowed', 405, { Allow: [...allowed].sort().join(',') });
}

/** A body above the limit. */
export function tooLargeAnswer(limit: number, actual: number): Answer {
  return textAnswer(`Maximum request body size ${limit} exceeded, actual body size ${actual}`, 413);
}

const SERVER: Readonly<Record<AiohttpDialect, string>> = {
  'aiohttp-3.11': 'Python/3.13 aiohttp/3.11.16',
  'aiohttp-3.8': 'Python/3.11 aiohttp/3.8.4',
};

/** Writes an answer. */
export function sendAnswer(response: ServerResponse, answer: Answer, dialect: AiohttpDialect, headOnly: boolean): void {
  const body = typeof answer.body === 'string' ? Buffer.from(answer.body, 'utf8') : answer.body;
  const headers: Record<string, string | number> = { ...answer.headers, Server: SERVER[dialect] };
  if (headers['Transfer-Encoding'] === undefined) headers['Content-Length'] = body.byteLength;
  if (answer.closeConnection === true) headers['Connection'] = 'close';
  response.writeHead(answer.status, headers);
  response.end(headOnly ? undefined : body);
}
