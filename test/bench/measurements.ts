/** The measurements of the benchmark, one function a figure. */
import { readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import sharp from 'sharp';
import { request } from 'undici';
import { createClient, type JobHandle } from '../../client/index.ts';
import { delay, type JobInputWire } from '../../shared/index.ts';
import { type Row, spread } from './report.ts';
import type { BenchStack } from './stack.ts';

/** A PNG that does not compress, of about `bytes` bytes. */
async function noisePicture(bytes: number): Promise<Uint8Array> {
  const side = Math.round(Math.sqrt(bytes / 3));
  const pixels = Buffer.alloc(side * side * 3);
  let state = 1;
  for (let i = 0; i < pixels.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pixels[i] = state >>> 24;
  }
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

function jobWith(picture: Uint8Array, prefix: string): JobInputWire {
  return {
    workflow: {
      '1': { class_type: 'LoadImage', inputs: { image: 'noise.png' } },
      '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: prefix } },
    },
    files: [{ name: 'noise.png', data: Buffer.from(picture).toString('base64') }],
  };
}

function clientOf(stack: BenchStack) {
  const environment = stack.emulator.clientEnvironment({ endpointId: 'ep1' });
  return createClient({
    apiKey: environment['RUNPOD_API_KEY'] ?? '',
    endpointId: environment['RUNPOD_ENDPOINT_ID'] ?? '',
    baseUrl: environment['RUNPOD_BASE_URL'] ?? '',
  });
}

async function succeed(job: JobHandle): Promise<void> {
  const result = await job.wait();
  if (result.kind !== 'succeeded') throw new Error(`a job of the benchmark ended as ${result.kind}`);
}

/** A small picture that becomes one of about `factor` times its bytes: the size of what comes back is measured, not of what goes in. */
function growingJob(picture: Uint8Array, factor: number): JobInputWire {
  const job = jobWith(picture, 'bench');
  const grow = { image: ['1', 0], upscale_method: 'bicubic', scale_by: Math.sqrt(factor) };
  return {
    ...job,
    // Without it the job would be answered in the words of another worker's caller.
    contract: 1,
    workflow: {
      ...job.workflow,
      '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'bench' } },
      '3': { class_type: 'ImageScaleBy', inputs: grow },
    },
  };
}

/** Runs one job over `/runsync` and answers how many bytes came back. `/runsync`, because its bodies and results may be twice as large as those of `/run`. */
async function runSync(stack: BenchStack, input: JobInputWire): Promise<number> {
  const answer = await request(`${stack.emulator.endpointUrl('ep1')}/runsync?wait=120000`, {
    method: 'POST',
    headers: { authorization: 'Bearer sandbox', 'content-type': 'application/json' },
    body: JSON.stringify({ input }),
    headersTimeout: 130_000,
  });
  const view = (await answer.body.json()) as {
    status: string;
    error?: string;
    output?: { artifacts: { size: number }[] };
  };
  if (view.status !== 'COMPLETED') throw new Error(`a job of the benchmark ended as ${view.status}: ${view.error}`);
  return view.output?.artifacts.reduce((sum, artifact) => sum + artifact.size, 0) ?? 0;
}

async function waitFor(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await delay(1);
  }
}

/** Process start to the first job-take that reaches the emulator. */
export async function measureStartUp(stack: BenchStack, runs: number): Promise<Row> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const before = stack.emulator.inspect.requestsSeen('job-take').length;
    const start = performance.now();
    await using _worker = stack.startWorker(`start-${run}`);
    await waitFor('the first job-take', () => stack.emulator.inspect.requestsSeen('job-take').length > before);
    times.push(performance.now() - start);
  }
  return {
    figure: 'worker process start -> first job asked for',
    ours: spread(times),
    budget: '<= 250',
    rivals: '1600 (official SDK)',
  };
}

function memory(pid: number | undefined, field: 'VmRSS' | 'VmHWM'): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${field}:`));
  return Number(/\d+/.exec(line ?? '')?.[0]) / 1024;
}

/** Job taken to result posted, less the time that ComfyUI itself was busy; and the worker's peak memory above idle. */
export async function measureOverhead(stack: BenchStack, bytes: number, runs: number): Promise<Row[]> {
  await using worker = stack.startWorker(`overhead-${bytes}`);
  // Upscaled noise compresses a little; 12 makes up for it.
  const picture = await noisePicture(bytes / 10);
  let measured = 0;
  const run = async (index: number): Promise<number> => {
    // Each picture of its own, so that ComfyUI's cache has no part in it.
    const own = Buffer.concat([picture, Buffer.from(`${bytes}-${index}`)]);
    const firstEvent = stack.events.length;
    const firstStretch = stack.queue.stretches.length;
    measured = await runSync(stack, growingJob(own, 12));
    await waitFor("ComfyUI's end of the run", () => stack.queue.stretches.length > firstStretch);
    const changes = stack.events.slice(firstEvent).filter((timed) => timed.event.type === 'job');
    const at = (to: string) =>
      changes.find((timed) => timed.event.type === 'job' && timed.event.to === to)?.ms ?? Number.NaN;
    const stretch = stack.queue.stretches[firstStretch];
    return at('COMPLETED') - at('IN_PROGRESS') - ((stretch?.to ?? Number.NaN) - (stretch?.from ?? Number.NaN));
  };
  for (let index = 0; index < 3; index++) await run(-1 - index);
  const idle = memory(worker.pid, 'VmRSS');
  writeFileSync(`/proc/${worker.pid}/clear_refs`, '5');
  const times: number[] = [];
  for (let index = 0; index < runs; index++) times.push(await run(index));
  const peak = memory(worker.pid, 'VmHWM') - idle;
  const megabytes = bytes / 1_000_000;
  const known =
    megabytes === 1
      ? { budget: '<= 15', rivals: '85-106 (official), 285 (dimhara)' }
      : { budget: '<= 40', rivals: '235-600' };
  return [
    {
      figure: `job taken -> posted overhead, ${(measured / 1_000_000).toFixed(1)} MB out`,
      ours: spread(times),
      ...known,
    },
    {
      figure: `peak memory above idle, ${(measured / 1_000_000).toFixed(1)} MB out`,
      ours: `${peak.toFixed(1)} MB (idle ${idle.toFixed(0)})`,
      budget: '<= 32 MB at 50 MB',
      rivals: '215 MB at 50 MB',
    },
  ];
}

/** A job that keeps ComfyUI busy for a few hundred milliseconds, as the shortest of real jobs do. */
function slowJobWith(picture: Uint8Array): JobInputWire {
  const job = jobWith(picture, 'gap');
  const scale = { upscale_method: 'lanczos', width: 768, height: 768, crop: 'disabled' };
  return {
    ...job,
    workflow: {
      ...job.workflow,
      '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'gap' } },
      '3': { class_type: 'ImageScale', inputs: { ...scale, image: ['1', 0] } },
    },
  };
}

/** Time that ComfyUI sits idle between two queued jobs, with the next one staged ahead or not. */
export async function measureGaps(stack: BenchStack, runs: number, prefetch: 'auto' | '0'): Promise<Row> {
  await using _worker = stack.startWorker(`gaps-${prefetch}`, { PREFETCH: prefetch });
  const client = clientOf(stack);
  const picture = await noisePicture(100_000);
  const own = (name: string) => slowJobWith(Buffer.concat([picture, Buffer.from(`${name}-${prefetch}`)]));
  // Enough for a worker that judges by recent runs.
  for (let index = 0; index < 3; index++) await succeed(await client.submit(own(`warm-up-${index}`)));
  const first = stack.queue.gaps.length + 1;
  const jobs = await Promise.all(Array.from({ length: runs + 1 }, (_, index) => client.submit(own(`gap-${index}`))));
  await Promise.all(jobs.map(succeed));
  await waitFor('every gap', () => stack.queue.gaps.length >= first + runs);
  const ahead = prefetch === 'auto';
  return {
    figure: `GPU idle between queued jobs, ${ahead ? 'next one staged ahead' : 'PREFETCH=0'}`,
    ours: spread(stack.queue.gaps.slice(first)),
    budget: ahead ? '<= 5' : '<= 20',
    rivals: '970',
  };
}
