// What the emulator tells about itself: its event stream and the request log. Neither carries bodies unless
// `recordBodies` asks for them, and keys are never in either.
import type { FaultAction, RouteName } from './fault-schema.ts';
import type { JobStatus } from './job.ts';

/** One request as the emulator saw it. */
export interface SeenRequest {
  readonly at: number;
  readonly route: RouteName | 'unknown';
  readonly method: string;
  /** Path and query as received. */
  readonly target: string;
  readonly endpointId: string | undefined;
  readonly jobId: string | undefined;
  readonly workerId: string | undefined;
  /** How the key came: `raw`, with `Bearer `, or not at all; and whether it was the right one. */
  readonly authorization: 'none' | 'raw' | 'bearer';
  readonly authorized: boolean;
  /** Headers without Authorization and cookies; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Body size in bytes, once read. */
  bodyBytes: number;
  /** When the last byte of the body was there; undefined before, and for a body that was refused or broke off. */
  bodyReadAt: number | undefined;
  /** The body's text, up to `recordBodies` bytes; undefined when not recorded. */
  body: string | undefined;
  /** Status answered; undefined while held, or when the connection ended without an answer. */
  status: number | undefined;
  /** Faults applied to this request. */
  readonly faults: FaultAction['kind'][];
}

/** What `onEvent` receives: a request that is over, a job's change of status, a worker's change, an attempt at a webhook. */
export type EmulatorEvent =
  | {
      readonly type: 'request';
      readonly at: number;
      readonly route: SeenRequest['route'];
      readonly method: string;
      readonly endpointId: string | undefined;
      readonly jobId: string | undefined;
      readonly workerId: string | undefined;
      readonly status: number | undefined;
      readonly durationMs: number;
    }
  | {
      readonly type: 'job';
      readonly at: number;
      readonly endpointId: string;
      readonly jobId: string;
      readonly from: JobStatus | undefined;
      /** undefined = removed */
      readonly to: JobStatus | undefined;
      readonly workerId: string | undefined;
    }
  | {
      readonly type: 'worker';
      readonly at: number;
      readonly endpointId: string;
      readonly workerId: string;
      readonly change: 'registered' | 'stopping' | 'unhealthy' | 'gone';
    }
  | {
      readonly type: 'webhook';
      readonly at: number;
      readonly endpointId: string;
      readonly jobId: string;
      readonly attempt: number;
      /** Status the receiver answered; undefined when there was no answer. */
      readonly status: number | undefined;
      readonly delivered: boolean;
    };

const LONGEST_LOG = 10_000;

/** The last requests, oldest first. */
export class RequestLog {
  #entries: SeenRequest[] = [];

  add(entry: SeenRequest): void {
    this.#entries.push(entry);
    if (this.#entries.length > LONGEST_LOG) this.#entries = this.#entries.slice(-LONGEST_LOG / 2);
  }

  list(route?: SeenRequest['route']): readonly SeenRequest[] {
    return this.#entries.filter((entry) => route === undefined || entry.route === route);
  }
}
