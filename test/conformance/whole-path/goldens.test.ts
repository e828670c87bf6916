/**
 * The golden graphs through the whole path: client -> RunPod emulator -> worker -> ComfyUI -> files on disk. On the stand-in always; on a real
 * ComfyUI too when COMFY_URL names one (with COMFY_INPUT_DIR, COMFY_OUTPUT_DIR, COMFY_TEMP_DIR where its disk is shared).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { type LocalStack, startLocalStack } from '../../../client/cli/local-stack.ts';
import { type Client, createClient, saveArtifacts } from '../../../client/index.ts';
import { workflowSchema } from '../../../shared/index.ts';
import { useFolder } from '../../support/client-bench.ts';
import { pictureDifference, readPixels } from '../../support/compare-pictures.ts';

const goldens = join(import.meta.dirname, '../../fixtures/comfyui/goldens');
const { COMFY_URL: comfyUrl, COMFY_INPUT_DIR: input, COMFY_OUTPUT_DIR: output, COMFY_TEMP_DIR: temp } = process.env;

const { cases } = z
  .object({
    cases: z.array(
      z.object({ name: z.string(), graph: workflowSchema, outputs: z.array(z.object({ file: z.string() })) }),
    ),
  })
  .parse(JSON.parse(await readFile(join(goldens, 'index.json'), 'utf8')));

/** Graphs with a resampling filter or a kernel may differ by a rounded-off byte; all others are equal, channel by channel. */
const filtered = /^(blur|sharpen|scale-(down|up)-(bilinear|bicubic|area))$/;

async function filesOf(graph: z.output<typeof workflowSchema>) {
  const names = Object.values(graph).flatMap((node) =>
    node.class_type.startsWith('LoadImage') ? [String(node.inputs['image'])] : [],
  );
  return Promise.all(
    [...new Set(names)].map(async (name) => ({
      name,
      data: (await readFile(join(goldens, 'inputs', name))).toString('base64'),
    })),
  );
}

function suite(title: string, url: string | undefined, skip = false): void {
  describe.skipIf(skip)(title, () => {
    let stack: LocalStack;
    let client: Client;

    beforeAll(async () => {
      const folders = input && output && temp ? { input, output, temp } : undefined;
      stack = await startLocalStack({
        environment: {},
        ...(url !== undefined && { comfyUrl: url, ...(folders && { folders }) }),
      });
      client = createClient(stack.clientOptions);
    });

    afterAll(async () => {
      await client?.close();
      await stack?.close();
    });

    it.each(cases.map((golden) => [golden.name, golden] as const))(
      '%s comes back as the recorded picture',
      async (name, golden) => {
        const folder = await useFolder();
        const job = await client.submit({ workflow: golden.graph, files: await filesOf(golden.graph) });
        const result = await job.wait();
        if (result.kind !== 'succeeded') throw result.error;
        const saved = await saveArtifacts(result.envelope.artifacts, { folder });
        expect(saved.length).toBe(golden.outputs.length);
        for (const [index, recorded] of golden.outputs.entries()) {
          const ours = await readPixels(saved[index]?.path ?? '');
          const theirs = await readPixels(join(goldens, recorded.file));
          expect([ours.width, ours.height, ours.channels]).toEqual([theirs.width, theirs.height, theirs.channels]);
          const { max, mean } = pictureDifference(ours, theirs);
          expect(max).toBeLessThanOrEqual(filtered.test(name) ? 3 : 0);
          expect(mean).toBeLessThanOrEqual(filtered.test(name) ? 0.5 : 0);
        }
      },
    );
  });
}

suite('on the stand-in', undefined);
const real = comfyUrl === undefined ? 'on a real ComfyUI (skipped: COMFY_URL is not set)' : 'on a real ComfyUI';
suite(real, comfyUrl, comfyUrl === undefined);
