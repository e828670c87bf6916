/** What is said about an error code, and the exit codes of the command line. The codes themselves: {@link file://./error-codes.ts}. */

/** Who has to act for the error to go away. */
export type Blame = 'caller' | 'workflow' | 'configuration' | 'worker' | 'platform' | 'network' | 'nobody';

/** Where a retry may help: nowhere, at once on any worker, or only after waiting. */
export type RetryAdvice = 'never' | 'any-worker' | 'later';

/** Policy of one error code. */
export interface ErrorPolicy {
  readonly blame: Blame;
  readonly retry: RetryAdvice;
  /** HTTP status with the same meaning, for gateways. */
  readonly httpStatus: number;
  /** Exit code of the command line. Families: see {@link exitCodes}. */
  readonly exitCode: number;
  /** True when the worker that met it must not take another job. */
  readonly recycle: boolean;
  /** What a person should do next, one sentence. */
  readonly nextStep: string;
}

/** Exit codes of the command line, by family. */
export const exitCodes = {
  success: 0,
  internal: 1,
  usage: 2,
  input: 3,
  access: 4,
  platform: 5,
  jobFailed: 6,
  cancelled: 7,
  timeout: 8,
  result: 9,
  interrupted: 130,
} as const;

/** Makes one row of the table. */
export function row(
  blame: Blame,
  retry: RetryAdvice,
  httpStatus: number,
  exitCode: number,
  nextStep: string,
  recycle = false,
): ErrorPolicy {
  return { blame, retry, httpStatus, exitCode, recycle, nextStep };
}
