// One request on its way through the emulator, as routes see it.
import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import type { Endpoint } from './endpoint.ts';
import type { RouteName, RoutePart } from './fault-schema.ts';
import type { FaultPlan, FaultScript } from './fault-script.ts';
import type { EndpointSettings } from './options.ts';
import type { RawObject } from './raw-json.ts';
import type { Reply } from './reply.ts';

/** A request whose key, endpoint, body size and rate are in order. */
export interface Call {
  readonly endpoint: Endpoint;
  readonly settings: EndpointSettings;
  readonly clock: Clock;
  readonly jobId: string;
  readonly workerId: string;
  readonly query: URLSearchParams;
  readonly path: string;
  /** The body as it came. */
  readonly body: Buffer;
  /** The body as a JSON object, parsed once; `undefined` when it is not one. */
  readonly object: () => RawObject | undefined;
  readonly socket: Socket;
  /** Aborts when the client goes away or the emulator closes. */
  readonly signal: AbortSignal;
  /** Whether an answer can still reach the client. */
  readonly alive: () => boolean;
  readonly faults: FaultScript;
  /** What was decided to go wrong with this request. */
  readonly plan: FaultPlan;
}

/** One route of the emulator. */
export interface Route {
  readonly name: RouteName;
  readonly methods: readonly ('GET' | 'POST')[];
  /** Path under `/v2/:endpointId`. */
  readonly path: string;
  /** Which key opens it. */
  readonly face: 'public' | 'worker';
  /** Largest body in bytes. */
  readonly bodyLimit: (endpoint: Endpoint, jobId: string) => number;
  /** Narrower fault target of a request, where there is one. */
  readonly partOf?: (object: RawObject | undefined) => RoutePart;
  readonly handle: (call: Call) => Reply | Promise<Reply>;
}

/** Limit for bodies that a route does not look into. */
export const IGNORED_BODY_LIMIT = 1024 * 1024;

/** Reads `?name=` as milliseconds within a range; `undefined` for anything that is not a number. */
export function readWait(
  query: URLSearchParams,
  name: string,
  range: { readonly defaultMs: number; readonly minMs: number; readonly maxMs: number },
): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return range.defaultMs;
  if (!/^-?\d+(\.\d+)?$/.test(text)) return undefined;
  return Math.min(range.maxMs, Math.max(range.minMs, Number(text)));
}
