/**
 * The only HTTP connection to ComfyUI. Bodies are read up to a limit, every request has a time-out, and failures say how far the
 * request got: a refused connection proves that nothing was sent, a reset or a time-out proves nothing (ComfyUI protocol notes §6.3).
 * undici's `request` sends neither Origin nor Sec-Fetch headers, which ComfyUI would answer with 403 (§5.2).
 */
import { Agent, request } from 'undici';
import { ComfyRunpodError, createDeadline, limits, parseTolerantJson } from '../../shared/index.ts';

/** How far a failed request got. */
export type TransportFailure = 'refused' | 'reset' | 'timeout';

/** One request. */
export interface ComfyRequest {
  readonly method?: 'GET' | 'POST' | 'HEAD';
  /** Path and query, beginning with `/`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is, with its content type. */
  readonly raw?: { readonly body: Buffer; readonly contentType: string };
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  /** Largest body read. Default: `limits.comfyAnswerBytes`. */
  readonly maxBytes?: number;
  /** Bytes of a file that travels: the request has longer. Those of `raw` count anyway. */
  readonly fileBytes?: number;
}

/** An answer, whatever its status. */
export interface ComfyAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

const refusedCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/** How far the request that caused this error got, or undefined when it is not a transport failure. */
export function transportFailure(error: unknown): TransportFailure | undefined {
  if (typeof error !== 'object' || error === null || !('details' in error)) return undefined;
  const kind = (error.details as Record<string, unknown>)['transport'];
  return kind === 'refused' || kind === 'reset' || kind === 'timeout' ? kind : undefined;
}

function unreachable(kind: TransportFailure, cause: unknown): ComfyRunpodError {
  const what = { refused: 'refuses connections', reset: 'dropped the connection', timeout: 'did not answer in time' };
  return new ComfyRunpodError('COMFY_UNREACHABLE', `ComfyUI ${what[kind]}.`, { cause, details: { transport: kind } });
}

/** HTTP client of one ComfyUI. Close it when done. */
export class ComfyHttp {
  readonly #baseUrl: string;
  readonly #requestMs: number;
  readonly #agent = new Agent({ connections: 16, keepAliveTimeout: 10_000, allowH2: false });

  constructor(baseUrl: string, requestMs: number) {
    this.#baseUrl = baseUrl.replace(/\/+$/, '');
    this.#requestMs = requestMs;
  }

  /** Address of the WebSocket (§2.1). */
  socketUrl(clientId: string): string {
    return `${this.#baseUrl.replace(/^http/, 'ws')}/ws?clientId=${encodeURIComponent(clientId)}`;
  }

  /**
   * Sends one request and reads the whole answer. Throws `COMFY_UNREACHABLE` with `details.transport`, `COMFY_PROTOCOL` when too large. A question
   * whose connection was dropped is asked once more: the server may have closed an idle connection at the very moment that it was used again, and
   * asking twice changes nothing (RFC 9110 §9.2.2). What changes something is never repeated here.
   */
  async send(options: ComfyRequest): Promise<ComfyAnswer> {
    try {
      return await this.#send(options);
    } catch (error) {
      const asks = options.method === undefined || options.method === 'GET' || options.method === 'HEAD';
      if (!asks || transportFailure(error) !== 'reset' || options.signal?.aborted) throw error;
      return await this.#send(options);
    }
  }

  async #send(options: ComfyRequest): Promise<ComfyAnswer> {
    options.signal?.throwIfAborted();
    const fileBytes = (options.fileBytes ?? 0) + (options.raw?.body.length ?? 0);
    using deadline = createDeadline(
      (options.timeoutMs ?? this.#requestMs) + (fileBytes / limits.comfyTransferRate) * 1_000,
      () => unreachable('timeout', undefined),
      options.signal,
    );
    try {
      const answer = await request(this.#baseUrl + options.path, {
        dispatcher: this.#agent,
        method: options.method ?? 'GET',
        signal: deadline.signal,
        headersTimeout: 0,
        bodyTimeout: 0,
        ...bodyOf(options),
      });
      const body = await readBounded(answer.body, options.maxBytes ?? limits.comfyAnswerBytes);
      return { status: answer.statusCode, headers: answer.headers, body };
    } catch (error) {
      if (deadline.signal.aborted) throw deadline.signal.reason;
      throw classify(error);
    }
  }

  /** Sends one request and parses a 200 answer. Any other status is `COMFY_PROTOCOL` with the status and the start of its text. */
  async json(options: ComfyRequest): Promise<unknown> {
    const answer = await this.send(options);
    if (answer.status !== 200) throw unexpectedStatus(options, answer);
    return parseAnswer(options, answer);
  }

  /** Sends one request whose answer carries nothing. */
  async command(options: ComfyRequest): Promise<void> {
    const answer = await this.send({ method: 'POST', ...options });
    if (answer.status !== 200) throw unexpectedStatus(options, answer);
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** Parses the JSON of an answer; NaN and Infinity tokens become null (§1.1). */
export function parseAnswer(options: ComfyRequest, answer: ComfyAnswer): unknown {
  try {
    return parseTolerantJson(answer.body.toString('utf8'));
  } catch (error) {
    throw new ComfyRunpodError('COMFY_PROTOCOL', `ComfyUI's answer to ${routeOf(options)} is not JSON.`, {
      cause: error,
    });
  }
}

/** The error for a status that the route does not have. Only the fixed text of a generic 500 or of aiohttp is repeated. */
export function unexpectedStatus(options: ComfyRequest, answer: ComfyAnswer): ComfyRunpodError {
  const text = answer.body.toString('utf8', 0, 200);
  const known = /^(500 Internal Server Error|40\d: [A-Za-z ]+|Maximum request body size [\d.]+ exceeded[^\n]*)/.exec(
    text,
  );
  const shown = known ? `: ${known[0]}` : '';
  return new ComfyRunpodError('COMFY_PROTOCOL', `ComfyUI answered ${answer.status} to ${routeOf(options)}${shown}.`, {
    details: { status: answer.status },
  });
}

/** Method and path without query or ids, safe to show. */
function routeOf(options: ComfyRequest): string {
  const path = options.path.split('?')[0] ?? '';
  return `${options.method ?? 'GET'} ${path.replace(/\/[0-9a-f]{8}-[0-9a-f-]{27}/, '/{id}')}`;
}

function bodyOf(options: ComfyRequest): { body?: string | Buffer; headers?: Record<string, string> } {
  if (options.raw) return { body: options.raw.body, headers: { 'content-type': options.raw.contentType } };
  if (options.json === undefined) return {};
  return { body: JSON.stringify(options.json), headers: { 'content-type': 'application/json' } };
}

async function readBounded(body: AsyncIterable<Buffer> & { destroy(): unknown }, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new ComfyRunpodError('COMFY_PROTOCOL', `ComfyUI's answer is longer than ${maxBytes} bytes.`);
    }
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size);
}

function classify(error: unknown): unknown {
  if (error instanceof ComfyRunpodError) return error;
  const code = codeOf(error);
  if (code === undefined) return error;
  return unreachable(refusedCodes.has(code) ? 'refused' : 'reset', error);
}

/** System or undici code of an error, looking into aggregates (a refused `localhost` is two refusals). */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return error.errors.map(codeOf).find((code) => code !== undefined);
  return error.cause === undefined ? undefined : codeOf(error.cause);
}
