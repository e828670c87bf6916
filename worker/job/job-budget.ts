/** How long a job may take on the worker. */
import { ComfyRunpodError, type JobInput } from '../../shared/index.ts';

/** Time kept back to collect, wipe and deliver before RunPod ends the job. */
function marginMs(executionTimeoutMs: number): number {
  return Math.min(15_000, Math.max(1_000, executionTimeoutMs * 0.1));
}

/** Milliseconds for the whole job: the caller's limit, or RunPod's less a margin, whichever is shorter. */
export function jobBudgetMs(job: JobInput, executionTimeoutMs: number | undefined): number {
  const platform = executionTimeoutMs === undefined ? Infinity : executionTimeoutMs - marginMs(executionTimeoutMs);
  return Math.max(500, Math.min(job.limits?.executionMs ?? Infinity, platform));
}

/** How long a run whose time is over may take to stop, so that the rest of the margin is left for its outputs and the report. */
export function cancelBudgetMs(executionTimeoutMs: number | undefined): number {
  return executionTimeoutMs === undefined ? Infinity : marginMs(executionTimeoutMs) * 0.6;
}

/** The error for a job that took longer. */
export function budgetError(budgetMs: number): ComfyRunpodError {
  return new ComfyRunpodError(
    'DEADLINE_EXCEEDED',
    `The job did not end within ${Math.round(budgetMs / 1000)} seconds.`,
    {
      details: { budgetMs: Math.round(budgetMs) },
    },
  );
}
