// What a route handler gets and gives.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { PyValue } from '../python-json.ts';
import type { ServerContext } from '../server-context.ts';
import { type Answer, emptyAnswer } from './answers.ts';
import { type FormField, readForm } from './multipart.ts';
import { readBody, readJson } from './request-body.ts';

/** A request as handlers see it. */
export interface RouteRequest {
  readonly raw: IncomingMessage;
  readonly response: ServerResponse;
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: URLSearchParams;
  /** The path without `/api`; what faults are armed by. */
  readonly endpoint: string;
  /** Rejects with PyJsonError (hence 500) or BodyTooLarge (413). */
  json(): Promise<PyValue>;
  bytes(): Promise<Buffer>;
  form(): Promise<Map<string, FormField>>;
}

/** Handlers return an answer, or `'sent'` when they wrote the response themselves. A throw becomes a 500. */
export type RouteHandler = (
  request: RouteRequest,
  context: ServerContext,
) => Answer | 'sent' | Promise<Answer | 'sent'>;

/** One route. `unprefixed` ones exist only as written, all others also below `/api`. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE' | 'PATCH' | 'PUT';
  /** find-my-way syntax. */
  readonly path: string;
  readonly handler: RouteHandler;
  readonly unprefixed?: boolean;
}

/** Makes the request object of a handler. */
export function createRouteRequest(
  raw: IncomingMessage,
  response: ServerResponse,
  found: { readonly params: RouteRequest['params']; readonly query: URLSearchParams; readonly endpoint: string },
  bodyLimit: number,
): RouteRequest {
  return {
    raw,
    response,
    ...found,
    json: () => readJson(raw, bodyLimit),
    bytes: () => readBody(raw, bodyLimit),
    form: () => readForm(raw, bodyLimit),
  };
}

/** An empty answer in the server's dialect. */
export function empty(context: ServerContext, status: number): Answer {
  return emptyAnswer(status, context.settings.dialect);
}
