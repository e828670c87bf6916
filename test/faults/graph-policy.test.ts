/** What a graph may not be is refused by the worker: the caller is told everything at once, and ComfyUI never sees it. */
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobInputWire } from '../../shared/index.ts';
import { completed, startDriverBench } from '../support/driver-bench.ts';
import { filesBelow, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

let stack: WholeStack;

beforeAll(async () => {
  stack = await startWholeStack({
    workers: 1,
    endpoint: { takeHoldMs: 2_000 },
    environment: { ALLOWED_NODES: '*Image, Load*, Sandbox*, Missing*', DENIED_NODES: 'SandboxFail*, LoadLatent' },
  });
});

afterAll(async () => {
  await stack.close();
});

type Graph = JobInputWire['workflow'];

const picture: Graph = {
  '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 255 } },
  '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'policy' } },
};
const loading = (image: unknown): Graph => ({
  '1': { class_type: 'LoadImage', inputs: { image } },
  '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'policy' } },
});

async function run(workflow: Graph) {
  const handle = await stack.client.submit({ workflow });
  return handle.wait();
}

/** The error of a job that must be refused, after a look at ComfyUI: nothing was queued, run or written. */
async function refusal(workflow: Graph) {
  const result = await run(workflow);
  if (result.kind !== 'failed') throw new Error(`the job ${result.kind}`);
  const [comfy] = stack.comfy;
  if (!comfy) throw new Error('no ComfyUI');
  expect(comfy.inspect.queue()).toEqual({ running: [], pending: [] });
  expect(comfy.inspect.history()).toEqual([]);
  expect(await filesBelow(comfy.directories.output)).toEqual([]);
  return result.error;
}

describe('a graph that the worker refuses', () => {
  it('has classes that are denied or not allowed: all of them are told, with their nodes', async () => {
    const error = await refusal({
      ...picture,
      '2': { class_type: 'LoadLatent', inputs: { latent: 'x.latent' } },
      '3': { class_type: 'PreviewAny', inputs: { source: ['2', 0] } },
      '4': { class_type: 'PreviewAny', inputs: { source: ['2', 0] } },
    });
    expect(error.code).toBe('WORKFLOW_FORBIDDEN_NODE');
    expect(error.issues.map(({ node, classType }) => `${node} ${classType}`)).toEqual([
      '2 LoadLatent',
      '3 PreviewAny',
      '4 PreviewAny',
    ]);
  });

  it('has classes that ComfyUI lacks: all of them are told at once', async () => {
    const error = await refusal({
      ...picture,
      '2': { class_type: 'MissingOne', inputs: {} },
      '3': { class_type: 'MissingTwo', inputs: {} },
    });
    expect(error.code).toBe('WORKFLOW_UNKNOWN_NODE');
    expect(error.message).toContain('"MissingOne", "MissingTwo"');
  });

  it.each(['Missing/..', '..', 'Missing\ud800'])('names the class %j, which no ComfyUI has', async (classType) => {
    const bench = await startDriverBench();
    const refused = await bench.run({ workflow: { ...picture, '2': { class_type: classType, inputs: {} } } });
    expect(refused.outcome).toMatchObject({ kind: 'failed', error: { code: 'WORKFLOW_UNKNOWN_NODE' } });
    expect(bench.proxy.prompts()).toEqual([]);
  });

  it.each([
    ['an absolute path', '/etc/passwd'],
    ['a path that leads up', '../output/x.png'],
    ['a result of another job', 'x.png [output]'],
    ['a preview of another job', 'x.png[temp]'],
    ["another job's folder", 'cr-77-0123456789abcdef/x.png'],
    ['a path wrapped as a constant', { __value__: '/etc/passwd' }],
  ])('loads %s', async (_, value) => {
    const error = await refusal(loading(value));
    expect(error.code).toBe('FILE_NAME_UNSAFE');
    expect(error.issues).toMatchObject([{ node: '1', classType: 'LoadImage', field: 'image' }]);
    expect(error.message).not.toContain('passwd');
  });

  it('nests values deeper than any workflow does', async () => {
    let deep: unknown = 1;
    for (let level = 0; level < 500; level++) deep = [deep];
    const error = await refusal({ ...picture, '2': { class_type: 'EmptyImage', inputs: { width: deep } } });
    expect(error.code).toBe('WORKFLOW_TOO_LARGE');
    expect(error.issues).toMatchObject([{ node: '2', field: 'width' }]);
  });

  it('has more nodes than any workflow does, also when it comes past the client', async () => {
    const nodes = Array.from({ length: 10_001 }, (_, index) => [`${index}`, { class_type: 'EmptyImage', inputs: {} }]);
    const workflow = Object.fromEntries(nodes) as Graph;
    await expect(stack.client.submit({ workflow })).rejects.toMatchObject({ code: 'WORKFLOW_INVALID' });
    const { RUNPOD_API_KEY: key } = stack.emulator.clientEnvironment({ endpointId: 'ep1' });
    const answer = await request(`${stack.emulator.baseUrl}/ep1/runsync?wait=20000`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ input: { workflow } }),
    });
    expect(await answer.body.json()).toMatchObject({
      status: 'FAILED',
      error: expect.stringContaining('WORKFLOW_INVALID') as string,
    });
    expect(stack.comfy[0]?.inspect.history()).toEqual([]);
  });
});

describe('a graph that the worker puts right', () => {
  it('is posted without is_changed and without nodes that no output needs, one without inputs among them', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...picture,
      '1': { ...picture['1'], is_changed: ['a'] },
      '5': { class_type: 'LoadImage' },
    };
    completed(await bench.run({ contract: 1, workflow }));
    const posted = bench.proxy.prompts()[0]?.['prompt'] as Record<string, object>;
    expect(Object.keys(posted)).toEqual(['1', '9']);
    expect(Object.keys(posted['1'] ?? {}).toSorted()).toEqual(['class_type', 'inputs']);
    // ComfyUI's worker thread still lives.
    completed(await bench.run({ contract: 1, workflow: picture }));
  });
});
