/**
 * Fetches an input file from an address that a caller gave. The caller is not trusted with the worker's network, nor the server with its memory.
 *
 * 1. Every address that is connected to was checked first and is pinned (worker/net/pinned-agent.ts); so is that of every redirect.
 * 2. Nothing of the address but its host reaches an error. No cookie, no credential and no proxy of the environment is used.
 * 3. At most a few chunks are in memory: the receiver of the bytes sets the pace.
 * 4. Whatever happens, the connection is gone when the promise settles.
 */
import { createHash } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { ComfyRunpodError, limits, packageVersion } from '../../shared/index.ts';
import { codeOf, createPinnedAgent, guardUrl, type Reach } from '../net/index.ts';
import { startFetchClock } from './fetch-clock.ts';
import { fetchFailed, tooLarge, unavailable, urlRefused } from './input-errors.ts';
import { sniffBytes, sniffMedia } from './media-type.ts';

/** How addresses are fetched. */
export interface FetchPolicy extends Reach {
  /** Largest file, bytes. */
  readonly maxBytes: number;
  /** The whole fetch, redirects included, milliseconds. */
  readonly timeoutMs: number;
  /** Longest silence of the server, milliseconds. Default: `limits.inputIdleMs`. */
  readonly idleMs?: number;
}

/** One fetch. */
export interface FetchOptions extends FetchPolicy {
  readonly url: string;
  readonly signal: AbortSignal;
  /** What the bytes must hash to, lower-case hex. */
  readonly sha256?: string | undefined;
  /** Takes the bytes in order. Called for the first time when the file has been recognised. What it throws ends the fetch and is thrown on. */
  readonly onChunk: (chunk: Uint8Array) => void | Promise<void>;
}

/** What was fetched. */
export interface FetchedInput {
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** MIME type by the first bytes. */
  readonly contentType: string;
}

/**
 * Fetches one file. Throws `INPUT_URL_REFUSED` (not https, not public), `INPUT_UNAVAILABLE` (any status but 200, or a page instead of a file),
 * `INPUT_FETCH_FAILED` (network, time, 5xx), `INPUT_TOO_LARGE`, `FILE_EMPTY`, `FILE_HASH_MISMATCH`, or the signal's reason.
 */
export async function fetchInput(options: FetchOptions): Promise<FetchedInput> {
  options.signal.throwIfAborted();
  let url = guarded(options.url, options);
  const { timeoutMs: total, idleMs: idle = limits.inputIdleMs } = options;
  using clock = startFetchClock({ total, idle }, (which) => tooSlow(url, which, { total, idle }), options.signal);
  for (let redirects = 0; ; redirects++) {
    const visited = await visit(url, options, clock.signal, async (response) => {
      clock.touch();
      const location = redirectLocation(response);
      if (location !== undefined) return { location };
      return { fetched: await receive(response, url, options, clock.touch) };
    });
    if ('fetched' in visited) return visited.fetched;
    if (redirects >= limits.inputRedirects)
      throw urlRefused(`redirects more than ${limits.inputRedirects} times`, url.hostname);
    url = guarded(visited.location, options, url);
  }
}

function guarded(text: string, { allowPrivate = false }: Reach, from?: URL): URL {
  const result = guardUrl(text, { allowPrivate, from });
  if (result.kind === 'refused') throw urlRefused(result.why, result.host);
  return result.url;
}

async function agentFor(url: URL, reach: Reach, signal: AbortSignal) {
  const made = await createPinnedAgent(url, reach, signal);
  if (made.kind === 'refused') throw urlRefused(made.why, url.hostname);
  if (made.kind === 'not-found') throw fetchFailed(url.hostname, made.why, made.reason, made.cause);
  return made.agent;
}

/** One request over a connection of its own, which ends with `use`. */
async function visit<T>(
  url: URL,
  options: FetchOptions,
  signal: AbortSignal,
  use: (response: Dispatcher.ResponseData) => Promise<T>,
): Promise<T> {
  const agent = await agentFor(url, options, signal);
  let response: Dispatcher.ResponseData | undefined;
  try {
    response = await agent.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      headers: { 'user-agent': `comfy-runpod/${packageVersion}`, accept: '*/*', 'accept-encoding': 'identity' },
      signal,
    });
    // An unread body fails when its connection is ended below, and nobody else listens.
    response.body.on('error', () => undefined);
    return await use(response);
  } catch (error) {
    throw failure(error, url, signal);
  } finally {
    response?.body.destroy();
    await agent.destroy();
  }
}

/** What the receiver of the bytes threw, which is not the network's fault. */
class SinkFailure extends Error {}

function failure(error: unknown, url: URL, signal: AbortSignal): unknown {
  if (error instanceof SinkFailure) return error.cause;
  if (error instanceof ComfyRunpodError) return error;
  if (signal.aborted) return signal.reason;
  return fetchFailed(url.hostname, 'could not be reached, or broke off', codeOf(error), error);
}

function tooSlow(url: URL, which: 'total' | 'idle', ms: { readonly total: number; readonly idle: number }): Error {
  const seconds = Math.round(ms[which] / 100) / 10;
  const what = which === 'total' ? `did not send the file within ${seconds} s` : `sent nothing for ${seconds} s`;
  return fetchFailed(url.hostname, what, 'timeout');
}

const redirects = new Set([301, 302, 303, 307, 308]);

function redirectLocation(response: Dispatcher.ResponseData): string | undefined {
  return redirects.has(response.statusCode) ? header(response, 'location') : undefined;
}

/** Reads the file. Throws when the answer is none, or another than the caller meant. */
async function receive(
  response: Dispatcher.ResponseData,
  url: URL,
  options: FetchOptions,
  touch: () => void,
): Promise<FetchedInput> {
  const announced = assertAnswer(response, url.hostname, options.maxBytes);
  const hash = createHash('sha256');
  let size = 0;
  let head: Buffer = Buffer.alloc(0);
  let contentType: string | undefined;
  const pass = async (chunk: Buffer) => {
    hash.update(chunk);
    try {
      await options.onChunk(chunk);
    } catch (error) {
      throw new SinkFailure('', { cause: error });
    }
    touch();
  };
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    touch();
    size += chunk.byteLength;
    if (size > options.maxBytes) throw tooLarge(url.hostname, options.maxBytes);
    if (contentType !== undefined) {
      await pass(chunk);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.byteLength < sniffBytes) continue;
    contentType = recognise(head, url.hostname);
    await pass(head);
  }
  if (announced !== undefined && size !== announced) throw fetchFailed(url.hostname, 'broke off', 'short');
  if (size === 0) throw new ComfyRunpodError('FILE_EMPTY', 'An input file given by its address has no bytes.');
  if (contentType === undefined) {
    contentType = recognise(head, url.hostname);
    await pass(head);
  }
  const sha256 = hash.digest('hex');
  if (options.sha256 !== undefined && options.sha256 !== sha256) {
    throw new ComfyRunpodError(
      'FILE_HASH_MISMATCH',
      'An input file given by its address has another SHA-256 than the job says.',
      {
        nextStep: 'The file at the address is not the one that was meant; correct the address or the sha256.',
      },
    );
  }
  return { size, sha256, contentType };
}

/** Checks status and headers, and answers the announced length. */
function assertAnswer(response: Dispatcher.ResponseData, host: string, maxBytes: number): number | undefined {
  const { statusCode } = response;
  if (statusCode >= 500 || statusCode === 429 || statusCode === 408) {
    throw fetchFailed(host, `answered ${statusCode}`, `http-${statusCode}`);
  }
  if (statusCode !== 200) throw unavailable(host, 'instead of the file', statusCode);
  const encoding = header(response, 'content-encoding')?.toLowerCase();
  if (encoding !== undefined && encoding !== 'identity') {
    throw unavailable(host, 'with a compressed body, which was not asked for', statusCode);
  }
  const length = header(response, 'content-length');
  if (length === undefined) return undefined;
  if (Number(length) > maxBytes) throw tooLarge(host, maxBytes);
  return Number(length);
}

/** MIME type of a file that begins with `head`. Throws when no loader reads it. */
function recognise(head: Buffer, host: string): string {
  const sniffed = sniffMedia(head);
  if (sniffed.kind === 'media') return sniffed.type;
  throw unavailable(host, `with ${sniffed.what}`, 200);
}

function header(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
