/** Phase 4: one run of the graph in ComfyUI, what has to be done before it may run again, and when the next job may have ComfyUI. */
import { compareNodeIds, toComfyRunpodError, type Workflow } from '../../../shared/index.ts';
import type { Execution, ExecutionRequest } from '../../comfy/index.ts';
import { listOutputs, type OutputFile } from '../../outputs/index.ts';
import { bindGraph } from '../bind-graph.ts';
import { cancelBudgetMs } from '../job-budget.ts';
import type { GraphPlan } from '../plan-graph.ts';
import { PreviewFeed } from '../preview-feed.ts';
import { createRedactor } from '../redact.ts';
import { RunEstimate } from '../run-estimate.ts';
import type { JobRun } from './job-run.ts';
import type { StagedNames } from './stage.ts';

/**
 * Runs the graph once, behind the job that is in ComfyUI already, if any. Throws the signal's reason when the job ends before its prompt was
 * posted; every other ending is an {@link Execution}.
 */
export async function executeOnce(
  run: JobRun,
  plan: GraphPlan,
  staged: StagedNames,
  signal: AbortSignal,
): Promise<Execution> {
  const { ledger, support, budget, context } = run;
  const prompt = bindGraph(plan, { staged, folder: run.files.folder });
  run.progress.useEstimate(new RunEstimate(prompt, support.nodeTimes));
  const request = executionRequest(run, plan, staged, prompt, signal);
  const queuedAt = performance.now();
  let waits = true;
  const onTurn = () => {
    waits = false;
    ledger.add('queueMs', performance.now() - queuedAt);
    budget.resume();
    context.onGpuBusy?.();
  };
  budget.pause();
  try {
    const execution = await support.lane.within(
      () => ledger.time('runMs', () => support.comfy.execute(request)),
      onTurn,
      signal,
    );
    ledger.executions.push(execution);
    for (const { node, message } of execution.refused) {
      const where = node === undefined ? {} : { node };
      ledger.warnings.push({ ...where, message: `ComfyUI left out the outputs that need this node: ${message}` });
    }
    if (!execution.failure) support.nodeTimes.note(prompt, execution.nodeTimes);
    return execution;
  } finally {
    if (waits) ledger.add('queueMs', performance.now() - queuedAt);
    budget.resume();
  }
}

function executionRequest(
  run: JobRun,
  plan: GraphPlan,
  staged: StagedNames,
  prompt: Workflow,
  signal: AbortSignal,
): ExecutionRequest {
  const { comfyOrgApiKey, limits: jobLimits, privacy } = run.input;
  // A preview is a picture of the job in RunPod's hands before the result is.
  const previews = run.input.previews === true && privacy !== 'strict';
  const extraData = {
    ...(comfyOrgApiKey !== undefined && { api_key_comfy_org: comfyOrgApiKey }),
    // Known to newer versions; the others ignore it (ComfyUI protocol notes §1.3.1).
    ...(previews && { preview_method: 'auto' }),
  };
  const feed = previews ? new PreviewFeed((preview) => run.progress.preview(preview)) : undefined;
  return {
    prompt,
    ...(Object.keys(extraData).length > 0 && { extraData }),
    stallMs: jobLimits?.stallMs ?? run.support.stallMs,
    allowPartial: run.input.allowPartial ?? false,
    signal,
    cancelMs: cancelBudgetMs(run.context.executionTimeoutMs),
    redact: createRedactor(() => ({
      secrets: [...plan.secrets, ...(comfyOrgApiKey === undefined ? [] : [comfyOrgApiKey])],
      renames: renames(run, staged),
    })),
    onSnapshot: (snapshot) => run.progress.update(snapshot),
    ...(feed && { onPreview: (image) => feed.offer(image) }),
  };
}

function renames(run: JobRun, staged: StagedNames): Map<string, string> {
  const names = new Map([...staged].map(([name, value]) => [value, name]));
  for (const folder of run.folders) names.set(`${folder}/`, '');
  return names;
}

/**
 * Drops ComfyUI's caches once it has nothing else to do, so that the next run makes everything anew, in a folder of its own. False when that
 * could not be done: then the first run's own failure stands. Never throws.
 */
export async function prepareRepeat(run: JobRun, why: string, signal: AbortSignal): Promise<boolean> {
  try {
    await run.support.lane.alone(() => run.support.comfy.freeMemory(signal), signal);
  } catch (error) {
    run.logger.warn({ why, code: toComfyRunpodError(error).code }, 'The run can not be repeated');
    return false;
  }
  run.logger.warn({ why }, 'The run is repeated once');
  run.folders.push(run.files.renewFolder());
  return true;
}

/**
 * ComfyUI is done with the job: the next one may have it while this one is collected and wiped. Not so when the worker is to be recycled
 * after it, when files lie where the next job may write, or when ComfyUI's memory is to be scrubbed first: a long run would hold that up.
 */
export function releaseComfy(run: JobRun, execution: Execution): void {
  const { files } = listOutputs(execution.outputs, compareNodeIds);
  if (files.some((file) => isShared(file, run.folders))) {
    run.context.onSharedOutput?.();
    return;
  }
  if (run.input.privacy === 'strict') return;
  if (run.input.refresh === true || execution.failure?.policy.recycle === true || execution.stuck === true) return;
  run.context.onGpuFree?.();
}

/** True for a file whose place is not this job's alone. ComfyUI's previews carry a random part in their names (§3.7). */
function isShared(file: OutputFile, folders: readonly string[]): boolean {
  if (file.type === 'temp') return !/^ComfyUI_temp_[a-z]{5}_/.test(file.filename);
  if (file.type === 'input') return false;
  return !folders.includes(file.subfolder.split('/').find((part) => part !== '') ?? '');
}
