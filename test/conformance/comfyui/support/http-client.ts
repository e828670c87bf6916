// Plain requests for conformance tests: the answer with its raw text.
import { request } from 'undici';
import { type FormPart, multipartBody } from './multipart-body.ts';

/** An answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly contentType: string | null;
  readonly bytes: Buffer;
  readonly text: string;
  /** Parsed when it is JSON, else undefined. */
  readonly json: unknown;
}

/** What to send. An object body goes out as JSON, a string or bytes as they are. */
export interface HttpCall {
  readonly method?: 'GET' | 'POST' | 'HEAD' | 'PUT' | 'DELETE' | 'PATCH' | 'OPTIONS';
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly form?: readonly FormPart[];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function bodyOf(call: HttpCall): { body: string | Buffer | null; headers: Record<string, string> } {
  if (call.form !== undefined) return multipartBody(call.form);
  if (call.body === undefined) return { body: null, headers: {} };
  const raw = typeof call.body === 'string' || Buffer.isBuffer(call.body);
  return { body: raw ? (call.body as string | Buffer) : JSON.stringify(call.body), headers: {} };
}

/** Sends a request to the stand-in. */
export async function call(url: string, path: string, options: HttpCall = {}): Promise<HttpAnswer> {
  const method = options.method ?? (options.body === undefined && options.form === undefined ? 'GET' : 'POST');
  const { body, headers } = bodyOf(options);
  const answer = await request(url + path, { method, body, headers: { ...headers, ...options.headers } });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  const text = bytes.toString('utf8');
  const contentType = answer.headers['content-type'];
  return {
    status: answer.statusCode,
    headers: answer.headers,
    contentType: typeof contentType === 'string' ? contentType : null,
    bytes,
    text,
    json: parse(text),
  };
}
