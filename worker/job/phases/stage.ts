/** Phase 3: the files that the graph needs are put where ComfyUI reads them. */
import type { GraphPlan } from '../plan-graph.ts';
import type { JobRun } from './job-run.ts';

/** Loader values by the caller's file names. */
export type StagedNames = ReadonlyMap<string, string>;

/** Stages the files that the plan uses, unless they lie there `ahead` of it. What was staged before it throws is wiped with the job. */
export async function stageJob(
  run: JobRun,
  plan: GraphPlan,
  ahead: StagedNames | undefined,
  signal: AbortSignal,
): Promise<StagedNames> {
  run.progress.enter('staging');
  if (ahead) return ahead;
  const used = new Set(plan.fileUses.map((use) => use.file));
  return await run.ledger.time('stageMs', () => placeFiles(run, used, signal));
}

/** Gets the files of these names and puts them into the input folder. */
export async function placeFiles(run: JobRun, names: ReadonlySet<string>, signal: AbortSignal): Promise<StagedNames> {
  const { placed, inline, warnings } = await run.inputs.resolve(run.input.files ?? [], names, signal);
  run.ledger.warnings.push(...warnings.map((message) => ({ message })));
  const staged = [...placed, ...(await run.files.stage(inline, signal))];
  run.ledger.bytesIn = staged.reduce((sum, file) => sum + file.size, 0);
  return new Map(staged.map((file) => [file.name, file.value]));
}
