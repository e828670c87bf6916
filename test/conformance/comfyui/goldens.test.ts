import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
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

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Buffer;
}

async function readPixels(path: string): Promise<Pixels> {
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: info.channels, data };
}

/** The biggest and the mean difference of a channel, in 1/255. */
function difference(left: Buffer, right: Buffer): { readonly max: number; readonly mean: number } {
  let max = 0;
  let total = 0;
  for (let i = 0; i < left.length; i++) {
    const delta = Math.abs((left[i] ?? 0) - (right[i] ?? 0));
    max = Math.max(max, delta);
    total += delta;
  }
  return { max, mean: total / left.length };
}

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
      const { max, mean } = difference(made.data, real.data);
      const allowed = largestMeanDifference[name];
      const figures = `${name}: at most ${max}, ${mean} on average`;
      expect(max, figures).toBeLessThanOrEqual(allowed === undefined ? 0 : 1);
      expect(mean, figures).toBeLessThanOrEqual(allowed ?? 0);
    }
  });
});
