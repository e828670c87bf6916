// SaveImageWebsocket sends its pictures over ComfyUI's socket and writes no file: they come back like the others, or the job says that
// they did not. On the stand-in, and on a real ComfyUI when COMFY_URL names one.
import { afterEach, expect, it } from 'vitest';
import { type ResultEnvelope, resultEnvelopeSchema } from '../../shared/index.ts';
import { connectComfy } from '../../worker/comfy/index.ts';
import { createJobRunner } from '../../worker/job/index.ts';
import { createRemoteWorkspace } from '../../worker/workspace/index.ts';
import { readPixels } from '../support/compare-pictures.ts';
import { completed, failureOf, readBody, recordingLogger, startDriverBench } from '../support/driver-bench.ts';
import { inlineData } from '../support/inline-data.ts';
import { afterThisTest } from '../support/runpod-emulator.ts';
import { startWholeStack, type WholeStack } from '../support/whole-stack.ts';

let stack: WholeStack | undefined;

afterEach(async () => {
  await stack?.close();
  stack = undefined;
});

/** Two pictures over the socket (node 2), and one more into a file (node 3) when asked for. */
const graph = (extra: object = {}) => ({
  '1': { class_type: 'EmptyImage', inputs: { width: 24, height: 16, batch_size: 2, color: 0x336699 } },
  '2': { class_type: 'SaveImageWebsocket', inputs: { images: ['1', 0] } },
  ...extra,
});
const saved = { '3': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'file' } } };

async function expectPictures({ artifacts, receipt }: ResultEnvelope): Promise<void> {
  expect(artifacts.map(({ node, classType, name, contentType }) => [node, classType, name, contentType])).toEqual([
    ['2', 'SaveImageWebsocket', 'websocket_00001_.png', 'image/png'],
    ['2', 'SaveImageWebsocket', 'websocket_00002_.png', 'image/png'],
  ]);
  for (const artifact of artifacts) {
    const pixels = await readPixels(Buffer.from(inlineData(artifact), 'base64'));
    expect([pixels.width, pixels.height, ...pixels.data.subarray(0, 3)]).toEqual([24, 16, 0x33, 0x66, 0x99]);
  }
  expect(receipt.warnings).toBeUndefined();
}

it('pictures that a node sends over the socket come back as its outputs, also when the same graph runs again', async () => {
  const bench = await startDriverBench();
  await expectPictures(completed(await bench.run({ workflow: graph() })));
  await expectPictures(completed(await bench.run({ workflow: graph() })));
  const both = completed(await bench.run({ workflow: graph(saved) }));
  expect(both.artifacts.map(({ node }) => node)).toEqual(['2', '2', '3', '3']);
  const chosen = completed(await bench.run({ workflow: graph(saved), outputs: { nodes: ['3'] } }));
  expect(chosen.artifacts.map(({ node }) => node)).toEqual(['3', '3']);
});

it('they are no previews, and travel through RunPod to the client in the format that the job asks for', async () => {
  stack = await startWholeStack({ workers: 1 });
  const previews: unknown[] = [];
  const job = await stack.client.submit({ workflow: graph(), previews: true, output: { format: 'webp' } });
  for await (const event of job.events()) if (event.type === 'progress') previews.push(event.progress.preview);
  const result = await job.wait();
  if (result.kind !== 'succeeded') throw new Error(result.kind);
  expect(result.envelope.artifacts.map(({ contentType }) => contentType)).toEqual(['image/webp', 'image/webp']);
  expect(previews.filter((preview) => preview !== undefined)).toEqual([]);
});

it('a socket that is not there makes them missing, told as such after one more try, and harms no file beside them', async () => {
  const bench = await startDriverBench({ sockets: false });
  const error = failureOf(await bench.run({ workflow: graph() }));
  expect(error).toMatchObject({ code: 'OUTPUT_MISSING', nextStep: expect.stringContaining('SaveImage') as string });
  expect(bench.proxy.prompts()).toHaveLength(2);
  const chosen = completed(await bench.run({ workflow: graph(saved), outputs: { nodes: ['3'] } }));
  expect(chosen.artifacts).toHaveLength(2);
});

it('a socket that breaks while they are sent costs one more run, not the result', async () => {
  const bench = await startDriverBench();
  bench.standIn.faults.arm({ kind: 'lost-socket', at: 'executing' });
  const envelope = completed(await bench.run({ workflow: graph() }));
  await expectPictures(envelope);
  expect(envelope.receipt.retries).toBeGreaterThan(0);
});

const { COMFY_URL: url } = process.env;

it.skipIf(url === undefined)(
  url === undefined ? 'from a real ComfyUI (skipped: COMFY_URL is not set)' : 'they come from a real ComfyUI as well',
  async () => {
    const logger = recordingLogger();
    const comfy = connectComfy({ source: { kind: 'attach', url: url ?? '' }, logger, startTimeoutMs: 10_000 });
    afterThisTest(() => comfy.close());
    const runner = createJobRunner({ comfy, workspace: createRemoteWorkspace(comfy), logger, workerId: 'worker-1' });
    const outcome = await runner.run(
      { id: 'job-1', input: { contract: 1, workflow: graph() } },
      { signal: AbortSignal.timeout(30_000), resultLimitBytes: 10_000_000, onProgress: () => undefined },
    );
    if (outcome.kind !== 'completed') throw new Error(JSON.stringify(outcome));
    await expectPictures(resultEnvelopeSchema.parse(JSON.parse(await readBody(outcome.output))));
  },
);
