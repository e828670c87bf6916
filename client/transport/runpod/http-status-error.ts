/** The only place that turns an HTTP status of RunPod's public API into a coded error (RunPod protocol notes §1.12). */
import { ComfyRunpodError, type ErrorCode, limits, retryAfterMs } from '../../../shared/index.ts';

/** What was asked for: it decides what a 404 means. */
export type Operation = 'run' | 'runsync' | 'status' | 'status-sync' | 'stream' | 'cancel' | 'health' | 'purge-queue';

/** Longest pause that a Retry-After header can ask for, milliseconds. */
const longestRetryAfterMs = 60_000;

/** An HTTP answer, reduced to what is judged. `body` is what it carried, parsed or as text. */
export interface RefusedAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfter: string | null | undefined;
}

function codeFor(status: number, operation: Operation): ErrorCode {
  const submits = operation === 'run' || operation === 'runsync';
  const ofEndpoint = submits || operation === 'health' || operation === 'purge-queue';
  if (status === 401 || status === 403) return 'UNAUTHORIZED';
  if (status === 404) return ofEndpoint ? 'ENDPOINT_NOT_FOUND' : 'JOB_NOT_FOUND';
  if (status === 413) return 'BODY_TOO_LARGE';
  if (status === 429) return 'RATE_LIMITED';
  // A 5xx reached the server: for a submit nobody can tell whether the job was queued before it failed.
  if (status >= 500) return submits ? 'SUBMIT_UNCERTAIN' : 'PLATFORM_ERROR';
  if (status === 400 && submits) return 'INPUT_INVALID';
  return 'PLATFORM_ANSWER_INVALID';
}

/** The server's own sentence, when it sent one as `{"error": "..."}`; never more than one line of it. */
function serverSentence(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !('error' in body) || typeof body.error !== 'string')
    return undefined;
  const line = body.error.split('\n')[0]?.trim() ?? '';
  return line === '' ? undefined : line.slice(0, 300);
}

const sentences: Partial<Record<ErrorCode, string>> = {
  UNAUTHORIZED: 'RunPod refused the API key',
  ENDPOINT_NOT_FOUND: 'RunPod knows no such endpoint',
  JOB_NOT_FOUND: 'RunPod does not know this job: its id is unknown or its result has expired',
  RATE_LIMITED: 'RunPod asks to slow down',
  BODY_TOO_LARGE: 'RunPod refused the job because its body is too large',
  SUBMIT_UNCERTAIN: 'RunPod failed while it took the job, which may or may not be queued',
  PLATFORM_ERROR: 'RunPod failed to answer',
  INPUT_INVALID: 'RunPod refused the request',
};

/** The coded error for an answer that is not 2xx. */
export function httpStatusError(answer: RefusedAnswer, operation: Operation, attempts = 1): ComfyRunpodError {
  const sentence = serverSentence(answer.body);
  // RunPod reports its size limit as a 400 (§1.7).
  const tooLarge = answer.status === 400 && sentence?.includes('exceeded max body size') === true;
  const code = tooLarge ? 'BODY_TOO_LARGE' : codeFor(answer.status, operation);
  const said = sentence === undefined ? '' : `: ${sentence}`;
  const pause = retryAfterMs(answer.retryAfter, longestRetryAfterMs);
  const wrongPlatform = code === 'PLATFORM_ANSWER_INVALID';
  return new ComfyRunpodError(
    code,
    `${sentences[code] ?? 'Unexpected answer from the server'} (HTTP ${answer.status}${said}).`,
    {
      details: {
        httpStatus: answer.status,
        operation,
        attempts,
        ...(pause !== undefined && { retryAfterMs: pause }),
        ...(tooLarge && { limitBytes: operation === 'runsync' ? limits.runsyncBodyBytes : limits.runBodyBytes }),
      },
      ...(wrongPlatform &&
        answer.status < 400 && { nextStep: 'Check RUNPOD_BASE_URL: the server answers with a redirect.' }),
    },
  );
}
