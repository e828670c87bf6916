/** The worker, for whoever starts one: the command `comfy-runpod worker`, the local stack, tests. */
export type { ComposedRunner, RunnerFactory } from './compose.ts';
export {
  type ComfyConfig,
  type ComfyDirectories,
  type Environment,
  explainMissing,
  type LocalApiAddress,
  type LogConfig,
  readLogConfig,
  readWorkerConfig,
  type WorkerConfig,
} from './config.ts';
export { createRunner } from './lazy-runner.ts';
export { createLogger, type LoggerOptions } from './logger.ts';
export {
  type LocalApi,
  type OpenApi,
  type ProcessHost,
  runWorkerProcess,
  type WorkerProcessOptions,
} from './main.ts';
export type { RunpodConfig, RunpodTimings } from './runpod/index.ts';
export type { JobOutcome, JobRunner, JsonBody, Logger, RunContext, RunnerJob } from './types.ts';
export {
  type EndReason,
  startWorker,
  type Worker,
  type WorkerExit,
  type WorkerParts,
  type WorkerSettings,
  type WorkerState,
} from './worker.ts';
