import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { readChunks } from '../../../sandbox/comfyui/nodes/picture-files/png-chunks.ts';
import { pictureDifference, readPixels } from '../../support/compare-pictures.ts';

// Every graph was run by a real ComfyUI 0.3.64 on a CPU; its pictures are the truth here. The stand-in is used as a client
// would use the real one: inputs are uploaded, graphs posted, history read, pictures fetched.

const goldens = join(import.meta.dirname, '../../fixtures/comfyui/goldens');

const entrySchema = z.object({ filename: z.string(), subfolder: z.string(), type: z.string() });

const caseSchema = z.object({
  name: z.string(),
  graph: z.record(z.string(), z.object({ class_type: z.string(), inputs: z.record(z.string(), z.unknown()) })),
  outputs: z.array(
    entrySchema.extend({
      file: z.string(),
      size: z.tuple([z.number(), z.number()]),
      mode: z.enum(['RGB', 'RGBA']),
    }),
  ),
});

const { cases } = z
  .object({ cases: z.array(caseSchema) })
  .parse(JSON.parse(await readFile(join(goldens, 'index.json'), 'utf8')));

const historySchema = z.record(
  z.string(),
  z.object({
    status: z.object({ status_str: z.string() }),
    outputs: z.record(z.string(), z.object({ images: z.array(entrySchema) })),
  }),
);

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

async function upload(comfy: ComfyStandIn, name: string): Promise<void> {
  const body = new FormData();
  body.append('image', new Blob([await readFile(join(goldens, 'inputs', name))]), name);
  const encoded = new Response(body);
  const response = await request(`${comfy.url}/upload/image`, {
    method: 'POST',
    headers: { 'content-type': encoded.headers.get('content-type') ?? '' },
    body: Buffer.from(await encoded.arrayBuffer()),
  });
  expect(response.statusCode, await response.body.text()).toBe(200);
}

/** Posts a graph and waits until history has it. */
async function run(
  comfy: ComfyStandIn,
  graph: unknown,
  signal: AbortSignal,
): Promise<z.output<typeof historySchema>[string]> {
  const response = await request(`${comfy.url}/prompt`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: graph }),
  });
  const { prompt_id } = z.object({ prompt_id: z.string() }).parse(await response.body.json());
  for (;;) {
    const answer = await request(`${comfy.url}/history/${prompt_id}`);
    const entry = historySchema.parse(await answer.body.json())[prompt_id];
    if (entry !== undefined) return entry;
    await wait(5, undefined, { signal });
  }
}

async function fetchPicture(comfy: ComfyStandIn, entry: z.output<typeof entrySchema>): Promise<Buffer> {
  const response = await request(`${comfy.url}/view?${new URLSearchParams(entry).toString()}`);
  expect(response.statusCode).toBe(200);
  return Buffer.from(await response.body.arrayBuffer());
}

/** Text chunks of a PNG: the graph as it ran, file hashes included. The order of its nodes is the order in which they were
 * posted, which JSON.parse does not keep here; so texts are compared as values. */
function embeddedTexts(png: Buffer): readonly { readonly keyword: string; readonly value: unknown }[] {
  return [...readChunks(png)]
    .filter(({ type }) => type === 'tEXt')
    .map(({ data }) => {
      const end = data.indexOf(0);
      return { keyword: data.toString('latin1', 0, end), value: JSON.parse(data.toString('latin1', end + 1)) };
    });
}

describe('the picture nodes make what a real ComfyUI makes', () => {
  let comfy: ComfyStandIn;

  beforeAll(async () => {
    comfy = await startComfyStandIn();
    for (const name of await readdir(join(goldens, 'inputs'))) await upload(comfy, name);
  });

  afterAll(async () => {
    await comfy.close();
  });

  it.for(cases)('$name', async ({ name, graph, outputs }, { signal }) => {
    const { status, outputs: made } = await run(comfy, graph, signal);
    expect(status.status_str).toBe('success');
    const entries = Object.values(made).flatMap(({ images }) => images);
    expect(entries).toEqual(outputs.map(({ filename, subfolder, type }) => ({ filename, subfolder, type })));
    for (const output of outputs) {
      const { filename, subfolder, type } = output;
      const [madeFile, realFile] = await Promise.all([
        fetchPicture(comfy, { filename, subfolder, type }),
        readFile(join(goldens, output.file)),
      ]);
      expect(embeddedTexts(madeFile)).toEqual(embeddedTexts(realFile));
      const picture = await readPixels(madeFile);
      const real = await readPixels(realFile);
      expect([picture.width, picture.height]).toEqual(output.size);
      expect(picture.channels).toBe(output.mode === 'RGBA' ? 4 : 3);
      expect(picture.channels).toBe(real.channels);
      const { max, mean } = pictureDifference(picture, real);
      const allowed = largestMeanDifference[name];
      const figures = `${name}: at most ${max}, ${mean} on average`;
      expect(max, figures).toBeLessThanOrEqual(allowed === undefined ? 0 : 1);
      expect(mean, figures).toBeLessThanOrEqual(allowed ?? 0);
    }
  });
});
