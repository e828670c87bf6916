/**
 * Phase 2: waits for ComfyUI and checks the workflow against it. Nothing is posted; nothing is written either, except while ComfyUI boots:
 * the job's files are then staged meanwhile, where that needs no ComfyUI.
 */
import type { ComfyServer } from '../../comfy/index.ts';
import { assertDestination } from '../../outputs/index.ts';
import { type GraphPlan, namedFiles, planGraph } from '../plan-graph.ts';
import { assertModels } from '../policy/missing-models.ts';
import { deliveryRequest } from './delivery-request.ts';
import type { JobRun } from './job-run.ts';
import { placeFiles, type StagedNames } from './stage.ts';

/** A ComfyUI that answers sooner is not told as one that is starting. */
const startingAfterMs = 250;

/** A checked job. */
export interface Planned {
  readonly plan: GraphPlan;
  /** Files that were staged while ComfyUI booted. */
  readonly ahead: StagedNames | undefined;
}

/** Plans the job's graph. Throws what `ComfyConnection.ready`, {@link planGraph} and {@link placeFiles} throw. */
export async function planJob(run: JobRun, signal: AbortSignal): Promise<Planned> {
  return run.ledger.time('bootMs', () => plan(run, signal));
}

async function plan(run: JobRun, signal: AbortSignal): Promise<Planned> {
  const { comfy, delivery } = run.support;
  assertDestination(delivery ?? {}, deliveryRequest(run));
  run.inputs.assertHeld(run.input.files ?? []);
  const { server, ahead } = comfy.isReady()
    ? { server: await comfy.ready(signal), ahead: undefined }
    : await boot(run, signal);
  run.ledger.comfyVersion = server.version;
  await run.support.checkFolders?.(signal);
  assertModels(run.input.workflow, run.support.boot?.missingModels() ?? []);
  const names = Object.values(run.input.workflow).map((node) => node.class_type);
  const classes = await comfy.describe(names, signal);
  return { plan: planGraph(run.input, classes, { ...run.support.policy, failedPacks: server.failedPacks }), ahead };
}

/** Waits for ComfyUI and stages beside. Whichever fails ends the other, so that nothing is written behind the wipe's back. */
async function boot(
  run: JobRun,
  signal: AbortSignal,
): Promise<{ readonly server: ComfyServer; readonly ahead: StagedNames | undefined }> {
  const names = run.files.stagesAhead ? namedFiles(run.input, run.support.policy) : undefined;
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const notice = setTimeout(() => run.progress.enter('starting'), startingAfterMs);
  const staging = names && placeFiles(run, names, either);
  try {
    const [server, ahead] = await Promise.all([run.support.comfy.ready(either), staging]);
    return { server, ahead };
  } catch (error) {
    failed.abort(error);
    await staging?.catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(notice);
  }
}
