/**
 * The part of the contract that a worker needs before it asks for its first job; index.ts has the same and everything else. A worker that loaded
 * all of it first would come to its first job a tenth of a second later, every time it is started.
 */
export { bootExitCode } from './boot.ts';
export { readEnvironment, type WorkerEnvironment, workerVariables } from './environment.ts';
export { ComfyRunpodError, isComfyRunpodError, toComfyRunpodError } from './error.ts';
export { exitCodes } from './error-codes.ts';
export { type ErrorOrigin, errorToWire } from './error-wire.ts';
export { limits } from './limits.ts';
export { parseModels } from './models/parse-models.ts';
export { progressEventSchema } from './progress.ts';
export { backoffMs, retryAfterMs } from './util/backoff.ts';
export { createDeadline } from './util/deadline.ts';
export { delay, raceSignal } from './util/delay.ts';
export { packageVersion } from './version.ts';
