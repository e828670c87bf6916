import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { importFernetKey, openFernet } from '../../../shared/dialects/fernet.ts';
import {
  ComfyRunpodError,
  dialectNames,
  isComfyRunpodError,
  type ResultFacts,
  readResultEnvelope,
  segmentsByteLength,
  shapeFailure,
  shapeProgress,
  shapeResult,
} from '../../../shared/index.ts';
import {
  emptyResult,
  fixtureRequest,
  joinAnswer,
  sampleFiles,
  sampleProgress,
  sampleResult,
  testFernetKey,
} from '../../support/dialects.ts';
import { inlineData } from '../../support/inline-data.ts';

const [film, red, blue] = sampleFiles.map((file) => file.toString('base64'));
const failure = new ComfyRunpodError('NODE_FAILED', 'Node 9 failed.', {
  issues: [{ node: '9', field: 'images', message: 'wrong size' }, { message: 'and more' }],
});

/** The answer of a fixture's request to a result, parsed. */
async function answerTo(name: string, result: ResultFacts = sampleResult, error?: ComfyRunpodError): Promise<unknown> {
  const { respond } = await fixtureRequest(name);
  return JSON.parse(joinAnswer(await respond.result(result, error)));
}

describe('an answer in any dialect', () => {
  it.each(dialectNames)('holds every file exactly once and is as long as foretold (%s)', (dialect) => {
    const segments = shapeResult(dialect, sampleResult);
    const places = segments.flatMap((segment) => (typeof segment === 'string' ? [] : [segment.artifact]));
    expect(places.toSorted()).toEqual([0, 1, 2]);
    const text = joinAnswer(segments);
    expect(
      segmentsByteLength(
        segments,
        sampleFiles.map((file) => file.length),
      ),
    ).toBe(Buffer.byteLength(text));
    expect(() => JSON.parse(text)).not.toThrow();
  });

  it.each(dialectNames)('is valid JSON also without files (%s)', (dialect) => {
    expect(() => JSON.parse(joinAnswer(shapeResult(dialect, emptyResult)))).not.toThrow();
  });

  it.each(dialectNames)('never says success beside a failure (%s)', (dialect) => {
    const partial: ResultFacts = { ...sampleResult, status: 'partial' };
    for (const segments of [
      shapeResult(dialect, sampleResult, { failure }),
      shapeResult(dialect, partial, { failure }),
      shapeResult(dialect, partial),
    ]) {
      const text = joinAnswer(segments);
      expect(text).not.toMatch(/"status":"(success|completed|ok)/);
      expect(text).not.toContain('"ok":true');
    }
    expect(JSON.stringify(shapeFailure(dialect, failure)) ?? '').not.toMatch(/success|completed|"ok":true/);
  });
});

describe('our own answer', () => {
  it('is the result envelope', async () => {
    const envelope = readResultEnvelope(await answerTo('canonical'));
    expect(envelope?.artifacts.map((artifact) => inlineData(artifact))).toEqual([film, red, blue]);
    expect(envelope?.values).toEqual(sampleResult.values);
  });
});

describe('the answer to worker-comfyui', () => {
  it.each(['worker-comfyui', 'worker-comfyui-text', 'seed-style', 'raw'])(
    'lists all files under images, pictures first, and the rest under meta (%s)',
    async (name) => {
      expect(await answerTo(name)).toEqual({
        images: [
          { filename: 'out_00001_.png', type: 'base64', data: red },
          { filename: 'out_00001_.png', type: 'base64', data: blue },
          { filename: 'clip_00001_.mp4', type: 'base64', data: film },
        ],
        meta: sampleResult,
      });
    },
  );

  it('says so when a run made no files', async () => {
    expect(await answerTo('worker-comfyui', emptyResult)).toMatchObject({ status: 'success_no_images', images: [] });
  });

  it('lists under errors what went missing, and why a job failed', async () => {
    const receipt = { ...sampleResult.receipt, warnings: [{ node: '9', message: 'nothing delivered' }] };
    const warned = await answerTo('worker-comfyui', { ...sampleResult, receipt });
    expect(warned).toMatchObject({ errors: ['Node 9: nothing delivered'] });
    const failed = await answerTo('worker-comfyui', { ...emptyResult, status: 'partial' }, failure);
    expect(failed).toMatchObject({ images: [], errors: ['Node 9 failed.'], meta: { status: 'partial' } });
    expect(failed).not.toHaveProperty('status');
  });

  it('holds the warnings of the request', async () => {
    expect(await answerTo('dimhara-encrypted')).toMatchObject({
      meta: { warnings: [expect.stringContaining('encrypt')] },
    });
  });

  it('before 5.0 is one message, with the other files under meta', () => {
    const answer = JSON.parse(joinAnswer(shapeResult('worker-comfyui-4', sampleResult)));
    expect(answer).toMatchObject({ status: 'success', message: red });
    expect(answer.meta.files.map((file: { data: string }) => file.data)).toEqual([blue, film]);
    const failed = JSON.parse(joinAnswer(shapeResult('worker-comfyui-4', sampleResult, { failure })));
    expect(failed).toMatchObject({ status: 'error', message: 'Node 9 failed.' });
    expect(failed.meta.files).toHaveLength(3);
  });
});

describe("the answer to the seed's worker", () => {
  it('maps plain unique names to files', async () => {
    expect(await answerTo('dimhara-plain')).toEqual({
      status: 'success',
      images: { 'clip_00001_.mp4': film, 'out_00001_.png': red, 'masks_out_00001_.png': blue },
      meta: sampleResult,
    });
  });

  it('gives every file a name of its own even when sub-folder and name are the same', () => {
    const artifacts = [1, 2, 2].flatMap((i) => sampleResult.artifacts[i] ?? []);
    const answer = JSON.parse(joinAnswer(shapeResult('dimhara', { ...sampleResult, artifacts })));
    expect(Object.keys(answer.images)).toEqual(['out_00001_.png', 'masks_out_00001_.png', 'masks_out_00001_-2.png']);
  });

  it('is encrypted on request: names and values in one token, each file in its own', async () => {
    const { respond } = await fixtureRequest('dimhara-sealed');
    const segments = await respond.result(sampleResult);
    const parts: string[] = [];
    for (const part of segments) {
      parts.push(
        typeof part === 'string' ? part : await respond.seal(Uint8Array.from(sampleFiles[part.artifact] ?? [])),
      );
    }
    const text = parts.join('');
    expect(
      segmentsByteLength(
        segments,
        sampleFiles.map((file) => file.length),
      ),
    ).toBe(Buffer.byteLength(text));
    expect(text).not.toContain('out_00001_');
    const answer = z
      .object({ status: z.literal('success'), encrypted_output: z.string(), encrypted_files: z.array(z.string()) })
      .strict()
      .parse(JSON.parse(text));
    const key = await importFernetKey(testFernetKey);
    const opened = await Promise.all(answer.encrypted_files.map((token) => openFernet(key, token)));
    expect(opened.map((bytes) => Buffer.from(bytes).toString())).toEqual(sampleFiles.map(String));
    const inner = JSON.parse(new TextDecoder().decode(await openFernet(key, answer.encrypted_output)));
    expect(inner).toMatchObject({
      status: 'success',
      images: ['clip_00001_.mp4', 'out_00001_.png', 'masks_out_00001_.png'],
      meta: { values: sampleResult.values },
    });
  });

  it('is not sealed unless that was asked for', async () => {
    const { respond } = await fixtureRequest('dimhara-encrypted');
    const refusal = await respond.seal(new Uint8Array(1)).catch((error: unknown) => error);
    expect(isComfyRunpodError(refusal) && refusal.code).toBe('INTERNAL');
  });
});

describe('the answers to the others', () => {
  it('ComfyGen: a data URL and the seed that was used', async () => {
    expect(await answerTo('comfygen')).toMatchObject({
      ok: true,
      output: { url: `data:image/png;base64,${red}`, seed: 7 },
      meta: { files: [{ data: blue }, { data: film }] },
    });
    expect(await answerTo('comfygen', sampleResult, failure)).toMatchObject({ ok: false, error: 'Node 9 failed.' });
  });

  it('cog: a list of data URLs', async () => {
    expect(await answerTo('cog')).toEqual([
      `data:image/png;base64,${red}`,
      `data:image/png;base64,${blue}`,
      `data:video/mp4;base64,${film}`,
    ]);
  });

  it('cog: a content type that is none does not break the URL', () => {
    const artifacts = sampleResult.artifacts.slice(0, 1).map((artifact) => ({ ...artifact, contentType: 'a"b,c' }));
    const answer = JSON.parse(joinAnswer(shapeResult('cog', { ...sampleResult, artifacts })));
    expect(answer).toEqual([`data:application/octet-stream;base64,${film}`]);
  });

  it('ai-dock: items with node and type, under the id of the request', async () => {
    expect(await answerTo('ai-dock')).toMatchObject({
      id: '123e4567-e89b-12d3-a456-426614174000',
      status: 'completed',
      output: [
        { filename: 'clip_00001_.mp4', node_id: '11', output_type: 'images', mimetype: 'video/mp4', data: film },
        { filename: 'out_00001_.png', subfolder: '', type: 'output', data: red },
        { filename: 'out_00001_.png', subfolder: 'masks', data: blue },
      ],
      timings: { preprocess_ms: 2, generation_ms: 900, postprocess_ms: 3 },
    });
    expect(await answerTo('ai-dock', sampleResult, failure)).toMatchObject({
      status: 'failed',
      message: 'Node 9 failed.',
    });
  });

  it('comfyui-api: images and file names side by side, without the request', async () => {
    const answer = await answerTo('salad');
    expect(answer).toMatchObject({
      id: 'job-17',
      images: [red, blue, film],
      filenames: ['out_00001_.png', 'masks_out_00001_.png', 'clip_00001_.mp4'],
      stats: { comfy_execution: { duration: 900, nodes: { '9': { duration: 12 } } }, total_time: 905 },
    });
    expect(answer).not.toHaveProperty('prompt');
    expect(await answerTo('comfyui-prompt-body')).toMatchObject({ id: sampleResult.receipt.promptId });
  });
});

describe('progress', () => {
  it('is our event, a step as text, or a stage with percent, as the dialect has it', async () => {
    const said = async (name: string) => (await fixtureRequest(name)).respond.progress(sampleProgress);
    expect(await said('canonical')).toEqual(sampleProgress);
    expect(await said('dimhara-plain')).toBe('Step 7/20');
    expect(await said('comfygen')).toEqual({
      stage: 'running',
      percent: 62.1,
      message: 'running: KSampler',
      node: '3',
      class_type: 'KSampler',
      completed_nodes: 4,
      total_nodes: 7,
      step: 7,
      total_steps: 20,
    });
  });

  it('is kept back where callers take any output for the result', () => {
    for (const dialect of ['worker-comfyui', 'worker-comfyui-4', 'raw', 'cog', 'salad', 'ai-dock'] as const) {
      expect(shapeProgress(dialect, sampleProgress)).toBeUndefined();
    }
  });

  it('has an empty list of images for callers of worker-comfyui that ask for it', () => {
    expect(shapeProgress('worker-comfyui', sampleProgress, { progress: true })).toEqual({
      images: [],
      meta: { progress: sampleProgress },
    });
  });

  it("is not posted before there is a step, for callers of the seed's worker", () => {
    const { step: _step, ...early } = sampleProgress;
    expect(shapeProgress('dimhara', early)).toBeUndefined();
  });
});

describe('a failure without results', () => {
  it.each([
    ['worker-comfyui', { details: ['node 9, images: wrong size', 'and more'] }],
    ['raw', { details: ['node 9, images: wrong size', 'and more'] }],
    ['worker-comfyui-4', { status: 'error', message: 'Node 9 failed.' }],
    ['dimhara', { status: 'error', message: 'Node 9 failed.' }],
    ['comfygen', { ok: false, error: 'Node 9 failed.' }],
    ['salad', { id: 'job-17', error: 'Node 9 failed.' }],
    ['ai-dock', { id: 'job-17', status: 'failed', message: 'Node 9 failed.', output: [] }],
    ['cog', undefined],
    ['canonical', undefined],
  ] as const)('is told %s in its own words', (dialect, expected) => {
    expect(shapeFailure(dialect, failure, { requestId: 'job-17' })).toEqual(expected);
  });
});
