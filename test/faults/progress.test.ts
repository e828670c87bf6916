/** Progress means something: phases in order, a share that only grows, time left when it is known, pictures when asked for. */
import { createServer } from 'node:http';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type ProgressEvent, progressEventSchema } from '../../shared/index.ts';
import { ComfyHttp } from '../../worker/comfy/http.ts';
import { readGpuMemory } from '../../worker/comfy/server-info.ts';
import { completed, pictureThrough, startDriverBench } from '../support/driver-bench.ts';
import { afterThisTest, until } from '../support/runpod-emulator.ts';
import { startWorkerBench } from '../support/worker-bench.ts';

let label = 0;

/** A sleeping node between two quick ones, new to ComfyUI's cache every time. */
function sleeping(steps: number, stepMs: number, inputs: Record<string, unknown> = {}) {
  label += 1;
  return pictureThrough('SandboxSleep', { steps, step_ms: stepMs, label: String(label), ...inputs });
}

function running(events: readonly ProgressEvent[]): ProgressEvent[] {
  return events.filter((event) => event.phase === 'running');
}

describe('time left', () => {
  it('is not told while a node is unknown, and once every node has run before it falls towards zero', async () => {
    const bench = await startDriverBench();
    const first = await bench.run({ contract: 1, workflow: sleeping(10, 40) });
    expect(running(first.events).filter((event) => event.node?.id === '1' && event.remainingMs !== undefined)).toEqual(
      [],
    );
    const second = await bench.run({ contract: 1, workflow: sleeping(10, 40) });
    const left = running(second.events).flatMap(({ remainingMs }) => (remainingMs === undefined ? [] : [remainingMs]));
    expect(left.length).toBeGreaterThan(5);
    // The sleep takes 400 ms, most of the run.
    expect(Math.max(...left)).toBeLessThan(2_000);
    expect(left.at(-1)).toBeLessThan(Math.max(...left) / 2);
    for (const event of [...first.events, ...second.events]) expect(progressEventSchema.parse(event)).toEqual(event);
  });

  it('weighs nodes by what they took before: the long one is most of the bar, and the bar never falls', async () => {
    const bench = await startDriverBench();
    await bench.run({ contract: 1, workflow: sleeping(10, 40) });
    const { events } = await bench.run({ contract: 1, workflow: sleeping(10, 40) });
    const shares = events.flatMap(({ fraction }) => (fraction === undefined ? [] : [fraction]));
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    // By counting nodes the middle of the second of three would be at half; before its first step at a third.
    const begins = running(events).find((event) => event.node?.id === '5');
    expect(begins?.fraction).toBeLessThan(0.25);
    const ends = events.find((event) => event.step?.value === 9);
    expect(ends?.fraction).toBeGreaterThan(0.7);
    expect(shares.at(-1)).toBe(1);
  });
});

describe('previews', () => {
  it('come with the progress of a job that asks for them: small pictures, at most one in two seconds', async () => {
    const bench = await startDriverBench();
    const { events } = await bench.run({ contract: 1, workflow: sleeping(90, 30, { previews: true }), previews: true });
    const pictures = events.filter((event) => event.preview !== undefined);
    expect(pictures.length).toBeGreaterThanOrEqual(2);
    for (const [index, event] of pictures.entries()) {
      const bytes = Buffer.from(event.preview?.data ?? '', 'base64');
      expect(event.preview?.data.length).toBeLessThanOrEqual(64 * 1024);
      expect((await sharp(bytes).metadata()).format).toBe('jpeg');
      expect(event.preview?.contentType).toBe('image/jpeg');
      const before = pictures[index - 1];
      if (before) expect(event.elapsedMs - before.elapsedMs).toBeGreaterThan(1_900);
    }
    expect(bench.proxy.prompts()[0]?.['extra_data']).toEqual({ preview_method: 'auto' });
  });

  it('stay away from a job that does not ask', async () => {
    const bench = await startDriverBench();
    const { events } = await bench.run({ contract: 1, workflow: sleeping(5, 10, { previews: true }) });
    expect(events.filter((event) => event.preview !== undefined)).toEqual([]);
  });

  it('a picture is not lost when newer events overtake it on their way to RunPod', async () => {
    const bench = await startWorkerBench({ timings: { progressIntervalMs: 300 } });
    bench.start();
    const id = await bench.run({ do: 'hold' });
    await until(() => bench.runner.held().includes(id));
    const context = bench.runner.contexts.get(id);
    const event = (sequence: number): ProgressEvent => ({
      kind: 'comfy-runpod/progress',
      contract: 1,
      sequence,
      phase: 'running',
      elapsedMs: sequence,
    });
    context?.onProgress(event(0));
    context?.onProgress({ ...event(1), preview: { contentType: 'image/png', data: 'AAAA' } });
    context?.onProgress(event(2));
    await until(() => bench.progress(id).length === 2);
    expect(JSON.parse(bench.progress(id)[1]?.body ?? '{}')).toMatchObject({
      output: { sequence: 2, preview: { data: 'AAAA' } },
    });
    bench.runner.release();
    await bench.ended(id);
  });
});

describe('the receipt', () => {
  it('tells the time of every phase and node, and they add up', async () => {
    const bench = await startDriverBench();
    const { receipt } = completed(await bench.run({ contract: 1, workflow: sleeping(5, 20) }));
    const { timings } = receipt;
    expect(Object.keys(timings).toSorted()).toEqual([
      'bootMs',
      'collectMs',
      'encodeMs',
      'queueMs',
      'runMs',
      'stageMs',
      'takenMs',
      'totalMs',
      'wipeMs',
    ]);
    expect(timings.runMs).toBeGreaterThanOrEqual(100);
    const { totalMs, queueMs: _queue, encodeMs, ...phases } = timings;
    expect(encodeMs).toBeLessThanOrEqual(timings.collectMs + 1);
    const sum = Object.values(phases).reduce<number>((total, ms) => total + (ms ?? 0), 0);
    expect(sum).toBeLessThanOrEqual(totalMs + Object.keys(phases).length);
    expect(receipt.nodes.map(({ node }) => node).toSorted()).toEqual(['1', '5', '9']);
    // The stand-in has no GPU.
    expect(receipt.vram).toBeUndefined();
  });

  it('tells what of the GPU memory was in use, when there is a GPU', async () => {
    const stats = { system: {}, devices: [{ type: 'cuda', vram_total: 24e9, vram_free: 9e9 }] };
    const server = createServer((_request, answer) => answer.end(JSON.stringify(stats)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const http = new ComfyHttp(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`, 1_000);
    afterThisTest(async () => {
      await http.close();
      await new Promise((resolve) => server.close(resolve));
    });
    expect(await readGpuMemory(http, AbortSignal.timeout(2_000))).toEqual({ totalBytes: 24e9, freeBytes: 9e9 });
  });
});
