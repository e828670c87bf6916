/** The jobs that the benchmark sends, and how it runs them. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import sharp from 'sharp';
import { request } from 'undici';
import { type Client, createClient, type JobHandle, type JobResult } from '../../client/index.ts';
import { delay, type JobInputWire } from '../../shared/index.ts';
import type { BenchStack } from './stack.ts';

/** How long anything of one row may take: what hangs ends as a failed row. */
export const patienceMs = 60_000;

/** A PNG that does not compress, of about `bytes` bytes. */
export async function noisePicture(bytes: number): Promise<Uint8Array> {
  const side = Math.max(8, Math.round(Math.sqrt(bytes / 3)));
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

/** The picture under a name of its own content, so that ComfyUI's cache has no part in a run. */
export function renewed(picture: Uint8Array, mark: string): Uint8Array {
  return Buffer.concat([picture, Buffer.from(mark)]);
}

/** Nodes between the loader `1` and the saver `2`; `last` names the one that the saver reads. */
interface Between {
  readonly last: string;
  readonly nodes: JobInputWire['workflow'];
}

function jobWith(picture: Uint8Array, { last, nodes }: Between): JobInputWire {
  return {
    // Without it a job that does not come through our client would be answered in the words of another worker's caller.
    contract: 1,
    workflow: {
      '1': { class_type: 'LoadImage', inputs: { image: 'noise.png' } },
      '2': { class_type: 'SaveImage', inputs: { images: [last, 0], filename_prefix: 'bench' } },
      ...nodes,
    },
    files: [{ name: 'noise.png', data: Buffer.from(picture).toString('base64') }],
  };
}

/** A small picture that becomes one of about `factor` times its bytes: the size of what comes back is measured, not of what goes in. */
export function growingJob(picture: Uint8Array, factor: number): JobInputWire {
  const inputs = { image: ['1', 0], upscale_method: 'bicubic', scale_by: Math.sqrt(factor) };
  return jobWith(picture, { last: '3', nodes: { '3': { class_type: 'ImageScaleBy', inputs } } });
}

/** A picture that comes back `times` times, each in a file of its own. */
export function repeatingJob(picture: Uint8Array, times: number): JobInputWire {
  const inputs = { image: ['1', 0], amount: times };
  return jobWith(picture, { last: '3', nodes: { '3': { class_type: 'RepeatImageBatch', inputs } } });
}

/** A job that keeps ComfyUI busy for a few hundred milliseconds, as the shortest of real jobs do. */
export function slowJob(picture: Uint8Array): JobInputWire {
  const scale = { upscale_method: 'lanczos', width: 768, height: 768, crop: 'disabled' };
  const nodes = { '3': { class_type: 'ImageScale', inputs: { ...scale, image: ['1', 0] } } };
  return jobWith(picture, { last: '3', nodes });
}

/** A client of the stack's endpoint, over the stack's line. */
export function clientOf(stack: BenchStack): Client {
  const environment = stack.emulator.clientEnvironment({ endpointId: 'ep1' });
  return createClient({
    apiKey: environment['RUNPOD_API_KEY'] ?? '',
    endpointId: 'ep1',
    baseUrl: stack.clientUrl,
    maxPollDurationMs: patienceMs,
  });
}

/** Waits for a job, which must succeed. */
export async function succeed(job: JobHandle): Promise<JobResult & { kind: 'succeeded' }> {
  const result = await job.wait();
  if (result.kind !== 'succeeded') throw new Error(`a job ended as ${result.kind}`);
  return result;
}

/** Runs one job over `/runsync` and answers how many bytes came back. `/runsync`, because its bodies and results may be twice as large as those of `/run`. */
export async function runSync(stack: BenchStack, input: JobInputWire): Promise<number> {
  const answer = await request(`${stack.emulator.endpointUrl('ep1')}/runsync?wait=${patienceMs}`, {
    method: 'POST',
    headers: { authorization: 'Bearer sandbox', 'content-type': 'application/json' },
    body: JSON.stringify({ input }),
    headersTimeout: patienceMs + 10_000,
  });
  const view = (await answer.body.json()) as {
    status: string;
    error?: string;
    output?: { artifacts: { size: number }[] };
  };
  if (view.status !== 'COMPLETED') throw new Error(`a job ended as ${view.status}: ${view.error}`);
  return view.output?.artifacts.reduce((sum, artifact) => sum + artifact.size, 0) ?? 0;
}

/** Waits until something holds, looking every millisecond. */
export async function waitFor(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await delay(1);
  }
}

/** Resident memory of a process now (`VmRSS`) or at its peak (`VmHWM`), MB. */
export function memory(pid: number | undefined, field: 'VmRSS' | 'VmHWM'): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${field}:`));
  return Number(/\d+/.exec(line ?? '')?.[0]) / 1024;
}
