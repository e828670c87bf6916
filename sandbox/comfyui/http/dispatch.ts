// From a request to its answer: browser checks, faults, routing, errors (ComfyUI protocol notes §1.1, §5.2).
// Invariants: 1. whatever a handler throws becomes the two-line 500, except a body too large (413). 2. Checks come first, on
// every path. 3. Faults of HTTP strike before the handler and never change its effects.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { pythonErrorInfo } from '../python-error.ts';
import type { ServerContext } from '../server-context.ts';
import {
  type Answer,
  emptyAnswer,
  methodNotAllowed,
  sendAnswer,
  serverErrorAnswer,
  tooLargeAnswer,
  unknownPathAnswer,
} from './answers.ts';
import { isForeignOrigin } from './origin-check.ts';
import { BodyTooLarge } from './request-body.ts';
import { createRouteRequest, type RouteRequest } from './route.ts';
import type { Router } from './router.ts';

/** Whether a request is refused before routing: a page from elsewhere made it. Also used for WebSocket upgrades. */
export async function isRefused(request: IncomingMessage, context: ServerContext): Promise<boolean> {
  const { profile, corsOrigin } = context.settings;
  if (corsOrigin !== undefined) return false;
  if (profile === 'late-2026' && request.headers['sec-fetch-site'] === 'cross-site') return true;
  return await isForeignOrigin(request.headers);
}

/** The path without `/api`, decoded no further than the URL class does. */
export function endpointOf(path: string): string {
  return path.startsWith('/api/') ? path.slice('/api'.length) : path;
}

/** Answers one request. Never rejects. */
export async function dispatch(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router,
  context: ServerContext,
): Promise<void> {
  const { dialect } = context.settings;
  const headOnly = request.method === 'HEAD';
  let answer: Answer | 'sent';
  try {
    answer = await answerOf(request, response, router, context);
  } catch (error) {
    if (error instanceof BodyTooLarge) answer = tooLargeAnswer(error.limit, error.actual);
    else {
      const info = pythonErrorInfo(error);
      context.log.write('ERROR', `Error handling request\n${info.type}: ${info.message}`);
      answer = serverErrorAnswer();
    }
  }
  if (answer === 'sent' || response.headersSent || response.destroyed) return;
  sendAnswer(response, withCors(withCaching(answer, request), context), dialect, headOnly);
}

async function answerOf(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router,
  context: ServerContext,
): Promise<Answer | 'sent'> {
  const { dialect, maxUploadBytes } = context.settings;
  const method = request.method ?? 'GET';
  const [path = '/', search = ''] = splitUrl(request.url ?? '/');
  const endpoint = endpointOf(path);
  if (await isRefused(request, context)) return emptyAnswer(403, dialect);
  if (method === 'OPTIONS') return emptyAnswer(200, dialect);
  const struck = await strikeHttp(context, endpoint);
  if (struck !== undefined) return struck;
  const match = router.match(method, path);
  if (match.kind === 'wrong-method') return methodNotAllowed(match.allowed);
  if (match.kind === 'unknown') return unknownPathAnswer(method, path, dialect);
  const limit = context.faults.strike('body-limit', { endpoint })?.limitBytes ?? maxUploadBytes;
  const found = { params: match.params, query: new URLSearchParams(search), endpoint };
  const routed: RouteRequest = createRouteRequest(request, response, found, limit);
  return await match.route.handler(routed, context);
}

function splitUrl(url: string): [string, string] {
  const mark = url.indexOf('?');
  return mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}

async function strikeHttp(context: ServerContext, endpoint: string): Promise<Answer | 'sent' | undefined> {
  const latency = context.faults.strike('latency', { endpoint });
  if (latency?.delayMs === null) return 'sent';
  if (latency !== undefined) await wait(latency.delayMs ?? 0, undefined, { signal: context.closing });
  const bad = context.faults.strike('bad-status', { endpoint });
  if (bad === undefined) return undefined;
  return bad.status === 500 ? serverErrorAnswer() : emptyAnswer(bad.status, context.settings.dialect);
}

const IMAGE_PATH = /\.(jpg|jpeg|png|ppm|bmp|pgm|tif|tiff|webp)$/i;
const CACHED_STATUS = new Set([200, 201, 202, 203, 204, 205, 206, 301, 308]);

/** Cache headers by path suffix, as the outermost middleware sets them. */
function withCaching(answer: Answer, request: IncomingMessage): Answer {
  const [path] = splitUrl(request.url ?? '/');
  const isEntryPoint = /\/index[^/]*\.json$/.test(path);
  // The static folder's 404 is decided after the middleware looked: it saw a success.
  const status = answer.headers['Transfer-Encoding'] === undefined ? answer.status : 200;
  let value: string | undefined;
  if (path.endsWith('.js') || path.endsWith('.css') || isEntryPoint) value = 'no-cache';
  else if (IMAGE_PATH.test(path) && status === 404) value = 'public, max-age=3600';
  else if (IMAGE_PATH.test(path) && CACHED_STATUS.has(status)) value = 'public, max-age=86400';
  if (value === undefined || answer.headers['Cache-Control'] !== undefined) return answer;
  return { ...answer, headers: { ...answer.headers, 'Cache-Control': value } };
}

function withCors(answer: Answer, context: ServerContext): Answer {
  const { corsOrigin } = context.settings;
  if (corsOrigin === undefined) return answer;
  return {
    ...answer,
    headers: {
      ...answer.headers,
      'Access-Control-Allow-Origin': corsOrigin,
      'Access-Control-Allow-Methods': 'POST, GET, DELETE, PUT, OPTIONS',
      'Access-Control-Allow-Headers': 'Content-Type, Authorization',
      'Access-Control-Allow-Credentials': 'true',
    },
  };
}
