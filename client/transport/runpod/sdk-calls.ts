/**
 * runpod-sdk behind a fence: the client's run, status, cancel, health and purgeQueue calls. What the SDK lacks is added here and never
 * shows outside (docs/decisions/0005-client-transport.md):
 * - its 3 s default time-out ends with the headers: a deadline of ours covers the whole call;
 * - other 2xx answers and half-read bodies come back as values without an id: answers are read with our schemas;
 * - HTTP errors are classified by status, with Retry-After;
 * - it can't be cancelled: an aborted call is left to its deadline and its answer goes to `late`;
 * - it prints when key or endpoint id are missing and in runSync: neither is ever used that way.
 */
import runpodSdk from 'runpod-sdk';
import type * as z from 'zod';
import { ComfyRunpodError, createDeadline, isComfyRunpodError, raceSignal } from '../../../shared/index.ts';
import { readAnswer } from './http-channel.ts';
import { httpStatusError, type Operation, type RefusedAnswer } from './http-status-error.ts';
import { networkError } from './network-error.ts';

/** Where and as whom. */
export interface SdkOptions {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly endpointId: string;
}

/** The five calls, as the SDK makes them. */
export interface SdkEndpoint {
  run(body: { input: unknown; webhook?: string; policy?: object }, timeoutMs: number): Promise<unknown>;
  status(id: string, timeoutMs: number): Promise<unknown>;
  cancel(id: string, timeoutMs: number): Promise<unknown>;
  health(timeoutMs: number): Promise<unknown>;
  purgeQueue(timeoutMs: number): Promise<unknown>;
}

/** One guarded call. */
export interface GuardedCall<T> {
  readonly operation: Operation;
  readonly host: string;
  readonly timeoutMs: number;
  readonly schema: z.ZodType<T>;
  readonly signal?: AbortSignal | undefined;
  readonly attempt?: number;
  /** Told the answer of a call that its caller no longer waits for (aborted or timed out), if one still comes. */
  readonly late?: (answer: T) => void;
}

/** The SDK for one endpoint. Key and id are never empty here, so the SDK has nothing to print. */
export function createSdkEndpoint(options: SdkOptions): SdkEndpoint {
  const endpoint = runpodSdk(options.apiKey, { baseUrl: options.baseUrl }).endpoint(
    encodeURIComponent(options.endpointId),
  );
  if (endpoint === null) throw new TypeError('The endpoint id is missing.');
  return endpoint as SdkEndpoint;
}

/** Makes an SDK call within one deadline and reads its answer. Throws coded errors, or the signal's reason. */
export async function guardedCall<T>(call: () => Promise<unknown>, guard: GuardedCall<T>): Promise<T> {
  using deadline = createDeadline(
    guard.timeoutMs,
    () => new DOMException('The request took too long.', 'TimeoutError'),
    guard.signal,
  );
  guard.signal?.throwIfAborted();
  const answered = call();
  try {
    const value = await raceSignal(answered, deadline.signal);
    if (value === undefined) {
      throw new ComfyRunpodError('NETWORK_UNREACHABLE', `The answer of ${guard.host} broke off.`, {
        details: { operation: guard.operation },
      });
    }
    return readAnswer(readSdkValue(value), guard.schema, guard.operation);
  } catch (error) {
    if (deadline.signal.aborted) listenLate(answered, guard);
    if (guard.signal?.aborted) throw guard.signal.reason;
    if (isComfyRunpodError(error)) throw error;
    const refused = refusedAnswer(error);
    if (refused) throw httpStatusError(refused, guard.operation, guard.attempt);
    throw networkError(error, guard.host);
  }
}

function listenLate<T>(answered: Promise<unknown>, guard: GuardedCall<T>): void {
  answered.then(
    (value) => {
      const parsed = guard.schema.safeParse(readSdkValue(value));
      if (parsed.success) guard.late?.(parsed.data);
    },
    // Nobody waits for it any more.
    () => undefined,
  );
}

/** The SDK spreads an answer that is no object into `{0: '<', 1: 'h', ...}`; put such text together again, so that it is named as what it is. */
function readSdkValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('0' in value) || 'id' in value) return value;
  return Object.entries(value)
    .filter(([key]) => /^\d+$/.test(key))
    .slice(0, 200)
    .map(([, character]) => String(character))
    .join('');
}

/** The HTTP answer inside an error of the SDK's HTTP library, if there is one. */
function refusedAnswer(error: unknown): RefusedAnswer | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  const response = error.response as { status?: unknown; data?: unknown; headers?: { get?: unknown } } | undefined;
  if (typeof response?.status !== 'number') return undefined;
  const headers = response.headers;
  const retryAfter = headers instanceof Headers ? headers.get('retry-after') : undefined;
  return { status: response.status, body: response.data, retryAfter };
}
