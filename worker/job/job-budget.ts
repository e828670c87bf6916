/** How long a job may take on the worker. */
import { ComfyRunpodError, type JobInput } from '../../shared/index.ts';
import type { RunContext } from '../types.ts';

/** Time kept back to collect, wipe and deliver before RunPod ends the job. */
function marginMs(executionTimeoutMs: number): number {
  return Math.min(15_000, Math.max(1_000, executionTimeoutMs * 0.1));
}

/** The two clocks of a job, milliseconds from now. */
export interface JobBudget {
  /** RunPod's limit less a margin; it has been running since the take. */
  readonly platformMs: number;
  /** The caller's own limit; it stands still while the job waits behind another one. */
  readonly ownMs: number;
}

/** The clocks of a job that was taken at `context.takenAt`. */
export function jobBudget(job: JobInput, context: RunContext): JobBudget {
  const { executionTimeoutMs, takenAt } = context;
  const waited = takenAt === undefined ? 0 : performance.now() - takenAt;
  const platform = executionTimeoutMs === undefined ? Infinity : executionTimeoutMs - marginMs(executionTimeoutMs);
  return { platformMs: Math.max(500, platform - waited), ownMs: job.limits?.executionMs ?? Infinity };
}

/** A signal that fires when either clock of a job has run down, or with its parent. Dispose it. */
export interface BudgetDeadline extends Disposable {
  readonly signal: AbortSignal;
  /** The job waits behind another one: the caller's own limit stands still. */
  pause(): void;
  /** It waits no more. */
  resume(): void;
}

/** Starts the clocks. */
export function startBudget(budget: JobBudget, parent: AbortSignal): BudgetDeadline {
  const controller = new AbortController();
  const total = Math.min(budget.platformMs, budget.ownMs);
  const start = (ms: number): NodeJS.Timeout | undefined => {
    if (!Number.isFinite(ms)) return undefined;
    return setTimeout(() => controller.abort(budgetError(total)), Math.min(ms, 2_147_483_647));
  };
  const platform = start(budget.platformMs);
  let left = budget.ownMs;
  let since = performance.now();
  let own = start(left);
  let paused = false;
  const stop = () => {
    clearTimeout(platform);
    clearTimeout(own);
  };
  const onParent = () => {
    stop();
    controller.abort(parent.reason);
  };
  if (parent.aborted) onParent();
  else parent.addEventListener('abort', onParent, { once: true });
  return {
    signal: controller.signal,
    pause() {
      if (paused) return;
      paused = true;
      clearTimeout(own);
      left -= performance.now() - since;
    },
    resume() {
      if (!paused) return;
      paused = false;
      since = performance.now();
      if (!controller.signal.aborted) own = start(left);
    },
    [Symbol.dispose]() {
      stop();
      parent.removeEventListener('abort', onParent);
    },
  };
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
