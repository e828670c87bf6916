// What the driver posts and how it takes refusals: statements D08 to D21 of the ComfyUI protocol notes §7.1.
import { describe, expect, it } from 'vitest';
import {
  completed,
  emptyPicture,
  failureOf,
  loadedPicture,
  startDriverBench,
  tinyPng,
} from '../../support/driver-bench.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('submission', () => {
  it('D08 posts every prompt under a lower-case UUID of its own, also to servers that insist on it', async () => {
    const bench = await startDriverBench({ standIn: { profile: 'late-2026' } });
    const first = completed(await bench.run({ workflow: emptyPicture() }));
    const second = completed(await bench.run({ workflow: emptyPicture() }));
    const ids = bench.proxy.prompts().map((body) => body['prompt_id']);
    expect(ids).toEqual([first.receipt.promptId, second.receipt.promptId]);
    expect(first.receipt.promptId).toMatch(uuid);
    expect(second.receipt.promptId).not.toBe(first.receipt.promptId);
  });

  it('D09 completes when the whole run is over before the answer to the post arrives', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'answer-after-run' }] } });
    const { receipt, artifacts } = completed(await bench.run({ workflow: emptyPicture() }));
    expect(artifacts).toHaveLength(1);
    expect(receipt.nodes.map(({ node }) => node)).toEqual(['1', '9']);
  });

  it('D10 posts with the client id of the socket that is open', async () => {
    const bench = await startDriverBench();
    completed(await bench.run({ workflow: emptyPicture() }));
    expect(bench.standIn.inspect.sockets()).toContain(bench.proxy.prompts()[0]?.['client_id']);
  });

  it('D11 posts nodes with class and inputs only, whatever else they came with', async () => {
    const bench = await startDriverBench();
    const workflow = {
      '1': { class_type: 'EmptyImage', inputs: {}, is_changed: ['old'], _loop_body: 1, _loop_end: 2, surprise: true },
      '9': {
        class_type: 'SaveImage',
        inputs: { images: ['1', 0], filename_prefix: 'a' },
        _meta: { title: 'My secret' },
      },
      '20': { class_type: 'SandboxSilentOutput' },
    };
    await bench.run({ workflow });
    const posted = bench.proxy.prompts()[0]?.['prompt'] as Record<string, object>;
    for (const node of Object.values(posted)) expect(Object.keys(node).toSorted()).toEqual(['class_type', 'inputs']);
    expect(Object.keys(posted)).toEqual(['1', '9', '20']);
    expect(JSON.stringify(posted)).not.toContain('My secret');
  });

  it('D12 leaves out nodes that no output needs', async () => {
    const bench = await startDriverBench();
    const unreachable = { class_type: 'SandboxBadChange', inputs: {} };
    completed(await bench.run({ workflow: { ...emptyPicture(), '77': unreachable } }));
    expect(Object.keys(bench.proxy.prompts()[0]?.['prompt'] as object)).toEqual(['1', '9']);
  });

  it('D13 names all unknown classes at once, and nothing is posted', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...emptyPicture(),
      '3': { class_type: 'NoSuchNode', inputs: {} },
      '4': { class_type: 'NorThis', inputs: {} },
    };
    const error = failureOf(await bench.run({ workflow }));
    expect(error.code).toBe('WORKFLOW_UNKNOWN_NODE');
    expect(error.issues.map(({ node, classType }) => [node, classType])).toEqual([
      ['3', 'NoSuchNode'],
      ['4', 'NorThis'],
    ]);
    expect(error.message).toMatch(/NoSuchNode.*NorThis/);
    expect(bench.proxy.prompts()).toEqual([]);
  });

  it.each(['/etc/passwd', '../output/secret.png', 'a/../../b.png', 'old.png [output]', 'preview.png [temp]'])(
    'D14 refuses a loader that would read %s',
    async (image) => {
      const bench = await startDriverBench();
      const error = failureOf(await bench.run({ workflow: loadedPicture(image) }));
      expect(error.code).toBe('FILE_NAME_UNSAFE');
      expect(error.issues[0]).toMatchObject({ node: '1', classType: 'LoadImage', field: 'image' });
      expect(bench.proxy.prompts()).toEqual([]);
    },
  );

  it('D15 saves into a folder of the job and tells the names that the workflow asked for', async () => {
    const bench = await startDriverBench();
    const workflow = emptyPicture();
    workflow['10'] = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'deep/er/pic' } };
    const { artifacts } = completed(await bench.run({ workflow }));
    expect(artifacts.map(({ node, subfolder, name }) => [node, subfolder, name])).toEqual([
      ['9', '', 'pic_00001_.png'],
      ['10', 'deep/er', 'pic_00001_.png'],
    ]);
    const posted = bench.proxy.prompts()[0]?.['prompt'] as Record<string, { inputs: Record<string, unknown> }>;
    expect(posted['9']?.inputs['filename_prefix']).toMatch(/^cr-\d+-[0-9a-f]{16}\/pic$/);
    expect(posted['10']?.inputs['filename_prefix']).toMatch(/^cr-\d+-[0-9a-f]{16}\/deep\/er\/pic$/);
  });

  it('D16 refuses a job of which ComfyUI took only a part, and takes that part off it', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'partial-acceptance', nodeId: '10' }] } });
    const workflow = emptyPicture();
    workflow['10'] = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'other' } };
    const error = failureOf(await bench.run({ workflow }));
    expect(error.code).toBe('WORKFLOW_REJECTED');
    expect(error.issues.map(({ node }) => node)).toContain('10');
    expect(bench.standIn.inspect.queue()).toEqual({ running: [], pending: [] });
    expect(bench.standIn.inspect.history()).toEqual([]);
  });

  it('D16 runs what ComfyUI took when the job allows a part, and warns of what it left out', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'partial-acceptance', nodeId: '10' }] } });
    const workflow = emptyPicture();
    workflow['10'] = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'other' } };
    const { artifacts, receipt } = completed(await bench.run({ workflow, allowPartial: true }));
    expect(artifacts.map(({ node }) => node)).toEqual(['9']);
    expect(receipt.warnings).toEqual(
      expect.arrayContaining([
        { node: '10', message: expect.stringContaining('ComfyUI left out the outputs that need this node') as string },
        { node: '10', message: 'Output node 10 (SaveImage) delivered nothing.' },
      ]),
    );
  });

  it('D17 tells node, class, input, type and message of every refusal, also of nodes before the outputs', async () => {
    const bench = await startDriverBench();
    const error = failureOf(await bench.run({ workflow: emptyPicture({ width: -5, batch_size: 'many' }) }));
    expect(error.code).toBe('WORKFLOW_REJECTED');
    expect(error.issues).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ node: '1', classType: 'EmptyImage', field: 'width', type: 'value_smaller_than_min' }),
        expect.objectContaining({
          node: '1',
          classType: 'EmptyImage',
          field: 'batch_size',
          type: 'invalid_input_type',
        }),
      ]),
    );
    expect(error.message).toContain('node 1 (EmptyImage)');
  });

  it('D18 tells a refusal without node errors: a cycle, a class that went away, no output', async () => {
    const bench = await startDriverBench();
    const cycle = {
      '1': { class_type: 'ImageInvert', inputs: { image: ['2', 0] } },
      '2': { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
      '9': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'c' } },
    };
    expect(failureOf(await bench.run({ workflow: cycle })).code).toBe('WORKFLOW_REJECTED');
    completed(await bench.run({ workflow: emptyPicture() }));
    bench.standIn.faults.arm({ kind: 'missing-class', classType: 'EmptyImage', times: 'always' });
    const gone = failureOf(await bench.run({ workflow: emptyPicture() }));
    expect(gone.code).toBe('WORKFLOW_UNKNOWN_NODE');
    expect(gone.message).toContain('EmptyImage');
    const noOutput = await bench.run({ workflow: { '1': { class_type: 'ImageInvert', inputs: {} } } });
    expect(failureOf(noOutput).code).toBe('WORKFLOW_NO_OUTPUT');
  });

  it('D19 names the limit when ComfyUI finds the workflow or an upload too large', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    const fault = bench.standIn.faults.arm({ kind: 'body-limit', limitBytes: 100, times: 'always' });
    const tooLong = failureOf(await bench.run({ workflow: emptyPicture() }));
    expect(tooLong.message).toContain('100');
    expect(tooLong.nextStep).toContain('--max-upload-size');
    const files = [{ name: 'a.png', data: tinyPng }];
    const tooBig = failureOf(await bench.run({ workflow: loadedPicture('a.png'), files }));
    expect(tooBig.message).toContain('100');
    fault.disarm();
  });

  it('D20 looks a prompt up whose answer was lost, and does not run it twice', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'lost-answer', at: 'after-queueing' });
    const { artifacts, receipt } = completed(await bench.run({ workflow: emptyPicture() }));
    expect(artifacts).toHaveLength(1);
    expect(receipt.retries).toBeGreaterThan(0);
    expect(bench.standIn.inspect.accepted()).toHaveLength(1);
  });

  it('D20 posts once more, under the same id, when the lost prompt is nowhere', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'lost-answer', at: 'before-queueing' });
    completed(await bench.run({ workflow: emptyPicture() }));
    const ids = bench.proxy.prompts().map((body) => body['prompt_id']);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
    expect(bench.standIn.inspect.accepted()).toHaveLength(1);
  });

  it('D21 does not post again after a 500, and says what ComfyUI answered', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'bad-status', endpoint: '/prompt', status: 500 });
    const error = failureOf(await bench.run({ workflow: emptyPicture() }));
    expect(error.code).toBe('COMFY_PROTOCOL');
    expect(error.message).toContain('500');
    expect(bench.proxy.prompts()).toHaveLength(1);
  });
});
