/**
 * One ranged GET of a model, redirects followed by hand: the token goes to the origin that it is for and nowhere else, and https never leads
 * to http. What a server answers is told apart here: bytes, something worth another attempt, or an end.
 */
import { Agent, type Dispatcher } from 'undici';
import { ComfyRunpodError, isLoopbackUrl, limits, packageVersion, retryAfterMs } from '../../../shared/index.ts';
import type { Span } from './part-file.ts';

/** A source and how it is asked. */
export interface ModelAddress {
  readonly url: string;
  /** Sent to the origin of `url` only. */
  readonly token?: string | undefined;
  /** How the model is called in errors. */
  readonly label: string;
}

/** An answer with bytes in it. Read `body` or destroy it. */
export interface RangeAnswer {
  readonly body: Dispatcher.ResponseData['body'];
  /** Place of its first byte in the file. */
  readonly start: number;
  /** Bytes of the whole file, when the server told. */
  readonly size: number | undefined;
  /** Strong entity tag. */
  readonly etag: string | undefined;
  /** False: the server sent the whole file although a part was asked for. */
  readonly ranged: boolean;
}

/** Worth another attempt: the network's fault, or a server that is busy. */
export class TransientFailure extends Error {
  readonly afterMs: number | undefined;
  constructor(message: string, afterMs?: number, cause?: unknown) {
    super(message, { cause });
    this.afterMs = afterMs;
  }
}

/** The file at the address is not the one that was there before. */
export class SourceChanged extends Error {}

/** Times of one request, milliseconds. */
export interface HttpTimes {
  readonly connectMs: number;
  /** Longest silence. */
  readonly idleMs: number;
}

/** Makes the connections of downloads. Destroy it. */
export function createModelAgent(times: HttpTimes): Agent {
  return new Agent({
    pipelining: 1,
    allowH2: false,
    headersTimeout: times.idleMs,
    bodyTimeout: times.idleMs,
    connect: { timeout: times.connectMs },
  });
}

/** Asks for `span`; without one for everything. `etag`: the answer must be of this version. Throws as the classes above say, or coded errors. */
export async function requestRange(
  agent: Agent,
  address: ModelAddress,
  span: Span | undefined,
  etag: string | undefined,
  signal: AbortSignal,
): Promise<RangeAnswer> {
  const origin = new URL(address.url).origin;
  let url = new URL(address.url);
  for (let redirects = 0; ; redirects++) {
    const response = await send(agent, url, headersFor(address, url.origin === origin, span, etag), address, signal);
    const location = redirectOf(response);
    if (location === undefined) return readAnswer(response, address, span, etag, redirects > 0);
    response.body.destroy();
    const next = URL.parse(location, url.href);
    if (next === null || !/^https?:$/.test(next.protocol)) throw unavailable(address, 'redirects to no web address');
    if (url.protocol === 'https:' && next.protocol === 'http:' && !isLoopbackUrl(next.href)) {
      throw unavailable(address, 'redirects from https to http');
    }
    if (redirects >= limits.inputRedirects) throw unavailable(address, 'redirects too often');
    url = next;
  }
}

function headersFor(
  { token }: ModelAddress,
  home: boolean,
  span: Span | undefined,
  etag: string | undefined,
): Record<string, string> {
  return {
    'user-agent': `comfy-runpod/${packageVersion}`,
    accept: '*/*',
    // A compressed body would have other bytes and no ranges.
    'accept-encoding': 'identity',
    ...(span !== undefined && { range: `bytes=${span.start}-${span.end - 1}` }),
    ...(span !== undefined && etag !== undefined && { 'if-range': etag }),
    ...(home && token !== undefined && { authorization: `Bearer ${token}` }),
  };
}

async function send(
  agent: Agent,
  url: URL,
  headers: Record<string, string>,
  { label }: ModelAddress,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  try {
    const target = {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      headers,
      signal,
    } as const;
    const response = await agent.request(target);
    // A body that is given up fails when its connection ends, and nobody else listens.
    response.body.on('error', () => undefined);
    return response;
  } catch (error) {
    signal.throwIfAborted();
    throw new TransientFailure(`${label}: ${url.host} could not be reached (${codeOf(error)})`, undefined, error);
  }
}

const redirectCodes = new Set([301, 302, 303, 307, 308]);

function redirectOf(response: Dispatcher.ResponseData): string | undefined {
  return redirectCodes.has(response.statusCode) ? header(response, 'location') : undefined;
}

function readAnswer(
  response: Dispatcher.ResponseData,
  address: ModelAddress,
  span: Span | undefined,
  etag: string | undefined,
  redirected: boolean,
): RangeAnswer {
  const { statusCode, body } = response;
  try {
    if (statusCode === 206 && span !== undefined) return readPartial(response, span, etag);
    if (statusCode === 200) return readWhole(response, etag);
    throw refusal(response, address, redirected);
  } catch (error) {
    body.destroy();
    throw error;
  }
}

function readPartial(response: Dispatcher.ResponseData, span: Span, etag: string | undefined): RangeAnswer {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header(response, 'content-range') ?? '');
  if (match === null || Number(match[1]) !== span.start)
    throw new TransientFailure('another part than the one asked for');
  const tag = strongTag(response);
  // Some servers do not look at If-Range.
  if (etag !== undefined && tag !== undefined && tag !== etag) throw new SourceChanged('the entity tag is another');
  const size = match[3] === '*' ? undefined : Number(match[3]);
  return { body: response.body, start: span.start, size, etag: tag, ranged: true };
}

function readWhole(response: Dispatcher.ResponseData, etag: string | undefined): RangeAnswer {
  const tag = strongTag(response);
  // The answer to If-Range of another version is the whole new file.
  if (etag !== undefined && tag !== etag) throw new SourceChanged('the entity tag is another');
  const encoding = header(response, 'content-encoding')?.toLowerCase();
  const length = encoding === undefined || encoding === 'identity' ? header(response, 'content-length') : undefined;
  const size = length === undefined ? undefined : Number(length);
  return { body: response.body, start: 0, size, etag: tag, ranged: false };
}

/** The error of an answer without bytes. An address that another server signed may just have expired: that is worth another attempt. */
function refusal(response: Dispatcher.ResponseData, address: ModelAddress, redirected: boolean): Error {
  const { statusCode } = response;
  const busy = statusCode >= 500 || statusCode === 429 || statusCode === 408 || (redirected && statusCode === 403);
  if (busy) {
    const after = retryAfterMs(header(response, 'retry-after'), limits.modelRetryAfterMs);
    return new TransientFailure(`${address.label}: the server answered ${statusCode}`, after);
  }
  if (statusCode === 416) return new SourceChanged('the file is shorter than it was');
  return unavailable(address, `answered ${statusCode}`, statusCode);
}

/** The error for a source that will not give the file. */
export function unavailable({ label, url, token }: ModelAddress, what: string, statusCode?: number): ComfyRunpodError {
  const host = URL.parse(url)?.host ?? 'the server';
  const forbidden = statusCode === 401 || statusCode === 403;
  return new ComfyRunpodError('MODEL_UNAVAILABLE', `Model ${label}: ${host} ${what}.`, {
    details: { model: label, host, ...(statusCode !== undefined && { statusCode }) },
    ...(forbidden && {
      nextStep:
        token === undefined
          ? 'The model needs a login: set HF_TOKEN to a token of an account that may read it.'
          : 'The account of HF_TOKEN may not read the model: accept its terms on its page, or use a token with read access.',
    }),
  });
}

function strongTag(response: Dispatcher.ResponseData): string | undefined {
  const tag = header(response, 'etag');
  return tag === undefined || tag.startsWith('W/') ? undefined : tag;
}

function header(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The code of a system or undici error, or its class. Never its text, which may hold an address. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  return error.cause === undefined ? error.name : codeOf(error.cause);
}
