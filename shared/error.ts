/**
 * The one error class of both ends. It carries a code of the closed list, a message that is safe to show and to log
 * (never a prompt, a picture, a key or a signed URL) and optional details that are safe too.
 */
import { type ErrorCode, type ErrorPolicy, errorPolicies } from './error-codes.ts';

/** What went wrong with one node or one field, for errors that list several causes. */
export interface ErrorIssue {
  /** Node id in the submitted workflow. */
  readonly node?: string;
  /** Class of that node. */
  readonly classType?: string;
  /** Name of the input or path of the field. */
  readonly field?: string;
  /** ComfyUI's own error type, such as `value_not_in_list`. */
  readonly type?: string;
  readonly message: string;
}

/** Safe facts beside the message. Values are numbers, booleans, short strings; never user content. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** Options of {@link ComfyRunpodError}. */
export interface ErrorOptions {
  readonly cause?: unknown;
  readonly issues?: readonly ErrorIssue[];
  readonly details?: ErrorDetails;
  /** Replaces the next step of the policy row where the place knows better. */
  readonly nextStep?: string;
}

const brand = Symbol.for('comfy-runpod.error');

/** An error with a code, a policy and a next step. `instanceof` is not reliable across copies: use {@link isComfyRunpodError}. */
export class ComfyRunpodError extends Error {
  override readonly name = 'ComfyRunpodError';
  readonly code: ErrorCode;
  readonly issues: readonly ErrorIssue[];
  readonly details: ErrorDetails;
  readonly nextStep: string;
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.issues = options.issues ?? [];
    this.details = options.details ?? {};
    this.nextStep = options.nextStep ?? errorPolicies[code].nextStep;
  }

  /** The policy row of the code. */
  get policy(): ErrorPolicy {
    return errorPolicies[this.code];
  }
}

/** True for a {@link ComfyRunpodError}, also one made by another copy of this package. */
export function isComfyRunpodError(value: unknown): value is ComfyRunpodError {
  return typeof value === 'object' && value !== null && brand in value;
}

/**
 * Makes sure that what was thrown is a {@link ComfyRunpodError}: one passes unchanged, anything else becomes `fallback`
 * with the original as its cause. The original's text is not repeated in the message, because it may hold user content.
 */
export function toComfyRunpodError(
  thrown: unknown,
  fallback: ErrorCode = 'INTERNAL',
  message?: string,
): ComfyRunpodError {
  if (isComfyRunpodError(thrown)) return thrown;
  const kind = thrown instanceof Error ? thrown.name : typeof thrown;
  return new ComfyRunpodError(fallback, message ?? `Unexpected ${kind}.`, { cause: thrown });
}
