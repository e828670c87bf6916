/** Phase 4: one run of the graph in ComfyUI, and what has to be done before it may run again. */
import type { Execution } from '../../comfy/index.ts';
import { bindGraph } from '../bind-graph.ts';
import { cancelBudgetMs } from '../job-budget.ts';
import type { GraphPlan } from '../plan-graph.ts';
import { createRedactor } from '../redact.ts';
import type { JobRun } from './job-run.ts';
import type { StagedNames } from './stage.ts';

/** Runs the graph once. Never throws: every ending is an {@link Execution}. */
export async function executeOnce(
  run: JobRun,
  plan: GraphPlan,
  staged: StagedNames,
  signal: AbortSignal,
): Promise<Execution> {
  const { comfyOrgApiKey, limits: jobLimits } = run.input;
  const execution = await run.ledger.time('runMs', () =>
    run.support.comfy.execute({
      prompt: bindGraph(plan, { staged, folder: run.files.folder }),
      ...(comfyOrgApiKey !== undefined && { extraData: { api_key_comfy_org: comfyOrgApiKey } }),
      stallMs: jobLimits?.stallMs ?? run.support.stallMs,
      signal,
      cancelMs: cancelBudgetMs(run.context.executionTimeoutMs),
      redact: createRedactor(() => ({
        secrets: [...plan.secrets, ...(comfyOrgApiKey === undefined ? [] : [comfyOrgApiKey])],
        renames: renames(run, staged),
      })),
      onSnapshot: (snapshot) => run.progress.update(snapshot),
    }),
  );
  run.ledger.executions.push(execution);
  return execution;
}

function renames(run: JobRun, staged: StagedNames): Map<string, string> {
  const names = new Map([...staged].map(([name, value]) => [value, name]));
  for (const folder of run.folders) names.set(`${folder}/`, '');
  return names;
}

/** Drops ComfyUI's caches, so that the next run makes everything anew, in a folder of its own. */
export async function prepareRepeat(run: JobRun, why: string, signal: AbortSignal): Promise<void> {
  run.logger.warn({ why }, 'The run is repeated once');
  await run.support.comfy.freeMemory(signal);
  run.folders.push(run.files.renewFolder());
}
