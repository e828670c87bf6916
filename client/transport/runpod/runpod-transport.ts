/**
 * RunPod's public API as a {@link Transport}. Who makes which request: runpod-sdk makes run, status, cancel, health and purgeQueue
 * (sdk-calls.ts); undici makes what must be held, streamed or aborted (http-channel.ts). Repeats: request-retry.ts; the narrower rule
 * of submits: submit-job.ts; polling: follow-job.ts.
 */
import type * as z from 'zod';
import { ComfyRunpodError, healthViewSchema, jobViewSchema, limits, purgeViewSchema } from '../../../shared/index.ts';
import { measureBody } from '../../submit/measure-body.ts';
import { abortableIterable } from '../abortable-iterable.ts';
import type { Transport } from '../transport.ts';
import { CallWindow } from './call-window.ts';
import { followJob } from './follow-job.ts';
import { HttpChannel } from './http-channel.ts';
import type { Operation } from './http-status-error.ts';
import { provesNotSent } from './network-error.ts';
import { isRepeatable, withRetries } from './request-retry.ts';
import { createSdkEndpoint, guardedCall } from './sdk-calls.ts';
import { streamJob } from './stream-job.ts';
import { submitBody, submitJob } from './submit-job.ts';

/** Options of {@link createRunpodTransport}; durations in milliseconds. */
export interface RunpodTransportOptions {
  readonly apiKey: string;
  readonly endpointId: string;
  /** Without a trailing slash, for example `https://api.runpod.ai/v2`. */
  readonly baseUrl: string;
  /** One request, long polls aside. */
  readonly requestTimeoutMs: number;
  /** Longest pause between two status requests. */
  readonly pollIntervalMs: number;
  /** Attempts of one request, first included. Default 4. */
  readonly attempts?: number;
  /** How long a wait that has already reached RunPod once bears with a dead network. Default 120 000. */
  readonly outagePatienceMs?: number;
  /** Folder in which the processes of this machine count their calls together, so that RunPod's limits hold for all of them. Default: each for itself. */
  readonly callsFolder?: string | undefined;
}

/** Time for the repeats of one request whose caller stands by. */
const requestPatienceMs = 60_000;

/** Reading /stream drains it: it is only read again when the failed read can't have taken anything. */
function drainedNothing(error: ComfyRunpodError): boolean {
  return isRepeatable(error) && (typeof error.details['httpStatus'] === 'number' || provesNotSent(error));
}

/** Creates the transport. Opens nothing until the first request. */
export function createRunpodTransport(options: RunpodTransportOptions): Transport {
  const { requestTimeoutMs, pollIntervalMs, attempts = 4, outagePatienceMs = 120_000 } = options;
  const sdk = createSdkEndpoint(options);
  const endpointUrl = `${options.baseUrl}/${encodeURIComponent(options.endpointId)}`;
  const channel = new HttpChannel({ endpointUrl, apiKey: options.apiKey });
  const window = new CallWindow(endpointUrl, { folder: options.callsFolder });
  const closing = new AbortController();
  let reached = false;

  const note = <T>(value: T): T => {
    reached = true;
    return value;
  };
  const link = (signal: AbortSignal | undefined) =>
    signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);

  /** A request through the SDK that may be repeated. */
  const sdkCall = <T>(
    operation: Operation,
    call: () => Promise<unknown>,
    schema: z.ZodType<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> =>
    withRetries(
      async (attempt) => {
        await window.take(operation, signal);
        const guard = { operation, host: channel.host, timeoutMs: requestTimeoutMs, schema, signal, attempt };
        return note(await guardedCall(call, guard));
      },
      { attempts, patienceMs: requestPatienceMs, signal },
    );

  const bounds = (signal: AbortSignal) =>
    reached
      ? { attempts: Number.POSITIVE_INFINITY, patienceMs: outagePatienceMs, signal }
      : { attempts, patienceMs: requestPatienceMs, signal };

  /** A GET through undici that may be repeated; a wait that has worked once bears with an outage. */
  const get = <T>(operation: Operation, path: string, schema: z.ZodType<T>, holdMs: number, signal: AbortSignal) =>
    withRetries(async (attempt) => {
      await window.take(operation, signal);
      const timeoutMs = requestTimeoutMs + holdMs;
      return note(await channel.json({ operation, method: 'GET', path, timeoutMs, signal, attempt }, schema));
    }, bounds(signal));

  /** Answers of /stream. Only what comes before the first byte of one may be repeated. */
  const streamed = async function* (path: string, signal: AbortSignal, leaving: AbortSignal | undefined) {
    const timeoutMs = requestTimeoutMs + limits.waitMs.default;
    const ended = leaving ? AbortSignal.any([signal, leaving]) : signal;
    const answer = await withRetries(
      async (attempt) => {
        await window.take('stream', ended);
        const call = { operation: 'stream', method: 'GET', path, timeoutMs, signal, attempt } as const;
        return note(await channel.stream(call, requestTimeoutMs, leaving));
      },
      bounds(ended),
      drainedNothing,
    );
    return yield* answer;
  };

  const transport: Transport = {
    async submit(submission, submitOptions = {}) {
      const route = submitOptions.route ?? 'run';
      const { bytes } = measureBody(submitBody(submission), transport.bodyLimit(route), route);
      const abandon = (id: string) => {
        // Nobody can be told: the caller has left, and a failed cancel ends with the job's own ttl.
        transport.cancel(id).catch(() => undefined);
      };
      return note(
        await submitJob(
          submission,
          bytes,
          { sdk, channel, window, requestTimeoutMs, attempts, patienceMs: requestPatienceMs, abandon },
          { ...submitOptions, signal: link(submitOptions.signal) },
        ),
      );
    },
    status: (id, signal) =>
      sdkCall('status', () => sdk.status(encodeURIComponent(id), requestTimeoutMs), jobViewSchema, link(signal)),
    follow: (id, followOptions = {}) => {
      const path = encodeURIComponent(id);
      return abortableIterable(
        (signal) =>
          followJob(
            id,
            {
              holdMs: limits.waitMs.default,
              pollIntervalMs,
              status: (_, live) => get('status', `/status/${path}`, jobViewSchema, 0, live),
              longPoll: (_, waitMs, live) =>
                get('status-sync', `/status-sync/${path}?wait=${waitMs}`, jobViewSchema, waitMs, live),
            },
            followOptions,
            signal,
          ),
        link(followOptions.signal),
      );
    },
    stream: (id, signal, leaving) => {
      const path = `/stream/${encodeURIComponent(id)}`;
      const ports = { stream: (_: string, stop: AbortSignal) => streamed(path, stop, leaving) };
      return abortableIterable((live) => streamJob(id, ports, live, leaving), link(signal));
    },
    cancel: (id, signal) =>
      sdkCall('cancel', () => sdk.cancel(encodeURIComponent(id), requestTimeoutMs), jobViewSchema, link(signal)),
    health: (signal) => sdkCall('health', () => sdk.health(requestTimeoutMs), healthViewSchema, link(signal)),
    purgeQueue: (signal) =>
      sdkCall('purge-queue', () => sdk.purgeQueue(requestTimeoutMs), purgeViewSchema, link(signal)),
    bodyLimit: (route) => (route === 'run' ? limits.runBodyBytes : limits.runsyncBodyBytes),
    async close() {
      closing.abort(new ComfyRunpodError('JOB_CANCELLED', 'The client was closed.'));
      window.close();
      await channel.close();
    },
    [Symbol.asyncDispose]: () => transport.close(),
  };
  return transport;
}
