/**
 * How a worker starts: its stages, how they are reported (ping, describe, the receipt of the first result), and with which exit code the
 * process ends when one fails. docs/errors.md is generated from here.
 */
import * as z from 'zod';
import type { ComfyRunpodError } from './error.ts';

/** The stages, in the order in which they are told; they run side by side where they can. */
export const bootStages = {
  environment: 'The environment variables are read and checked.',
  jobs: 'The first job is asked for: from the start of the process.',
  gpu: 'The GPU is looked for.',
  workspace: 'The RAM disk is measured and laid out.',
  models: 'Models are found, linked or downloaded.',
  comfyui: 'ComfyUI is started and answers.',
  ssh: 'The SSH server is set up and listens.',
  api: 'The local API listens (SERVE_API_LOCALLY).',
  readahead: 'Models are read into memory (WARM_MODELS). A failure here stops nothing.',
  warmup: 'The warm-up workflow runs (WARMUP_WORKFLOW). A failure here stops nothing.',
} as const;

/** Name of a stage. */
export type BootStage = keyof typeof bootStages;

/** Exit codes of a worker process by the stage that failed. The families of the command line end at 9; 128 and above belong to signals. */
export const bootExitCodes: Readonly<Partial<Record<BootStage, number>>> = {
  environment: 2,
  gpu: 20,
  workspace: 21,
  models: 22,
  comfyui: 23,
  ssh: 24,
  api: 25,
};

/** The exit code of a process that ends with this error: that of the stage that failed, else that of its code. */
export function bootExitCode(error: ComfyRunpodError): number {
  const { stage } = error.details;
  const known = typeof stage === 'string' && Object.hasOwn(bootStages, stage) ? (stage as BootStage) : undefined;
  return (known === undefined ? undefined : bootExitCodes[known]) ?? error.policy.exitCode;
}

/** One stage as it is told; times are milliseconds since the process began. */
export const bootStageSchema = z.object({
  name: z.string(),
  state: z.enum(['running', 'done', 'failed', 'skipped']),
  startedMs: z.number(),
  /** How long it took, or has taken so far. */
  ms: z.number(),
  /** What was found, in a few words. */
  note: z.string().optional(),
});

/** The start of a worker. */
export const bootReportSchema = z.object({
  stages: z.array(bootStageSchema),
  /** When everything that jobs need was there; absent before. */
  readyMs: z.number().optional(),
});

/** A model that the worker should have and has not. */
export const missingModelSchema = z.object({ name: z.string(), code: z.string(), reason: z.string() });

export type BootStageReport = z.output<typeof bootStageSchema>;
export type BootReport = z.output<typeof bootReportSchema>;
export type MissingModel = z.output<typeof missingModelSchema>;
