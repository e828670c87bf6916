/** What large results cost: time, memory, and how long they hold up everything else. And the wipe, which is about bytes alone. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { wipeFile } from '../../worker/workspace/index.ts';
import { clientOf, growingJob, memory, noisePicture, patienceMs, renewed, succeed, waitFor } from './jobs.ts';
import { quantile, type Row, spread } from './report.ts';
import { type BenchStack, ramDisk } from './stack.ts';

/** As often as a worker may be told to beat. */
const pingMs = 1_000;

/** One result of about 50 MB after the other, over /stream to the client: overhead, peak memory, event-loop delay, lateness of the heartbeat. */
export async function measureLarge(stack: BenchStack, runs: number): Promise<Row[]> {
  await using worker = stack.startWorker('large', { RUNPOD_PING_INTERVAL: String(pingMs) }, { watchLoop: true });
  await using client = clientOf(stack);
  const picture = await noisePicture(5_000_000);
  const times: number[] = [];
  let bytes = 0;
  const run = async () => {
    const firstEvent = stack.events.length;
    const firstStretch = stack.queue.stretches.length;
    const { envelope } = await succeed(await client.submit(growingJob(renewed(picture, `${performance.now()}`), 12)));
    bytes = envelope.artifacts.reduce((sum, artifact) => sum + artifact.size, 0);
    await waitFor("ComfyUI's end of the run", () => stack.queue.stretches.length > firstStretch);
    const at = (to: string) =>
      stack.events.slice(firstEvent).find(({ event }) => event.type === 'job' && event.to === to)?.ms ?? Number.NaN;
    const stretch = stack.queue.stretches[firstStretch];
    times.push(at('COMPLETED') - at('IN_PROGRESS') - ((stretch?.to ?? Number.NaN) - (stretch?.from ?? Number.NaN)));
  };
  await run();
  times.length = 0;
  const idle = memory(worker.pid, 'VmRSS');
  writeFileSync(`/proc/${worker.pid}/clear_refs`, '5');
  worker.send('reset');
  const since = stack.emulator.inspect.requestsSeen('ping').at(-1)?.at ?? 0;
  for (let index = 0; index < runs; index++) await run();
  const peak = memory(worker.pid, 'VmHWM') - idle;
  const answer = once(worker, 'message', { signal: AbortSignal.timeout(patienceMs) });
  worker.send('read');
  const [{ maxMs }] = (await answer) as [{ maxMs: number }];
  const pings = stack.emulator.inspect.requestsSeen('ping').filter(({ at }) => at >= since);
  const late = Math.max(...pings.slice(1).map(({ at }, index) => at - (pings[index]?.at ?? at) - pingMs));
  const size = `${(bytes / 1e6).toFixed(1)} MB out`;
  return [
    {
      figure: `job taken -> posted overhead, ${size} (chunks)`,
      ours: spread(times),
      budget: stack.onTop(undefined, (bytes / 3) * 4),
      ...stack.rivals('result lost'),
    },
    {
      figure: `peak memory above idle, ${size}`,
      ours: `${peak.toFixed(1)} MB (idle ${idle.toFixed(0)})`,
      budget: '<= 32 MB',
      ...stack.rivals('215 MB'),
    },
    {
      figure: `longest event-loop delay, ${size}`,
      ours: maxMs.toFixed(1),
      budget: 'none set',
      ...stack.rivals('not recorded'),
    },
    {
      figure: `heartbeat late by at most, ${size}`,
      ours: `${late.toFixed(1)} (${pings.length} beats)`,
      budget: '<= 1000',
      ...stack.rivals('not recorded'),
    },
  ];
}

/** Peak memory of a worker that sends results of about 10 MB inside the answer. */
export async function measureInlineMemory(stack: BenchStack, runs: number): Promise<Row> {
  await using worker = stack.startWorker('inline-memory');
  await using client = clientOf(stack);
  const picture = await noisePicture(700_000);
  let bytes = 0;
  const run = async () => {
    const { envelope } = await succeed(await client.submit(growingJob(renewed(picture, `${performance.now()}`), 12)));
    bytes = envelope.artifacts.reduce((sum, artifact) => sum + artifact.size, 0);
  };
  for (let index = 0; index < 3; index++) await run();
  const idle = memory(worker.pid, 'VmRSS');
  writeFileSync(`/proc/${worker.pid}/clear_refs`, '5');
  for (let index = 0; index < runs; index++) await run();
  return {
    figure: `peak memory above idle, ${(bytes / 1e6).toFixed(1)} MB out (inline)`,
    ours: `${(memory(worker.pid, 'VmHWM') - idle).toFixed(1)} MB (idle ${idle.toFixed(0)})`,
    budget: '<= 32 MB',
    ...stack.rivals('not recorded'),
  };
}

/** How fast files are overwritten, read back and removed on the RAM disk, and what that takes in memory. */
export async function measureWipe(): Promise<Row> {
  const place = ramDisk();
  const { bavail, bsize } = await statfs(place);
  const megabytes = Math.min(512, Math.floor((bavail * bsize) / 4 / 2 ** 20));
  const folder = await mkdtemp(join(place, 'comfy-runpod-bench-'));
  try {
    const block = Buffer.alloc(2 ** 20, 'x');
    const rates: number[] = [];
    let grown = 0;
    for (let run = -1; run < 5; run++) {
      const file = join(folder, 'file');
      const handle = await open(file, 'w');
      for (let written = 0; written < megabytes; written++) await handle.write(block);
      await handle.close();
      const before = memory(process.pid, 'VmRSS');
      writeFileSync('/proc/self/clear_refs', '5');
      const start = performance.now();
      const { bytes } = await wipeFile(file, 0);
      if (run < 0) continue;
      rates.push(bytes / 1e6 / (performance.now() - start));
      grown = Math.max(grown, memory(process.pid, 'VmHWM') - before);
    }
    return {
      figure: `wipe of ${megabytes} MiB, read back, on ${place === '/dev/shm' ? 'the RAM disk' : 'disk'}`,
      ours: `${quantile(rates, 0.5).toFixed(1)} GB/s, +${grown.toFixed(1)} MB`,
      budget: '>= 1 GB/s, constant',
      rivals: 'not a wipe',
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
