/** The measurements of the benchmark that are about time, one function a figure. Memory and large results: measure-large.ts. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { saveArtifacts } from '../../client/index.ts';
import type { JobInputWire } from '../../shared/index.ts';
import {
  clientOf,
  growingJob,
  noisePicture,
  renewed,
  repeatingJob,
  runSync,
  slowJob,
  succeed,
  waitFor,
} from './jobs.ts';
import { type Row, spread } from './report.ts';
import type { BenchStack } from './stack.ts';

/** Runs before those that count: code gets compiled, connections are opened. */
const warmUps = 5;

/** Process start to the first job-take that reaches the emulator. */
export async function measureStartUp(stack: BenchStack, runs: number): Promise<Row> {
  const times: number[] = [];
  // The first start fills the cache of compiled code, as the build of the image does.
  for (let run = -1; run < runs; run++) {
    const before = stack.emulator.inspect.requestsSeen('job-take').length;
    const start = performance.now();
    await using _worker = stack.startWorker(`start-${run}`, { RUNPOD_LOG_LEVEL: 'info' });
    await waitFor('the first job-take', () => stack.emulator.inspect.requestsSeen('job-take').length > before);
    if (run >= 0) times.push(performance.now() - start);
  }
  return {
    figure: 'worker process start -> first job asked for',
    ours: spread(times),
    budget: '<= 250',
    rivals: '1600 (official SDK)',
  };
}

/** When the emulator handed the job of this worker out, and when the last byte of its result was there; milliseconds. */
function timesOfLastJob(stack: BenchStack, since: number): { readonly taken: number; readonly posted: number } {
  const changes = stack.events.slice(since).flatMap(({ ms, event }) => (event.type === 'job' ? [{ ms, event }] : []));
  const taken = changes.find(({ event }) => event.to === 'IN_PROGRESS');
  const done = changes.find(({ event }) => event.to === 'COMPLETED');
  const jobId = done?.event.jobId;
  const posts = stack.emulator.inspect.requestsSeen('job-done').filter((seen) => seen.jobId === jobId);
  // Before the emulator parses it: what RunPod does with a result is not the worker's.
  const posted = (posts.at(-1)?.bodyReadAt ?? Number.NaN) - performance.timeOrigin;
  return { taken: taken?.ms ?? Number.NaN, posted };
}

interface Overhead {
  readonly times: number[];
  readonly bytes: number;
}

/** Job taken to result posted, less the time that ComfyUI itself was busy. */
async function overheads(stack: BenchStack, runs: number, make: (mark: string) => JobInputWire): Promise<Overhead> {
  let bytes = 0;
  const times: number[] = [];
  for (let index = -warmUps; index < runs; index++) {
    const firstEvent = stack.events.length;
    const firstStretch = stack.queue.stretches.length;
    bytes = await runSync(stack, make(`${performance.now()}`));
    await waitFor("ComfyUI's end of the run", () => stack.queue.stretches.length > firstStretch);
    const { taken, posted } = timesOfLastJob(stack, firstEvent);
    const stretch = stack.queue.stretches[firstStretch];
    const busy = (stretch?.to ?? Number.NaN) - (stretch?.from ?? Number.NaN);
    if (index >= 0) times.push(posted - taken - busy);
  }
  return { times, bytes };
}

/** Overhead of a job whose result is one file of about `megabytes`. */
export async function measureOverhead(stack: BenchStack, megabytes: 1 | 10, runs: number): Promise<Row> {
  await using _worker = stack.startWorker(`overhead-${megabytes}`);
  // Upscaled noise compresses a little; 12 makes up for it.
  const picture = await noisePicture(megabytes * 100_000);
  const { times, bytes } = await overheads(stack, runs, (mark) => growingJob(renewed(picture, mark), 12));
  return {
    figure: `job taken -> posted overhead, ${(bytes / 1e6).toFixed(1)} MB out`,
    ours: spread(times),
    budget: stack.onTop(megabytes === 1 ? 15 : 40, (bytes / 3) * 4),
    ...stack.rivals(megabytes === 1 ? '85-106 (official), 285 (dimhara)' : '235-600'),
  };
}

/** Overhead of a job whose result of 1 MB is many files. */
export async function measureArtifacts(stack: BenchStack, count: number, runs: number): Promise<Row> {
  await using _worker = stack.startWorker(`artifacts-${count}`);
  const picture = await noisePicture(1_000_000 / count);
  const { times, bytes } = await overheads(stack, runs, (mark) => repeatingJob(renewed(picture, mark), count));
  return {
    figure: `same, ${(bytes / 1e6).toFixed(1)} MB in ${count} artifact${count === 1 ? '' : 's'}`,
    ours: spread(times),
    budget: 'none set',
    ...stack.rivals('not recorded'),
  };
}

/** Time that ComfyUI sits idle between two queued jobs, with the next one staged ahead or not. */
export async function measureGaps(stack: BenchStack, runs: number, prefetch: 'auto' | '0'): Promise<Row> {
  await using _worker = stack.startWorker(`gaps-${prefetch}`, { PREFETCH: prefetch });
  await using client = clientOf(stack);
  const picture = await noisePicture(100_000);
  const own = (name: string) => slowJob(renewed(picture, `${name}-${prefetch}-${performance.now()}`));
  // Enough for a worker that judges by recent runs.
  for (let index = 0; index < warmUps; index++) await succeed(await client.submit(own(`warm-up-${index}`)));
  const first = stack.queue.gaps.length + 1;
  const jobs = await Promise.all(Array.from({ length: runs + 1 }, (_, index) => client.submit(own(`gap-${index}`))));
  await Promise.all(jobs.map(succeed));
  await waitFor('every gap', () => stack.queue.gaps.length >= first + runs);
  const ahead = prefetch === 'auto';
  return {
    figure: `GPU idle between queued jobs, ${ahead ? 'next one staged ahead' : 'PREFETCH=0'}`,
    ours: spread(stack.queue.gaps.slice(first)),
    // Without staging ahead the next job is asked for when ComfyUI is free: that is a round trip.
    budget: ahead ? '<= 5' : stack.onTop(20, 0),
    ...stack.rivals('970'),
  };
}

/** Job completed at RunPod to its file on the caller's disk. */
export async function measureSaving(stack: BenchStack, runs: number): Promise<Row> {
  await using _worker = stack.startWorker('saving');
  await using client = clientOf(stack);
  const folder = await mkdtemp(join(tmpdir(), 'comfy-runpod-bench-'));
  try {
    const picture = await noisePicture(100_000);
    const times: number[] = [];
    for (let index = -warmUps; index < runs; index++) {
      const firstEvent = stack.events.length;
      const job = await client.submit(growingJob(renewed(picture, `${performance.now()}`), 12));
      const { envelope } = await succeed(job);
      await saveArtifacts(envelope.artifacts, { folder });
      const saved = performance.now();
      const completed = stack.events
        .slice(firstEvent)
        .find(({ event }) => event.type === 'job' && event.to === 'COMPLETED');
      if (index >= 0) times.push(saved - (completed?.ms ?? Number.NaN));
    }
    return {
      figure: "job completed -> file on the caller's disk, 0.9 MB",
      ours: spread(times),
      budget: stack.onTop(50, 0),
      ...stack.rivals('1000-3000 (poll)'),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
