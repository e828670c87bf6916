/**
 * How an error travels through RunPod. job-done's `error` must be a string, or the platform reports COMPLETED without output
 * (RunPod protocol notes §2.9), and existing callers parse it as JSON with six documented string keys (§2.13). We send that
 * shape and put our own fields under one extra key, so that both kinds of reader are served.
 */
import * as z from 'zod';
import { ComfyRunpodError, type ErrorDetails, type ErrorIssue } from './error.ts';
import { type ErrorCode, isErrorCode } from './error-codes.ts';
import { limits } from './limits.ts';

/** Where an error comes from, for the six documented keys. */
export interface ErrorOrigin {
  readonly workerId: string;
  readonly hostname: string;
  /** Version of this package. */
  readonly version: string;
}

const issueSchema = z.object({
  node: z.string().optional(),
  classType: z.string().optional(),
  field: z.string().optional(),
  type: z.string().optional(),
  message: z.string(),
});

const ownFieldsSchema = z.object({
  code: z.string(),
  message: z.string(),
  nextStep: z.string().optional(),
  issues: z.array(issueSchema).optional(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
});

const wireSchema = z.object({
  error_type: z.string().optional(),
  error_message: z.string().optional(),
  comfy_runpod: ownFieldsSchema.optional(),
});

/** Cuts a text to `max` characters and says so. */
function clip(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)} [cut: ${text.length} characters]`;
}

/** Turns an error into the string for job-done's `error` field. At most about 32 KiB whatever went wrong. */
export function errorToWire(error: ComfyRunpodError, origin: ErrorOrigin): string {
  const message = clip(error.message, limits.errorMessageChars);
  const issues = error.issues.slice(0, limits.errorIssues).map((issue) => ({
    ...issue,
    message: clip(issue.message, 400),
  }));
  return JSON.stringify({
    error_type: error.code,
    error_message: message,
    error_traceback: '',
    hostname: origin.hostname,
    worker_id: origin.workerId,
    runpod_version: origin.version,
    comfy_runpod: {
      code: error.code,
      message,
      nextStep: error.nextStep,
      ...(issues.length > 0 && { issues }),
      ...(Object.keys(error.details).length > 0 && { details: error.details }),
    },
  });
}

/**
 * Reads the `error` of a job view. Never throws: a text that no comfy-runpod worker wrote becomes `JOB_FAILED` with that text,
 * and the platform's own sentences are recognised (RunPod protocol notes §1.6).
 */
export function errorFromWire(text: string): ComfyRunpodError {
  const platform = platformSentence(text);
  if (platform) return platform;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return new ComfyRunpodError('JOB_FAILED', clip(text, limits.errorMessageChars));
  }
  const wire = wireSchema.safeParse(parsed);
  if (!wire.success) return new ComfyRunpodError('JOB_FAILED', clip(text, limits.errorMessageChars));
  const own = wire.data.comfy_runpod;
  if (own) {
    const code: ErrorCode = isErrorCode(own.code) ? own.code : 'JOB_FAILED';
    return new ComfyRunpodError(code, own.message, {
      issues: (own.issues ?? []) as readonly ErrorIssue[],
      details: (own.details ?? {}) as ErrorDetails,
      ...(own.nextStep !== undefined && { nextStep: own.nextStep }),
    });
  }
  const foreign = [wire.data.error_type, wire.data.error_message].filter(Boolean).join(': ');
  return new ComfyRunpodError('JOB_FAILED', clip(foreign || text, limits.errorMessageChars));
}

function platformSentence(text: string): ComfyRunpodError | undefined {
  if (/^job timed out after \d+ retries$/.test(text)) {
    return new ComfyRunpodError('WORKER_LOST', `RunPod gave the job up: ${text}.`);
  }
  if (text === 'executionTimeout exceeded') {
    return new ComfyRunpodError('DEADLINE_EXCEEDED', "The job ran longer than RunPod's executionTimeout.");
  }
  return undefined;
}
