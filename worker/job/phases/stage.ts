/** Phase 3: the files that the graph needs are put where ComfyUI reads them. */
import type { GraphPlan } from '../plan-graph.ts';
import type { JobRun } from './job-run.ts';

/** Loader values by the caller's file names. */
export type StagedNames = ReadonlyMap<string, string>;

/** Stages the files that the plan uses. What was staged before it throws is wiped with the job. */
export async function stageJob(run: JobRun, plan: GraphPlan, signal: AbortSignal): Promise<StagedNames> {
  run.progress.enter('staging');
  const used = new Set(plan.fileUses.map((use) => use.file));
  const staged = await run.ledger.time('stageMs', async () => {
    const { placed, inline, warnings } = await run.inputs.resolve(run.input.files ?? [], used, signal);
    run.ledger.warnings.push(...warnings.map((message) => ({ message })));
    return [...placed, ...(await run.files.stage(inline, signal))];
  });
  run.ledger.bytesIn = staged.reduce((sum, file) => sum + file.size, 0);
  return new Map(staged.map((file) => [file.name, file.value]));
}
