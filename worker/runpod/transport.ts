/**
 * HTTP to RunPod's worker routes over one connection pool. Knows headers, time-outs, bounded reading and compression; knows nothing of jobs.
 * Source: RunPod protocol notes §2.4.
 *
 * 1. A POST is never redirected: a 302 would turn a result into an empty GET that seems to succeed. A 3xx comes back as an answer.
 * 2. X-Request-ID belongs to one POST and never leaks onto another request.
 * 3. A request ends by an answer, by a coded error (NETWORK_UNREACHABLE, NETWORK_TIMEOUT, PLATFORM_ANSWER_INVALID, INTERNAL when the body
 *    itself failed), or by the reason of the signal that was aborted.
 */
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { unzip } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { ComfyRunpodError, createDeadline } from '../../shared/core.ts';
import type { JsonBody } from '../types.ts';
import { loadUndiciCore } from './undici-core.ts';

/** An answer, read to its end. */
export interface HttpAnswer {
  readonly status: number;
  /** Media type without parameters, lower-case; empty when there is none. */
  readonly mediaType: string;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

/** Options of one GET. */
export interface GetOptions {
  readonly timeoutMs: number;
  /** Largest answer, before and after decompression. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Aborts the request as long as no answer has begun; an answer that has is read to its end. */
  readonly untilAnswered?: AbortSignal;
}

/** Options of one POST. */
export interface PostOptions {
  /** Sent as X-Request-ID. */
  readonly requestId: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Requests to the worker routes. */
export interface Transport {
  get(url: string, options: GetOptions): Promise<HttpAnswer>;
  post(url: string, body: JsonBody, options: PostOptions): Promise<HttpAnswer>;
  /** Resolves when the first connection is there and what waited for it is on its way; never when there is none. */
  readonly connected: Promise<void>;
  /** Ends every connection at once. Idempotent. */
  close(): Promise<void>;
}

const unzipAsync = promisify(unzip);
const redirectLimit = 3;
const connectTimeoutMs = 10_000;
const postAnswerBytes = 64 * 1024;

const undici = loadUndiciCore();

/** Opens the connection pool. */
export function createTransport(identity: { readonly apiKey?: string; readonly userAgent: string }): Transport {
  // Time-outs are ours (a deadline per request): undici's own would end a held long poll.
  const agent = new undici.Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectTimeoutMs },
    allowH2: false,
  });
  const following = agent.compose(undici.redirect({ maxRedirections: redirectLimit }));
  const common = {
    'user-agent': identity.userAgent,
    // No brotli on purpose: RunPod's edge was seen to answer with it where nobody could read it.
    'accept-encoding': 'gzip, deflate',
    ...(identity.apiKey !== undefined && { authorization: identity.apiKey }),
  };
  const connected = new Promise<void>((resolve) => {
    agent.once('connect', () => setImmediate(resolve));
  });
  let closed: Promise<void> | undefined;
  return {
    connected,
    // `return await` throughout: without it `using` would disarm the deadline before the answer is there.
    async get(url, options) {
      using deadline = createDeadline(options.timeoutMs, timeoutError, options.signal);
      using answered = linkUntilAnswered(deadline.signal, options.untilAnswered);
      const headers = { ...common, 'content-type': 'application/json' };
      const response = await attempt(deadline.signal, answered.signal, () =>
        request(following, url, { method: 'GET', headers, signal: answered.signal }),
      );
      answered.unlink();
      return await attempt(deadline.signal, answered.signal, () => readAnswer(response, options.maxBytes));
    },
    async post(url, body, options) {
      using deadline = createDeadline(options.timeoutMs, timeoutError, options.signal);
      const source = watchSource(body);
      const headers = {
        ...common,
        // As the SDK does although the body is JSON (§2.4).
        'content-type': 'application/x-www-form-urlencoded',
        charset: 'utf-8',
        'x-request-id': options.requestId,
        'content-length': String(body.byteLength),
      };
      return await attempt(
        deadline.signal,
        deadline.signal,
        async () => {
          const response = await request(agent, url, {
            method: 'POST',
            headers,
            // Pulled piece by piece as the socket drains; a stream in between would make pieces ahead of that. The types don't know it.
            body: source.chunks() as AsyncIterable<Uint8Array> as Readable,
            signal: deadline.signal,
          });
          return readAnswer(response, postAnswerBytes);
        },
        source,
      );
    },
    close() {
      closed ??= agent.destroy();
      return closed;
    },
  };
}

function request(
  dispatcher: Dispatcher,
  url: string,
  options: Omit<Dispatcher.RequestOptions, 'origin' | 'path'>,
): Promise<Dispatcher.ResponseData> {
  const { origin, pathname, search } = new URL(url);
  return undici.request(dispatcher, { ...options, origin, path: `${pathname}${search}` });
}

function timeoutError(): ComfyRunpodError {
  return new ComfyRunpodError('NETWORK_TIMEOUT', 'RunPod did not answer in time.');
}

/** A signal that follows `parent` for good and `early` until it is unlinked. */
function linkUntilAnswered(parent: AbortSignal, early: AbortSignal | undefined) {
  const controller = new AbortController();
  const onEarly = () => controller.abort(early?.reason);
  const onParent = () => controller.abort(parent.reason);
  const unlink = () => early?.removeEventListener('abort', onEarly);
  for (const [signal, listener] of [
    [parent, onParent],
    [early, onEarly],
  ] as const) {
    if (signal?.aborted) listener();
    else signal?.addEventListener('abort', listener, { once: true });
  }
  return {
    signal: controller.signal,
    unlink,
    [Symbol.dispose]() {
      unlink();
      parent.removeEventListener('abort', onParent);
    },
  };
}

interface BodySource {
  chunks(): AsyncGenerator<Uint8Array>;
  /** What the body threw, or that its length was not what it said. */
  failure: unknown;
}

/** Tells a body that breaks apart from a network that does: the first must not be retried. */
function watchSource(body: JsonBody): BodySource {
  const source: BodySource = {
    failure: undefined,
    async *chunks() {
      let sent = 0;
      try {
        for await (const chunk of body.chunks()) {
          sent += chunk.byteLength;
          if (sent > body.byteLength) throw new RangeError('body longer than announced');
          yield chunk;
        }
        if (sent < body.byteLength) throw new RangeError('body shorter than announced');
      } catch (error) {
        source.failure = error;
        throw error;
      }
    },
  };
  return source;
}

async function attempt<T>(
  deadline: AbortSignal,
  signal: AbortSignal,
  action: () => Promise<T>,
  source?: BodySource,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (source?.failure !== undefined) {
      throw new ComfyRunpodError('INTERNAL', 'The result could not be turned into JSON.', { cause: source.failure });
    }
    if (deadline.aborted) throw deadline.reason;
    if (signal.aborted) throw signal.reason;
    if (error instanceof ComfyRunpodError) throw error;
    throw new ComfyRunpodError('NETWORK_UNREACHABLE', 'The connection to RunPod failed.', {
      cause: error,
      details: { reason: networkReason(error) },
    });
  }
}

/** A code such as ECONNRESET; never the error's text, which may hold an address with a key. */
function networkReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : error instanceof Error ? error.name : 'unknown';
}

async function readAnswer(response: Dispatcher.ResponseData, maxBytes: number): Promise<HttpAnswer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of response.body) {
    const bytes = piece as Buffer;
    length += bytes.byteLength;
    if (length > maxBytes)
      throw new ComfyRunpodError('PLATFORM_ANSWER_INVALID', `The answer is over ${maxBytes} bytes.`);
    pieces.push(bytes);
  }
  const raw = Buffer.concat(pieces);
  const encoding = header(response, 'content-encoding')?.toLowerCase();
  return {
    status: response.statusCode,
    mediaType: header(response, 'content-type')?.split(';')[0]?.trim().toLowerCase() ?? '',
    retryAfter: header(response, 'retry-after'),
    body: encoding === undefined || encoding === 'identity' || length === 0 ? raw : await decompress(raw, maxBytes),
  };
}

async function decompress(raw: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await unzipAsync(raw, { maxOutputLength: maxBytes });
  } catch (error) {
    throw new ComfyRunpodError('PLATFORM_ANSWER_INVALID', 'The answer could not be decompressed.', { cause: error });
  }
}

function header(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
