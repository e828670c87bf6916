import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { NodeError } from '../../../sandbox/comfyui/node-definition.ts';
import { pictureDifference, readPixels } from '../../support/compare-pictures.ts';
import { NodeBench } from '../../support/node-bench.ts';

// Files of every kind and edge cases of the nodes, with what a real ComfyUI 0.3.64 made of them.

const fixtures = join(import.meta.dirname, '../../fixtures/comfyui/node-pictures');

const caseSchema = z.object({
  name: z.string(),
  graph: z.record(z.string(), z.object({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) })),
  pictures: z.record(z.string(), z.array(z.string())).default({}),
  texts: z.record(z.string(), z.array(z.string())).default({}),
  error: z.object({ type: z.string(), message: z.string() }).optional(),
});

const { cases } = z
  .object({ cases: z.array(caseSchema) })
  .parse(JSON.parse(await readFile(join(fixtures, 'index.json'), 'utf8')));

type Case = z.output<typeof caseSchema>;

const entrySchema = z.object({ filename: z.string(), subfolder: z.string() });

/** Classes whose sums torch adds up in an order of its own; their bytes may be off by one. Lanczos is Pillow's: exact. */
function allowedDifference({ graph }: Case): { readonly max: number; readonly mean: number } {
  const nodes = Object.values(graph);
  const sums = nodes.some(({ class_type, inputs }) => {
    const method = inputs['upscale_method'];
    const resizes = ['ImageBlur', 'ImageSharpen', 'ImageBatch', 'JoinImageWithAlpha', 'ImageCompositeMasked'].includes(
      class_type,
    );
    return resizes || (typeof method === 'string' && ['bilinear', 'area', 'bicubic'].includes(method));
  });
  return sums ? { max: 1, mean: 0.5 } : { max: 0, mean: 0 };
}

/** Constants as the server hands them to a node: a wrapped list is unwrapped. */
function unwrapped(graph: Case['graph']): Case['graph'] {
  const unwrap = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && '__value__' in value ? value.__value__ : value;
  const nodes = Object.entries(graph).map(([id, node]) => {
    const inputs = Object.fromEntries(Object.entries(node.inputs).map(([name, value]) => [name, unwrap(value)]));
    return [id, { ...node, inputs }] as const;
  });
  return Object.fromEntries(nodes);
}

describe('unusual files and edge cases come out as from a real ComfyUI', () => {
  let bench: NodeBench;

  beforeAll(async () => {
    bench = await NodeBench.open();
    for (const input of await readdir(join(fixtures, 'inputs'))) {
      await copyFile(join(fixtures, 'inputs', input), join(bench.folders.input, input));
    }
  });

  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
  });

  async function expectError(testCase: Case, error: NonNullable<Case['error']>): Promise<void> {
    const failure: unknown = await bench.runGraph(unwrapped(testCase.graph)).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(failure instanceof NodeError)) throw new Error(`expected ${error.type}, got ${String(failure)}`);
    const message = failure.message.replaceAll(bench.folders.input, '<input>');
    expect({ type: failure.pythonType, message }).toEqual(error);
  }

  it.each(cases)('$name', async (testCase) => {
    if (testCase.error !== undefined) return expectError(testCase, testCase.error);
    const results = await bench.runGraph(unwrapped(testCase.graph));
    for (const [id, texts] of Object.entries(testCase.texts)) expect(results.get(id)?.ui?.['text']).toEqual(texts);
    const allowed = allowedDifference(testCase);
    for (const [id, files] of Object.entries(testCase.pictures)) {
      const entries = z.array(entrySchema).parse(results.get(id)?.ui?.['images']);
      expect(entries.length).toBe(files.length);
      for (const [index, { filename, subfolder }] of entries.entries()) {
        const made = await readPixels(join(bench.folders.output, subfolder, filename));
        const real = await readPixels(join(fixtures, 'outputs', files[index] ?? ''));
        const { width, height, channels } = real;
        expect({ ...made, data: undefined }).toEqual({ width, height, channels, data: undefined });
        const { max, mean } = pictureDifference(made, real);
        const figures = `node ${id}: at most ${max}, ${mean} on average`;
        expect(max, figures).toBeLessThanOrEqual(allowed.max);
        expect(mean, figures).toBeLessThanOrEqual(allowed.mean);
      }
    }
  });
});
