// The worker as it is composed for production: where held pictures lie, that no other job's wipe takes them, and that its end does.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../sandbox/comfyui/index.ts';
import { type ResultEnvelope, resultEnvelopeSchema } from '../../shared/index.ts';
import { createRunner } from '../../worker/compose.ts';
import { readWorkerConfig } from '../../worker/config.ts';
import type { JobRunner } from '../../worker/types.ts';
import { emptyPicture, loadedPicture, readBody, tinyPng } from '../support/driver-bench.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const bytes = Buffer.from(tinyPng, 'base64');
const sha256 = createHash('sha256').update(bytes).digest('hex');
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function start(): Promise<{ standIn: ComfyStandIn; worker: Awaited<ReturnType<typeof createRunner>> }> {
  const standIn = await startComfyStandIn();
  opened.push(standIn);
  const { input, output, temp } = standIn.directories;
  const config = readWorkerConfig({
    COMFY_URL: standIn.url,
    COMFY_INPUT_DIR: input,
    COMFY_OUTPUT_DIR: output,
    COMFY_TEMP_DIR: temp,
  });
  const worker = await createRunner(config, silent, new AbortController().signal);
  opened.push(worker);
  return { standIn, worker };
}

async function run(runner: JobRunner, input: object): Promise<ResultEnvelope> {
  const outcome = await runner.run(
    { id: 'job-1', input: { contract: 1, ...input } },
    { signal: AbortSignal.timeout(20_000), resultLimitBytes: 10_000_000, onProgress: () => undefined },
  );
  if (outcome.kind !== 'completed') throw new Error(outcome.kind === 'failed' ? outcome.error.message : outcome.kind);
  return resultEnvelopeSchema.parse(JSON.parse(await readBody(outcome.output)));
}

it('holds a picture in a folder of its own beside the jobs that come and go, and wipes it when it ends', async () => {
  const { standIn, worker } = await start();
  const workflow = loadedPicture('cat.png');
  const files = [{ name: 'cat.png', data: tinyPng }];
  const first = await run(worker.runner, { workflow, files, hold: { seconds: 600 } });
  expect(first.receipt.wipe).toMatchObject({ mode: 'wiped', held: 1, kept: [], verified: true });

  await run(worker.runner, { workflow: emptyPicture() });
  await run(worker.runner, { workflow, files });
  const again = await run(worker.runner, { workflow, files: [{ name: 'cat.png', sha256, held: true }] });
  expect(again.artifacts[0]?.sha256).toBe(first.artifacts[0]?.sha256);
  expect(again.receipt.bytes.in).toBe(bytes.length);

  const inputs = () =>
    readdirSync(standIn.directories.input, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.startsWith(sha256.slice(0, 32)))
      .map((entry) => path.join(entry.parentPath, entry.name));
  const [held] = inputs();
  expect(inputs()).toHaveLength(1);
  const open = openSync(held ?? '', 'r');
  await worker.close();
  const after = Buffer.alloc(bytes.length, 1);
  expect(readSync(open, after, 0, after.length, 0)).toBe(bytes.length);
  closeSync(open);
  expect(after.every((byte) => byte === 0)).toBe(true);
  expect(inputs()).toEqual([]);
});
