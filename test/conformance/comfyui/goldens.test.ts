import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { pictureDifference, readPixels } from '../../support/compare-pictures.ts';
import { NodeBench } from '../../support/node-bench.ts';

// Every graph was run by a real ComfyUI 0.3.64 on a CPU; its pictures are the truth here.

const goldens = join(import.meta.dirname, '../../fixtures/comfyui/goldens');

const caseSchema = z.object({
  name: z.string(),
  graph: z.record(z.string(), z.object({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) })),
  outputs: z.array(
    z.object({
      filename: z.string(),
      subfolder: z.string(),
      type: z.string(),
      file: z.string(),
      size: z.tuple([z.number(), z.number()]),
      mode: z.enum(['RGB', 'RGBA']),
    }),
  ),
});

const { cases } = z
  .object({ cases: z.array(caseSchema) })
  .parse(JSON.parse(await readFile(join(goldens, 'index.json'), 'utf8')));

/** Filters sum many products, in an order that is torch's own; cutting off the fraction then moves some bytes by one.
 * Everything that is not listed must be equal, byte by byte: Pillow's lanczos too. */
const largestMeanDifference: Readonly<Record<string, number>> = {
  blur: 0.1,
  sharpen: 0.5,
  'scale-down-bilinear': 0.05,
  'scale-up-bilinear': 0.05,
  'scale-down-area': 0.05,
  'scale-down-bicubic': 0.05,
  'scale-up-bicubic': 0.05,
};

describe('the picture nodes make what a real ComfyUI makes', () => {
  it.each(cases)('$name', async ({ name, graph, outputs }) => {
    await using bench = await NodeBench.open();
    for (const input of await readdir(join(goldens, 'inputs'))) {
      await copyFile(join(goldens, 'inputs', input), join(bench.folders.input, input));
    }
    const results = await bench.runGraph(graph);
    const entries = [...results.values()].flatMap((result) => result.ui?.['images'] ?? []);
    expect(entries).toEqual(outputs.map(({ filename, subfolder, type }) => ({ filename, subfolder, type })));
    for (const output of outputs) {
      const made = await readPixels(join(bench.folders.output, output.subfolder, output.filename));
      const real = await readPixels(join(goldens, output.file));
      expect([made.width, made.height]).toEqual(output.size);
      expect(made.channels).toBe(output.mode === 'RGBA' ? 4 : 3);
      expect(made.channels).toBe(real.channels);
      const { max, mean } = pictureDifference(made, real);
      const allowed = largestMeanDifference[name];
      const figures = `${name}: at most ${max}, ${mean} on average`;
      expect(max, figures).toBeLessThanOrEqual(allowed === undefined ? 0 : 1);
      expect(mean, figures).toBeLessThanOrEqual(allowed ?? 0);
    }
  });
});
