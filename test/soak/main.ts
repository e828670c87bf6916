/**
 * `npm run soak -- --minutes 20`: thousands of mixed jobs with faults on everywhere, for a given time. Ends with the counts, and fails when a job
 * did not end truthfully, a file, handle or history entry is left, or memory grew.
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { delay } from '../../shared/index.ts';
import { comfyFaults, platformFaults } from '../support/faults-everywhere.ts';
import { mixedJob, runMixedJob, untruthOf } from '../support/mixed-jobs.ts';
import { filesBelow, openHandles, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '20' }, lanes: { type: 'string', default: '8' } },
});
const durationMs = Number(values.minutes) * 60_000;
const lanes = Number(values.lanes);
if (!(durationMs > 0) || !(lanes > 0)) throw new RangeError('--minutes and --lanes must be positive numbers');

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Live bytes of the whole process after a collection, in MB. */
function liveMegabytes(): number {
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return (heapUsed + external + arrayBuffers) / 1_000_000;
}

interface Tally {
  readonly ends: Map<string, number>;
  readonly lies: string[];
  jobs: number;
}

async function lane(stack: WholeStack, tally: Tally, endsAt: number): Promise<void> {
  while (performance.now() < endsAt) {
    const index = tally.jobs++;
    const job = await mixedJob(index);
    const result = await runMixedJob(stack.client, job);
    const lie = await untruthOf(stack.emulator, job, result);
    if (lie !== undefined) tally.lies.push(`job ${index} (${job.kind}) ${lie}`);
    const end = 'error' in result ? result.error.code : result.kind;
    tally.ends.set(end, (tally.ends.get(end) ?? 0) + 1);
  }
}

async function leftBehind(stack: WholeStack): Promise<string[]> {
  const left: string[] = [];
  for (const comfy of stack.comfy) {
    const { input, output, temp } = comfy.directories;
    for (const folder of [input, output, temp]) left.push(...(await filesBelow(folder)));
    left.push(...comfy.inspect.history().map((id) => `history ${id}`));
    left.push(...comfy.inspect.queue().running, ...comfy.inspect.queue().pending);
  }
  return left;
}

const handlesBefore = openHandles();
const stack = await startWholeStack({
  workers: 2,
  // Results must not pile up in the emulator: its memory is in the same process.
  endpoint: { leaseMs: 8_000, pingIntervalMs: 1_000, takeHoldMs: 3_000, stopHoldMs: 2_000, retentionRunMs: 30_000 },
  platformFaults,
  comfyFaults: () => comfyFaults(Math.ceil(durationMs / 20_000)),
  quiet: true,
});
const tally: Tally = { ends: new Map(), lies: [], jobs: 0 };
const samples: number[] = [];
const startedAt = performance.now();
const working = Promise.all(Array.from({ length: lanes }, () => lane(stack, tally, startedAt + durationMs)));
const sampling = new AbortController();
const sampler = (async () => {
  while (!sampling.signal.aborted) {
    await delay(Math.min(30_000, durationMs / 12), sampling.signal).catch(() => undefined);
    samples.push(liveMegabytes());
    process.stdout.write(
      `${Math.round((performance.now() - startedAt) / 1000)} s: ${tally.jobs} jobs, ${samples.at(-1)?.toFixed(0)} MB live\n`,
    );
  }
})();
await working;
sampling.abort();
await sampler;
const unfinished = stack.emulator.inspect
  .jobs()
  .filter((job) => !['COMPLETED', 'FAILED', 'CANCELLED'].includes(job.status));
await stack.drain();
const left = await leftBehind(stack);
const faults = stack.emulator.faults.total();
await stack.close();
for (let wait = 0; wait < 50 && JSON.stringify(openHandles()) !== JSON.stringify(handlesBefore); wait++)
  await delay(100);

// The first third warms caches up; after it the level must hold.
const third = Math.ceil(samples.length / 3);
const early = Math.max(...samples.slice(third, third * 2));
const late = Math.max(...samples.slice(third * 2));
const problems = [
  ...tally.lies,
  ...unfinished.map((job) => `unfinished: ${job.status}`),
  ...left.map((name) => `left behind: ${name}`),
  ...(late > early * 1.25 + 20 ? [`memory grew from ${early.toFixed(0)} to ${late.toFixed(0)} MB`] : []),
  ...(JSON.stringify(openHandles()) === JSON.stringify(handlesBefore)
    ? []
    : [`open handles: ${JSON.stringify(openHandles())}`]),
];
process.stdout.write(
  `${tally.jobs} jobs, ${faults} faults of the platform; ends: ${JSON.stringify(Object.fromEntries(tally.ends))}\n`,
);
process.stdout.write(problems.length === 0 ? 'soak passed\n' : `soak failed:\n${problems.slice(0, 50).join('\n')}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
