// Golden graphs through the job runner on a real ComfyUI, when there is one: COMFY_URL names it, COMFY_INPUT_DIR, COMFY_OUTPUT_DIR and
// COMFY_TEMP_DIR its folders when they are on this disk. Every graph runs twice: the second run meets ComfyUI's cache and wiped files.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ResultEnvelope, resultEnvelopeSchema } from '../../../shared/index.ts';
import { type ComfyConnection, connectComfy } from '../../../worker/comfy/index.ts';
import { createJobRunner } from '../../../worker/job/index.ts';
import type { JobOutcome, JobRunner } from '../../../worker/types.ts';
import { createRemoteWorkspace, createSharedWorkspace, type Workspace } from '../../../worker/workspace/index.ts';
import { pictureDifference, readPixels } from '../../support/compare-pictures.ts';
import { readBody, recordingLogger } from '../../support/driver-bench.ts';
import { inlineData } from '../../support/inline-data.ts';

const goldens = join(import.meta.dirname, '../../fixtures/comfyui/goldens');
const { COMFY_URL: url, COMFY_INPUT_DIR: input, COMFY_OUTPUT_DIR: output, COMFY_TEMP_DIR: temp } = process.env;
const title = url === undefined ? 'a real ComfyUI (skipped: COMFY_URL is not set)' : 'a real ComfyUI';

const { cases } = z
  .object({
    cases: z.array(
      z.object({
        name: z.string(),
        graph: z.record(z.string(), z.object({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) })),
        outputs: z.array(z.object({ filename: z.string(), subfolder: z.string(), type: z.string(), file: z.string() })),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(goldens, 'index.json'), 'utf8')));

/** Filters may differ a little from torch version to torch version. */
const largestMeanDifference = 1;

describe.skipIf(url === undefined)(title, () => {
  let comfy: ComfyConnection;
  let workspace: Workspace;
  let runner: JobRunner;
  const isShared = input !== undefined && output !== undefined && temp !== undefined;

  beforeAll(async () => {
    const logger = recordingLogger();
    comfy = connectComfy({ source: { kind: 'attach', url: url ?? '' }, logger, startTimeoutMs: 10_000 });
    workspace = isShared ? createSharedWorkspace({ input, output, temp }) : createRemoteWorkspace(comfy);
    await workspace.prepare();
    runner = createJobRunner({ comfy, workspace, logger, workerId: 'conformance' });
  });

  afterAll(async () => {
    await workspace?.close();
    await comfy?.close();
  });

  function run(
    job: object,
    options: { signal?: AbortSignal; onNode?: (id: string) => void } = {},
  ): Promise<JobOutcome> {
    return runner.run(
      { id: 'conformance', input: { contract: 1, ...job } },
      {
        signal: options.signal ?? AbortSignal.timeout(60_000),
        resultLimitBytes: 20 * 1024 * 1024,
        onProgress: ({ node }) => node && options.onNode?.(node.id),
      },
    );
  }

  async function envelopeOf(outcome: JobOutcome): Promise<ResultEnvelope> {
    if (outcome.kind !== 'completed')
      throw new Error(JSON.stringify(outcome.kind === 'failed' && outcome.error.message));
    return resultEnvelopeSchema.parse(JSON.parse(await readBody(outcome.output)));
  }

  function previews(): string[] {
    return isShared && existsSync(temp) ? readdirSync(temp) : [];
  }

  function leftovers(): string[] {
    if (!isShared) return [];
    return [input, output]
      .flatMap((folder) => readdirSync(folder))
      .filter((name) => name.startsWith(`cr-${process.pid}-`));
  }

  it.each(cases.map((one) => [one.name, one] as const))(
    'makes the golden pictures of %s, twice',
    async (_name, one) => {
      const text = JSON.stringify(one.graph);
      const names = readdirSync(join(goldens, 'inputs')).filter((name) => text.includes(`"${name}"`));
      const files = names.map((name) => ({
        name,
        data: readFileSync(join(goldens, 'inputs', name)).toString('base64'),
      }));
      for (let i = 0; i < 2; i++) {
        const { artifacts, receipt } = await envelopeOf(await run({ workflow: one.graph, files }));
        expect(receipt.retries).toBe(0);
        expect(receipt.wipe).toMatchObject(isShared ? { mode: 'wiped', kept: [] } : { mode: 'remote' });
        expect(artifacts.map(({ name, subfolder, type }) => ({ filename: name, subfolder, type }))).toEqual(
          one.outputs.map(({ filename, subfolder, type }) => ({ filename, subfolder, type })),
        );
        for (const [index, artifact] of artifacts.entries()) {
          const actual = await readPixels(Buffer.from(inlineData(artifact), 'base64'));
          const expected = await readPixels(join(goldens, one.outputs[index]?.file ?? ''));
          expect([actual.width, actual.height]).toEqual([expected.width, expected.height]);
          expect(pictureDifference(actual, expected).mean).toBeLessThan(largestMeanDifference);
        }
      }
    },
  );

  it('runs previews, text and videos again although their nodes have no prefix to change', async () => {
    const before = previews();
    const image = { class_type: 'EmptyImage', inputs: { width: 32, height: 32, batch_size: 2, color: 9 } };
    const workflow = {
      '1': image,
      '2': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
      '3': { class_type: 'PreviewAny', inputs: { source: 'hello' } },
      '4': {
        class_type: 'SaveAnimatedWEBP',
        inputs: { images: ['1', 0], filename_prefix: 'w', fps: 6, lossless: true, quality: 80, method: 'default' },
      },
    };
    for (let i = 0; i < 3; i++) {
      const { artifacts, values, receipt } = await envelopeOf(await run({ workflow, outputs: { temp: true } }));
      expect(artifacts.map(({ node, contentType }) => [node, contentType])).toEqual([
        ['2', 'image/png'],
        ['2', 'image/png'],
        ['4', 'image/webp'],
      ]);
      expect(values).toMatchObject([{ node: '3', key: 'text', value: ['hello'] }]);
      expect(receipt.retries).toBe(0);
    }
    expect(previews()).toEqual(before);
  });

  it('names what is wrong with a graph that it refuses', async () => {
    const workflow = {
      '1': { class_type: 'EmptyImage', inputs: { width: -1, height: 8, batch_size: 1, color: 0 } },
      '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
    };
    expect(await run({ workflow })).toMatchObject({
      kind: 'failed',
      error: { code: 'WORKFLOW_REJECTED', issues: [{ node: '1', field: 'width', type: 'value_smaller_than_min' }] },
    });
  });

  it('names a file that is no picture and still leaves nothing behind', async () => {
    const workflow = {
      '1': { class_type: 'LoadImage', inputs: { image: 'a.png' } },
      '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
    };
    const files = [{ name: 'a.png', data: Buffer.from('not a picture').toString('base64') }];
    const outcome = await run({ workflow, files });
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: { code: 'NODE_FAILED', issues: [{ node: '1', classType: 'LoadImage' }] },
    });
    if (isShared)
      expect(
        readdirSync(input).flatMap((name) =>
          name.startsWith(`cr-${process.pid}-`) ? readdirSync(join(input, name)) : [],
        ),
      ).toEqual([]);
  });

  it('stops a run that is under way', async () => {
    const stop = new AbortController();
    const blur = (source: string) => ({
      class_type: 'ImageBlur',
      inputs: { image: [source, 0], blur_radius: 31, sigma: 10 },
    });
    const workflow = {
      '1': { class_type: 'EmptyImage', inputs: { width: 1024, height: 1024, batch_size: 1, color: 1 } },
      ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [String(i + 2), blur(String(i + 1))])),
      '99': { class_type: 'SaveImage', inputs: { images: ['31', 0], filename_prefix: 'x' } },
    };
    const outcome = await run(
      { workflow },
      { signal: stop.signal, onNode: (id) => id === '3' && stop.abort(new Error('stopped')) },
    );
    expect(outcome.kind).toBe('cancelled');
    const after = await run({
      workflow: cases[0]?.graph ?? {},
      files: [{ name: 'photo.png', data: readFileSync(join(goldens, 'inputs/photo.png')).toString('base64') }],
    });
    expect(after.kind).toBe('completed');
  });

  it('leaves no folder of a job behind', () => {
    expect(leftovers().length).toBeLessThanOrEqual(1);
  });
});
