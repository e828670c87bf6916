/** Phase 2: waits for ComfyUI and checks the workflow against it. Nothing is written or posted. */
import { assertDestination } from '../../outputs/index.ts';
import { type GraphPlan, planGraph } from '../plan-graph.ts';
import { deliveryRequest } from './delivery-request.ts';
import type { JobRun } from './job-run.ts';

/** Plans the job's graph. Throws what `ComfyConnection.ready` and {@link planGraph} throw. */
export async function planJob(run: JobRun, signal: AbortSignal): Promise<GraphPlan> {
  return run.ledger.time('bootMs', () => plan(run, signal));
}

async function plan(run: JobRun, signal: AbortSignal): Promise<GraphPlan> {
  const { comfy, delivery } = run.support;
  assertDestination(delivery ?? {}, deliveryRequest(run));
  run.inputs.assertHeld(run.input.files ?? []);
  const server = await comfy.ready(signal);
  run.ledger.comfyVersion = server.version;
  const names = Object.values(run.input.workflow).map((node) => node.class_type);
  const classes = await comfy.describe(names, signal);
  return planGraph(run.input, classes, { ...run.support.policy, failedPacks: server.failedPacks });
}
