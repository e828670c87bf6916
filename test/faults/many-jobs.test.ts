/**
 * Two hundred jobs of mixed graphs through emulator, workers and ComfyUI stand-ins, with faults on everywhere. Every job ends in exactly one
 * truthful outcome; afterwards no file is left and no handle is open.
 */
import { expect, it } from 'vitest';
import { comfyFaults, platformFaults } from '../support/faults-everywhere.ts';
import { mixedJob, runMixedJob, untruthOf } from '../support/mixed-jobs.ts';
import { filesBelow, openHandles, startWholeStack } from '../support/whole-stack.ts';

const jobCount = 200;
const inFlight = 8;

it('200 jobs with faults everywhere: each ends once and truthfully, no file is left, no handle is open', {
  timeout: 240_000,
}, async () => {
  const before = openHandles();
  const stack = await startWholeStack({
    workers: 2,
    endpoint: { leaseMs: 8_000, pingIntervalMs: 1_000, takeHoldMs: 3_000, stopHoldMs: 2_000 },
    platformFaults,
    comfyFaults: () => comfyFaults(),
  });
  const lies: string[] = [];
  try {
    let next = 0;
    const lane = async () => {
      for (let index = next++; index < jobCount; index = next++) {
        const job = await mixedJob(index);
        const lie = await untruthOf(stack.emulator, job, await runMixedJob(stack.client, job));
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
