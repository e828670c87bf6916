/** A result of two pictures and a film, and the joining of an answer's segments as the worker does it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProgressEvent, type ResultFacts, readJobRequest, type Segment } from '../../shared/index.ts';

/** The Fernet key of the fixtures: the base64 of a sentence, nobody's secret. */
export const testFernetKey = Buffer.from('this is not a secret, just tests').toString('base64');

/** A fixture of test/fixtures/dialects, parsed. */
export async function dialectFixture(name: string): Promise<unknown> {
  return JSON.parse(await readFile(join(import.meta.dirname, '../fixtures/dialects', `${name}.json`), 'utf8'));
}

/** Reads the request of a fixture as a worker with the test key would. */
export async function fixtureRequest(name: string): ReturnType<typeof readJobRequest> {
  return readJobRequest(await dialectFixture(name), { fernetKey: testFernetKey, randomSeed: () => 4_711 });
}

type Described = ResultFacts['artifacts'][number];

function described(name: string, more: Partial<Described>): Described {
  return {
    name,
    subfolder: '',
    type: 'output',
    node: '9',
    classType: 'SaveImage',
    key: 'images',
    index: 0,
    kind: 'image',
    contentType: 'image/png',
    size: 3,
    sha256: '0'.repeat(64),
    metadata: 'stripped',
    ...more,
  };
}

/** The bytes of the artifacts of {@link sampleResult}, in order. */
export const sampleFiles: readonly Buffer[] = [Buffer.from('film of nine'), Buffer.from('red'), Buffer.from('blue!')];

/** A film, and two pictures of the same name in different folders. */
export const sampleResult: ResultFacts = {
  kind: 'comfy-runpod/result',
  contract: 1,
  status: 'success',
  artifacts: [
    described('clip_00001_.mp4', { node: '11', classType: 'SaveVideo', kind: 'video', contentType: 'video/mp4' }),
    described('out_00001_.png', {}),
    described('out_00001_.png', { subfolder: 'masks', index: 1 }),
  ],
  values: [{ node: '12', classType: 'PreviewAny', key: 'text', value: ['naïve "quotes" 🎨'] }],
  receipt: {
    promptId: '4c1f0f5e-0000-4000-8000-000000000000',
    workerId: 'worker-1',
    workerVersion: '0.1.0',
    comfyVersion: '0.3.64',
    timings: { stageMs: 2, runMs: 900, collectMs: 3, totalMs: 905 },
    nodes: [{ node: '9', classType: 'SaveImage', ms: 12 }],
    bytes: { in: 0, out: 20 },
    cached: [],
    wipe: { mode: 'wiped', files: 3, bytes: 20, kept: [] },
    retries: 0,
  },
};

/** A result without files. */
export const emptyResult: ResultFacts = { ...sampleResult, artifacts: [] };

/** One event of a sampler at step 7 of 20. */
export const sampleProgress: ProgressEvent = {
  kind: 'comfy-runpod/progress',
  contract: 1,
  sequence: 4,
  phase: 'running',
  node: { id: '3', classType: 'KSampler', title: 'KSampler' },
  step: { value: 7, max: 20 },
  nodes: { done: 4, total: 7 },
  fraction: 0.6214,
  elapsedMs: 1_500,
};

/** The whole text of an answer: segments with the base64 of `files` in their places. */
export function joinAnswer(segments: readonly Segment[], files: readonly Buffer[] = sampleFiles): string {
  return segments
    .map((segment) =>
      typeof segment === 'string' ? segment : (files[segment.artifact] ?? Buffer.of()).toString('base64'),
    )
    .join('');
}
