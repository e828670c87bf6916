// Answers of the emulator's routes, before anything goes wrong with them.
import type { FaultPlan } from './fault-script.ts';
import type { BodyParts } from './job-view.ts';

/** An answer: status, headers, body in pieces, and what to do once it is known whether it reached the client. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: BodyParts;
  /** The connection was gone before the answer could be written: undo what must not be lost (a job, chunks, stop signals). */
  readonly onLost?: () => void;
  /** Faults that were decided while the answer was made (job-take/delivery). */
  readonly plan?: FaultPlan;
}

/** 200 with ready JSON text. */
export function ok(body: BodyParts, extra: Pick<Reply, 'onLost' | 'plan'> = {}): Reply {
  return { status: 200, body, ...extra };
}

/** 200 with a value to encode. */
export function json(value: unknown): Reply {
  return { status: 200, body: [JSON.stringify(value)] };
}

/** 204: a hold passed with nothing to say. */
export function nothing(): Reply {
  return { status: 204, body: [] };
}

/** An error in the shape RunPod's own tools expect, `{"error": "..."}` (RunPod protocol notes §1.12). */
export function failure(status: number, error: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers, body: [JSON.stringify({ error })] };
}

/** 404 of a job that is unknown, expired or belongs to another endpoint. */
export function unknownJob(): Reply {
  return failure(404, 'job not found or expired');
}
