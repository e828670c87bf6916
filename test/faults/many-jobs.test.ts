/**
 * Two hundred jobs of mixed graphs through emulator, workers and ComfyUI stand-ins, with faults on everywhere. Every job ends in exactly one
 * truthful outcome; afterwards no file is left and no handle is open.
 */
import { expect, it } from 'vitest';
import type { JobResult } from '../../client/index.ts';
import type { FaultInput } from '../../sandbox/comfyui/index.ts';
import type { FaultRuleInput } from '../../sandbox/runpod/index.ts';
import { delay, isComfyRunpodError } from '../../shared/index.ts';
import { type MixedJob, mixedJob } from '../support/mixed-jobs.ts';
import { filesBelow, openHandles, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

const jobCount = 200;
const inFlight = 8;

/** What RunPod and the network do. */
const platformFaults: FaultRuleInput[] = [
  { route: 'job-take', when: { every: 19 }, do: { kind: 'answer', status: 500, json: { error: 'internal' } } },
  { route: 'job-take', when: { every: 23 }, do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } } },
  { route: 'job-take', when: { every: 29 }, do: { kind: 'reset' } },
  { route: 'job-take/delivery', when: { every: 41 }, do: { kind: 'drop', at: 'after' } },
  { route: 'job-take/delivery', when: { every: 13 }, do: { kind: 'deliver-twice' } },
  { route: 'job-done/result', when: { every: 5 }, do: { kind: 'answer', status: 503, text: 'try later' } },
  { route: 'job-done/result', when: { every: 7 }, do: { kind: 'reset' } },
  { route: 'job-done/result', when: { every: 11 }, do: { kind: 'drop', at: 'after' } },
  { route: 'job-done/progress', when: { every: 3 }, do: { kind: 'answer', status: 500 } },
  { route: 'job-done/progress', when: { every: 4 }, do: { kind: 'delay', ms: 80 } },
  { route: 'job-stop', when: { every: 5 }, do: { kind: 'answer', status: 500 } },
  { route: 'ping', when: { every: 6 }, do: { kind: 'reset' } },
  {
    route: ['status', 'status-sync'],
    when: { every: 9 },
    do: { kind: 'answer', status: 502, text: '<html>bad gateway</html>' },
  },
  { route: ['status', 'status-sync'], when: { every: 14 }, do: { kind: 'truncate' } },
  {
    route: ['status', 'status-sync'],
    when: { every: 17 },
    do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
  },
];

/** What ComfyUI does, none of which may change an outcome. */
function comfyFaults(): FaultInput[] {
  const faults: FaultInput[] = [];
  for (let round = 0; round < 3; round++) {
    const skip = 4 + round * 9;
    faults.push(
      { kind: 'late-history', delayMs: 400, skip, times: 2 },
      { kind: 'lost-socket', at: 4, refuseReconnectMs: 150, skip: skip + 2 },
      { kind: 'reshape-event', event: 'execution_success', action: 'drop', skip: skip + 3 },
      { kind: 'reshape-event', event: 'executed', action: 'drop', skip: skip + 1 },
      { kind: 'reshape-event', event: 'executing', action: 'duplicate', skip: skip + 5 },
      { kind: 'reshape-event', event: 'progress', action: 'swap-with-next', skip: skip + 2 },
      { kind: 'foreign-events', event: 'execution_start', skip: skip + 1 },
      { kind: 'odd-frame', at: 3, frame: 'truncated-header', skip: skip + 4 },
      { kind: 'lost-answer', at: 'after-queueing', skip: skip + 6 },
      { kind: 'lost-answer', at: 'before-queueing', skip: skip + 7 },
      { kind: 'answer-after-run', skip: skip + 3 },
      { kind: 'nan', in: 'history', skip: skip + 2 },
      { kind: 'nan', in: 'executed', skip: skip + 1 },
      { kind: 'latency', endpoint: '/history/*', delayMs: 300, skip: skip * 2 },
      { kind: 'bad-status', endpoint: '/queue', status: 500, skip: skip * 2 },
      { kind: 'stalled-delivery', at: 5, forMs: 500, skip: skip + 8 },
      { kind: 'interrupt-ignored', skip: round * 2 },
    );
  }
  return faults;
}

async function runOne(stack: WholeStack, job: MixedJob): Promise<JobResult> {
  const handle = await stack.client.submit(job.input);
  if (job.cancel) {
    while ((await handle.status().catch(() => undefined))?.status === 'IN_QUEUE') await delay(20);
    await handle.cancel();
  }
  for (;;) {
    try {
      return await handle.wait();
    } catch (error) {
      // A wait may end for a reason of the network; the job goes on and can be waited for again. Nothing else may be thrown.
      if (!isComfyRunpodError(error) || error.policy.blame === 'caller') throw error;
    }
  }
}

it('200 jobs with faults everywhere: each ends once and truthfully, no file is left, no handle is open', {
  timeout: 240_000,
}, async () => {
  const before = openHandles();
  const stack = await startWholeStack({
    workers: 2,
    endpoint: { leaseMs: 4_000, pingIntervalMs: 1_000, takeHoldMs: 3_000, stopHoldMs: 2_000 },
    platformFaults,
    comfyFaults,
  });
  const lies: string[] = [];
  try {
    let next = 0;
    const lane = async () => {
      for (let index = next++; index < jobCount; index = next++) {
        const job = await mixedJob(index);
        const lie = await job.untruth(await runOne(stack, job));
        if (lie !== undefined) lies.push(`job ${index} (${job.kind}) ${lie}`);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    expect(lies).toEqual([]);

    // RunPod's own view: every job is over, none twice.
    const jobs = stack.emulator.inspect.jobs();
    expect(jobs.length).toBe(jobCount);
    expect(jobs.filter((job) => !['COMPLETED', 'FAILED', 'CANCELLED'].includes(job.status))).toEqual([]);

    await stack.drain();
    for (const comfy of stack.comfy) {
      for (const folder of [comfy.directories.input, comfy.directories.output, comfy.directories.temp]) {
        expect(await filesBelow(folder)).toEqual([]);
      }
      expect(comfy.inspect.queue()).toEqual({ running: [], pending: [] });
      expect(comfy.inspect.history()).toEqual([]);
    }
    // The faults were really there.
    expect(stack.emulator.faults.hits().length).toBeGreaterThan(100);
    // Nothing of what the jobs carried is in the workers' log.
    expect(stack.log.join('\n')).not.toMatch(/broken \d|no picture|content of|iVBORw0KGgo/);
  } finally {
    await stack.close();
  }
  await expect.poll(openHandles, { timeout: 5_000 }).toEqual(before);
});
