/**
 * Submitting, the only request that costs money twice when repeated: RunPod has no idempotency key. It is repeated only when the failure
 * proves that the job was not taken (no connection, or 429). Everything that may have reached RunPod without an id coming back is
 * `SUBMIT_UNCERTAIN`. (RunPod protocol notes §4.4 and statement 83.)
 */
import {
  ComfyRunpodError,
  isComfyRunpodError,
  type JobView,
  jobViewSchema,
  limits,
  type SubmitBody,
} from '../../../shared/index.ts';
import type { Submission, SubmitOptions } from '../transport.ts';
import type { CallWindow } from './call-window.ts';
import type { HttpChannel } from './http-channel.ts';
import { provesNotSent } from './network-error.ts';
import { withRetries } from './request-retry.ts';
import { guardedCall, type SdkEndpoint } from './sdk-calls.ts';

/** What submitting needs of the transport. */
export interface SubmitPorts {
  readonly sdk: SdkEndpoint;
  readonly channel: HttpChannel;
  /** Asked before every attempt. */
  readonly window: CallWindow;
  readonly requestTimeoutMs: number;
  readonly attempts: number;
  readonly patienceMs: number;
  /** Cancels a job whose id arrived after its caller had gone. */
  readonly abandon: (id: string) => void;
}

/** Upload speed that a submit is given time for, beyond the request time-out: an uncertain submit is worse than a slow one. */
const slowestUploadBytesPerMs = 64;

/** Body of `/run`: never wrapped twice, absent keys stay absent. */
export function submitBody(submission: Submission): SubmitBody {
  const { input, webhook, policy } = submission;
  return {
    input: { ...input },
    ...(webhook !== undefined && { webhook }),
    ...(policy !== undefined && { policy: { ...policy } }),
  };
}

/** Milliseconds of `?wait=` within RunPod's bounds (§1.7). */
export function clampWait(waitMs: number): number {
  return Math.min(limits.waitMs.max, Math.max(limits.waitMs.min, Math.round(waitMs)));
}

/** Submits one job. */
export async function submitJob(
  submission: Submission,
  bytes: Buffer,
  ports: SubmitPorts,
  options: SubmitOptions,
): Promise<JobView> {
  const route = options.route ?? 'run';
  const timeoutMs = ports.requestTimeoutMs + bytes.byteLength / slowestUploadBytesPerMs;
  const send = route === 'run' ? sendRun : sendRunsync;
  return withRetries(
    async (attempt) => {
      await ports.window.take(route, options.signal);
      try {
        return await send({ submission, bytes, ports, options, timeoutMs, attempt });
      } catch (error) {
        if (options.signal?.aborted || !isComfyRunpodError(error)) throw error;
        throw judged(error);
      }
    },
    { attempts: ports.attempts, patienceMs: ports.patienceMs, signal: options.signal },
  );
}

interface Sending {
  readonly submission: Submission;
  readonly bytes: Buffer;
  readonly ports: SubmitPorts;
  readonly options: SubmitOptions;
  readonly timeoutMs: number;
  readonly attempt: number;
}

function sendRun({ submission, ports, options, timeoutMs, attempt }: Sending): Promise<JobView> {
  const body = submitBody(submission);
  return guardedCall(() => ports.sdk.run(body as Parameters<SdkEndpoint['run']>[0], timeoutMs), {
    operation: 'run',
    host: ports.channel.host,
    timeoutMs,
    schema: jobViewSchema,
    signal: options.signal,
    attempt,
    late: (view) => ports.abandon(view.id),
  });
}

function sendRunsync({ bytes, ports, options, timeoutMs, attempt }: Sending): Promise<JobView> {
  const wait = clampWait(options.waitMs ?? limits.waitMs.default);
  return ports.channel.json(
    {
      operation: 'runsync',
      method: 'POST',
      path: `/runsync?wait=${wait}`,
      body: bytes,
      timeoutMs: timeoutMs + wait,
      signal: options.signal,
      attempt,
    },
    jobViewSchema,
  );
}

/** What a failed submit means for the job. */
function judged(error: ComfyRunpodError): ComfyRunpodError {
  const answered = typeof error.details['httpStatus'] === 'number';
  if (answered) return error;
  if (error.code === 'PLATFORM_ANSWER_INVALID') return error;
  if (provesNotSent(error)) return error;
  return new ComfyRunpodError(
    'SUBMIT_UNCERTAIN',
    `The connection broke before RunPod said whether it took the job; its id is not known. ${error.message}`,
    { cause: error, details: { ...error.details, jobIdKnown: false } },
  );
}
