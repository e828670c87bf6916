/**
 * Requests that the SDK can't make (long polls, streams, /runsync, anything that must be aborted): one undici agent per transport, TLS
 * always verified, redirects never followed (they would carry the key elsewhere), answers bounded and parsed.
 */
import { Agent, request } from 'undici';
import type * as z from 'zod';
import {
  ComfyRunpodError,
  createDeadline,
  isComfyRunpodError,
  limits,
  packageVersion,
  parseTolerantJson,
} from '../../../shared/index.ts';
import { readBoundedBody } from './bounded-body.ts';
import { httpStatusError, type Operation } from './http-status-error.ts';
import { networkError } from './network-error.ts';

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
      const answer = await request(`${this.#options.endpointUrl}${call.path}`, {
        method: call.method,
        dispatcher: this.#agent,
        headers: {
          authorization: `Bearer ${this.#options.apiKey}`,
          accept: 'application/json',
          'content-type': 'application/json',
          'user-agent': `comfy-runpod/${packageVersion}`,
        },
        body: call.body ?? null,
        signal: deadline.signal,
        // The deadline above is the only clock.
        headersTimeout: 0,
        bodyTimeout: 0,
      });
      const bytes = await readBoundedBody(
        answer.body,
        // What was streamed and not read yet comes in one answer.
        call.operation === 'stream' ? limits.streamAnswerBytes : limits.publicAnswerBytes,
      );
      const text = bytes.toString('utf8');
      if (answer.statusCode < 200 || answer.statusCode > 299) {
        const retryAfter = answer.headers['retry-after'];
        throw httpStatusError(
          {
            status: answer.statusCode,
            body: parseOrText(text),
            retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
          },
          call.operation,
          call.attempt,
        );
      }
      return readAnswer(parseOrText(text), schema, call.operation);
    } catch (error) {
      if (call.signal?.aborted) throw call.signal.reason;
      if (isComfyRunpodError(error)) throw error;
      throw networkError(deadline.expired ? deadline.signal.reason : error, this.host);
    }
  }

  /** Drops every connection. Idempotent. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
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
