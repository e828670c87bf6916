/**
 * Requests that the SDK can't make (long polls, streams, /runsync, anything that must be aborted): one undici agent per transport, TLS
 * always verified, redirects never followed (they would carry the key elsewhere), answers bounded and parsed.
 */
import { Agent, type Dispatcher, request } from 'undici';
import * as z from 'zod';
import {
  ComfyRunpodError,
  createDeadline,
  isComfyRunpodError,
  limits,
  packageVersion,
  parseTolerantJson,
  streamViewSchema,
} from '../../../shared/index.ts';
import { readBoundedBody } from './bounded-body.ts';
import { httpStatusError, type Operation } from './http-status-error.ts';
import { networkError } from './network-error.ts';
import { AnswerTooLong, StreamAnswer } from './stream-answer.ts';
import type { StreamEnd } from './stream-job.ts';

/** One request. */
export interface ChannelRequest {
  readonly operation: Operation;
  readonly method: 'GET' | 'POST';
  /** Path behind the endpoint, for example `/status/ID`. */
  readonly path: string;
  readonly body?: Buffer;
  /** Milliseconds for the whole exchange. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly attempt?: number;
}

/** Where and as whom. */
export interface ChannelOptions {
  /** Address of the endpoint without a trailing slash. */
  readonly endpointUrl: string;
  readonly apiKey: string;
}

/** Sends requests to one endpoint. */
export class HttpChannel {
  readonly #agent = new Agent({ connect: { rejectUnauthorized: true }, keepAliveTimeout: 10_000 });
  readonly #options: ChannelOptions;
  readonly host: string;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.host = new URL(options.endpointUrl).host;
  }

  /** Sends one request and reads its answer with `schema`. An aborted signal rejects with the signal's reason. */
  async json<T>(call: ChannelRequest, schema: z.ZodType<T>): Promise<T> {
    using deadline = createDeadline(
      call.timeoutMs,
      () => new DOMException('The request took too long.', 'TimeoutError'),
      call.signal,
    );
    try {
      // The deadline above is the only clock.
      const answer = await this.#send(call, deadline.signal, 0);
      const text = (await readBoundedBody(answer.body, limits.publicAnswerBytes)).toString('utf8');
      assertSuccess(answer, text, call);
      return readAnswer(parseOrText(text), schema, call.operation);
    } catch (error) {
      throw this.#failure(error, call, deadline.expired ? deadline.signal.reason : undefined);
    }
  }

  /**
   * Sends one request to /stream. `timeoutMs` is for the head of the answer. The values come as they arrive, however long the answer is; they end
   * with an error when `idleMs` pass without a byte, or when the answer breaks off. `leaving` ends the request as long as no answer has begun:
   * what is in one is handed out once, so that it is read to its end.
   */
  async stream(
    call: ChannelRequest,
    idleMs: number,
    leaving?: AbortSignal,
  ): Promise<AsyncGenerator<unknown, StreamEnd, void>> {
    const late = new AbortController();
    const signal = call.signal ? AbortSignal.any([call.signal, late.signal]) : late.signal;
    const expire = () => late.abort(new DOMException('The request took too long.', 'TimeoutError'));
    const clock = setTimeout(expire, call.timeoutMs);
    const leave = () => late.abort(leaving?.reason);
    leaving?.addEventListener('abort', leave, { once: true });
    if (leaving?.aborted) leave();
    try {
      const answer = await this.#send(call, signal, idleMs);
      if (answer.statusCode < 200 || answer.statusCode > 299) {
        const text = (await readBoundedBody(answer.body, limits.publicAnswerBytes)).toString('utf8');
        assertSuccess(answer, text, call);
      }
      return this.#values(answer.body, call);
    } catch (error) {
      if (leaving?.aborted) throw leaving.reason;
      throw this.#failure(error, call, late.signal.aborted ? late.signal.reason : undefined);
    } finally {
      clearTimeout(clock);
      leaving?.removeEventListener('abort', leave);
    }
  }

  async *#values(
    body: AsyncIterable<Uint8Array> & { destroy(): unknown },
    call: ChannelRequest,
  ): AsyncGenerator<unknown, StreamEnd, void> {
    const answer = new StreamAnswer();
    let count = 0;
    try {
      for await (const bytes of body) {
        for (const value of answer.push(bytes)) {
          count += 1;
          yield readAnswer(value, elementSchema, call.operation).output;
        }
      }
      return { status: readAnswer(answer.rest(), streamViewSchema, call.operation).status, count };
    } catch (error) {
      const failure = error instanceof AnswerTooLong ? tooLong() : error;
      throw this.#failure(failure, call, undefined);
    } finally {
      body.destroy();
    }
  }

  #send(call: ChannelRequest, signal: AbortSignal, bodyTimeout: number): Promise<Dispatcher.ResponseData> {
    return request(`${this.#options.endpointUrl}${call.path}`, {
      method: call.method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#options.apiKey}`,
        accept: 'application/json',
        'content-type': 'application/json',
        'user-agent': `comfy-runpod/${packageVersion}`,
      },
      body: call.body ?? null,
      signal,
      headersTimeout: 0,
      bodyTimeout,
    });
  }

  #failure(error: unknown, call: ChannelRequest, expired: unknown): unknown {
    if (call.signal?.aborted) return call.signal.reason;
    return isComfyRunpodError(error) ? error : networkError(expired ?? error, this.host);
  }

  /** Drops every connection. Idempotent. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

const elementSchema = z.looseObject({ output: z.unknown().optional() });

function tooLong(): ComfyRunpodError {
  return new ComfyRunpodError(
    'PLATFORM_ANSWER_INVALID',
    `A value in the server's answer is longer than ${limits.publicAnswerBytes} bytes.`,
  );
}

/** Throws for any status but 2xx. */
function assertSuccess({ statusCode, headers }: Dispatcher.ResponseData, text: string, call: ChannelRequest): void {
  if (statusCode >= 200 && statusCode <= 299) return;
  const given = headers['retry-after'];
  const retryAfter = Array.isArray(given) ? given[0] : given;
  throw httpStatusError({ status: statusCode, body: parseOrText(text), retryAfter }, call.operation, call.attempt);
}

function parseOrText(text: string): unknown {
  try {
    return parseTolerantJson(text);
  } catch {
    return text;
  }
}

/**
 * Reads a 2xx answer with its schema. RunPod can answer 200 with nothing but an `error` (RunPod protocol notes §1.12): that, HTML and
 * anything else without the fields we need is `PLATFORM_ANSWER_INVALID`.
 */
export function readAnswer<T>(value: unknown, schema: z.ZodType<T>, operation: Operation): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  if (typeof value === 'object' && value !== null && 'error' in value && typeof value.error === 'string') {
    const line = value.error.split('\n')[0]?.slice(0, 300) ?? '';
    throw new ComfyRunpodError('PLATFORM_ANSWER_INVALID', `RunPod answered ${operation} with an error: ${line}.`, {
      details: { operation },
      nextStep: "Read RunPod's message; check the endpoint and try again.",
    });
  }
  const looks =
    typeof value === 'string' ? (value.trimStart().startsWith('<') ? 'a web page' : 'no JSON') : 'other JSON';
  throw new ComfyRunpodError('PLATFORM_ANSWER_INVALID', `The server answered ${operation} with ${looks}.`, {
    details: { operation },
  });
}
