import { describe, expect, it } from 'vitest';
import { type ComfyRunpodError, isComfyRunpodError, readJobRequest } from '../../../shared/index.ts';
import { dialectFixture, fixtureRequest, testFernetKey } from '../../support/dialects.ts';

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==';
const workflow = {
  '1': { class_type: 'LoadImage', inputs: { image: 'cat.png' } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'out' } },
};

async function refusal(input: unknown, options: Parameters<typeof readJobRequest>[1] = {}): Promise<ComfyRunpodError> {
  const outcome = await readJobRequest(input, options).catch((error: unknown) => error);
  if (isComfyRunpodError(outcome)) return outcome;
  throw new Error('it was not refused with a coded error');
}

const fieldsOf = (error: ComfyRunpodError) => error.issues.map((issue) => issue.field);

describe('a request in our own words', () => {
  it('is the job itself', async () => {
    const { job, warnings } = await fixtureRequest('canonical');
    expect(job).toEqual(await dialectFixture('canonical'));
    expect(warnings).toEqual([]);
  });

  it('may say so with dialect', async () => {
    expect((await readJobRequest({ dialect: 'canonical', workflow, debug: true })).job).toEqual({
      workflow,
      debug: true,
    });
  });

  it('is refused as ever when a key is unknown', async () => {
    expect((await refusal({ contract: 1, workflow, images: [] })).code).toBe('INPUT_UNKNOWN_KEY');
  });

  it('is refused with the list of dialects when it names an unknown one', async () => {
    const error = await refusal({ dialect: 'klingon', workflow });
    expect(error.message).toContain('worker-comfyui, worker-comfyui-4, dimhara');
    expect(error.message).not.toContain('klingon');
  });
});

describe('a request of worker-comfyui', () => {
  it('becomes workflow, files and key', async () => {
    const { job, warnings } = await fixtureRequest('worker-comfyui');
    expect(job).toEqual({ workflow, files: [{ name: 'cat.png', data: png }], comfyOrgApiKey: 'not-a-real-key' });
    expect(warnings).toEqual([]);
  });

  it('may be the JSON text of itself', async () => {
    const { dialect, job } = await fixtureRequest('worker-comfyui-text');
    expect(dialect).toBe('worker-comfyui');
    expect(Object.keys(job.workflow)).toEqual(['3', '4', '5', '6', '7', '8', '9']);
  });

  it('may call the key as the documents of that worker do', async () => {
    const { job, warnings } = await readJobRequest({ workflow, api_key_comfy_org: 'b', comfy_org_api_key: 'a' });
    expect(job.comfyOrgApiKey).toBe('a');
    expect(warnings).toHaveLength(1);
  });

  it('may have base64 in lines, null images and keys that nobody reads', async () => {
    const lines = `${png.slice(0, 76)}\n${png.slice(76)}\r\n`;
    const { job } = await readJobRequest({ workflow, images: [{ name: 'cat.png', image: lines, type: 'image' }] });
    expect(job.files?.[0]).toMatchObject({ data: png });
    const extra = await readJobRequest({ workflow, images: null, user: 'x' });
    expect(extra.warnings).toEqual(['Ignored unknown keys: "user".']);
  });

  it('may carry options of ours when it names its dialect', async () => {
    const { job } = await readJobRequest({ dialect: 'worker-comfyui', workflow, images: [], metadata: 'keep' });
    expect(job).toEqual({ workflow, metadata: 'keep' });
  });

  it.each([
    [
      'images.1.image',
      [
        { name: 'a.png', image: png },
        { name: 'b.png', image: 'not base64!' },
      ],
      'FILE_BASE64_INVALID',
    ],
    ['images.0.name', [{ name: '../b.png', image: png }], 'FILE_NAME_UNSAFE'],
    ['images.0.image', [{ name: 'b.png', image: 'https://example.com/b.png?sig=1' }], 'INPUT_INVALID'],
    ['images.0', ['b.png'], 'INPUT_INVALID'],
    ['images', 'b.png', 'INPUT_INVALID'],
  ])('names %s as the caller knows it when that is wrong', async (field, images, code) => {
    const error = await refusal({ workflow, images });
    expect(error.code).toBe(code);
    expect(fieldsOf(error)).toEqual([field]);
    expect(error.message).toContain(`${field}: `);
  });

  it("is refused when the workflow is in the editor's format", async () => {
    expect((await refusal({ workflow: { nodes: [], links: [], version: 0.4 } })).code).toBe('WORKFLOW_EDITOR_FORMAT');
  });
});

describe('params of a seed-style request', () => {
  it('set the seed everywhere, a named input, and the only input of a name', async () => {
    const { job } = await fixtureRequest('seed-style');
    expect(job.injections).toEqual([
      { node: '3', input: 'seed', value: 42 },
      { node: '6', input: 'text', value: 'a fox in snow' },
      { node: '3', input: 'steps', value: 8 },
    ]);
  });

  const two = {
    a: { class_type: 'CLIPTextEncode', inputs: { text: 'yes' } },
    'b.1': { class_type: 'CLIPTextEncode', inputs: { text: 'no', clip: ['a', 0] } },
    c: { class_type: 'KSamplerAdvanced', inputs: { noise_seed: 1 } },
    d: { class_type: 'KSampler', inputs: { seed: ['c', 0] } },
    e: { class_type: 'KSampler', inputs: { seed: 3 } },
  };

  it('leave linked seeds alone and find node ids with dots', async () => {
    const { job, warnings } = await readJobRequest({
      workflow: two,
      params: { seed: 9, 'b.1.text': 'x', 'b.1.clip': 1 },
    });
    expect(job.injections).toEqual([
      { node: 'c', input: 'noise_seed', value: 9 },
      { node: 'e', input: 'seed', value: 9 },
      { node: 'b.1', input: 'text', value: 'x' },
      { node: 'b.1', input: 'clip', value: 1 },
    ]);
    expect(warnings).toEqual(['params."b.1.clip" replaces a link of node "b.1".']);
  });

  it('that fit several inputs are refused with the candidates', async () => {
    const error = await refusal({ workflow: two, params: { text: 'x' } });
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toContain('"a.text" (CLIPTextEncode), "b.1.text" (CLIPTextEncode)');
  });

  it.each([
    ['txt', { txt: 'x' }, '"text"'],
    ['z.text', { 'z.text': 'x' }, 'no node'],
  ])('that fit nothing are refused with the nearest name (%s)', async (_name, params, hint) => {
    const error = await refusal({ workflow: two, params });
    expect(error.code).toBe('INJECTION_TARGET_MISSING');
    expect(error.message).toContain(hint);
  });

  it.each([-1, 1.5, '42', null, 2 ** 60])('refuse %s as a seed', async (seed) => {
    expect(fieldsOf(await refusal({ workflow: two, params: { seed } }))).toEqual(['params."seed"']);
  });

  it('refuse a seed when the workflow has none', async () => {
    expect((await refusal({ workflow, params: { seed: 1 } })).code).toBe('INJECTION_TARGET_MISSING');
  });
});

describe("a request of the seed's worker", () => {
  it('becomes workflow and files, with debug kept', async () => {
    const { job } = await fixtureRequest('dimhara-plain');
    expect(job).toEqual({ workflow, files: [{ name: 'cat.png', data: png }], debug: true });
  });

  it('may be encrypted', async () => {
    const { job, warnings } = await fixtureRequest('dimhara-encrypted');
    expect(job).toEqual({ workflow, files: [{ name: 'cat.png', data: png }], debug: false });
    expect(warnings).toEqual([expect.stringContaining('encrypt_output')]);
    expect((await fixtureRequest('dimhara-sealed')).warnings).toEqual([]);
  });

  it('that is encrypted is refused with what to configure when the worker has no key', async () => {
    const error = await refusal(await dialectFixture('dimhara-encrypted'));
    expect(error.code).toBe('CONFIG_MISSING');
    expect(error.message).toContain('ENCRYPTION_KEY');
  });

  it('that is encrypted is refused when it is too old for the limit of the worker', async () => {
    const input = await dialectFixture('dimhara-encrypted');
    const error = await refusal(input, { fernetKey: testFernetKey, fernetTtlSeconds: 60 });
    expect(fieldsOf(error)).toEqual(['encrypted_input']);
  });

  it.each([
    ['without a token', { is_encrypted: true, workflow }],
    ['with a token that is none', { encrypted_input: 'gAAAAA==' }],
    ['with a token of another type', { encrypted_input: 7, is_encrypted: true }],
  ])('that says it is encrypted is refused %s', async (_what, input) => {
    expect(fieldsOf(await refusal(input, { fernetKey: testFernetKey }))).toEqual(['encrypted_input']);
  });

  it('has its file names kept out of errors, because it may have encrypted them', async () => {
    const error = await refusal({ workflow, images: { 'private-name.png': png, 'other-name.png': '%%%' } });
    expect(error.message).toContain('images, entry 2');
    expect(JSON.stringify([error.message, error.issues])).not.toContain('-name');
  });
});

describe('a request of ComfyGen', () => {
  it('becomes workflow, file, injections and time limit', async () => {
    const { job } = await fixtureRequest('comfygen');
    expect(job.files).toEqual([{ name: 'start.png', data: png }]);
    expect(job.injections).toEqual([
      { node: '10', input: 'image', file: 'start.png' },
      { node: '3', input: 'seed', value: 7 },
      { node: '3', input: 'steps', value: 12 },
    ]);
    expect(job.limits).toEqual({ executionMs: 120_000 });
  });

  it.each([
    ['command', { command: 'list_models' }],
    ['timeout', { workflow, overrides: {}, timeout: 'long' }],
    ['timeout', { workflow, overrides: {}, timeout: -5 }],
    [
      'file_inputs."10".url',
      { workflow, file_inputs: { '10': { field: 'image', url: 'http://example.com/a?sig=1', filename: 'a.png' } } },
    ],
    ['overrides."1"', { workflow, overrides: { '1': 4 } }],
  ])('is refused for %s with the field and what to do', async (field, input) => {
    const error = await refusal(input);
    expect(fieldsOf(error)).toEqual([field]);
    expect(error.nextStep).not.toBe('');
  });

  it('is refused when an override names a node that is not there', async () => {
    expect((await refusal({ workflow, overrides: { '77': { seed: 1 } } })).code).toBe('INJECTION_TARGET_MISSING');
  });
});

describe('a request of cog-comfyui', () => {
  it('becomes workflow with fresh seeds, the input file and temp outputs', async () => {
    const { job } = await fixtureRequest('cog');
    expect(job.workflow['3']?.inputs['seed']).toBe(4_711);
    expect(job.files).toEqual([{ name: 'input.png', data: png }]);
    expect(job.outputs).toEqual({ temp: true });
  });

  const text = JSON.stringify({ '1': { class_type: 'KSampler', inputs: { seed: 5, noise_seed: ['2', 0] } } });

  it('keeps its seeds when it says so', async () => {
    const { job } = await readJobRequest({ workflow_json: text, randomise_seeds: false });
    expect(job.workflow['1']?.inputs['seed']).toBe(5);
  });

  it('gets a seed of its own every time otherwise, and links stay', async () => {
    const jobs = await Promise.all([1, 2, 3].map(() => readJobRequest({ workflow_json: text })));
    expect(new Set(jobs.map(({ job }) => job.workflow['1']?.inputs['seed'])).size).toBe(3);
    expect(jobs[0]?.job.workflow['1']?.inputs['noise_seed']).toEqual(['2', 0]);
  });

  it('may have the workflow as a data URL', async () => {
    const url = `data:application/json;base64,${Buffer.from(text).toString('base64')}`;
    expect((await readJobRequest({ workflow_json: url, randomise_seeds: false })).job.workflow).toEqual(
      JSON.parse(text),
    );
  });

  it.each([
    ['workflow_json', { workflow_json: 'https://example.com/w.json' }],
    ['workflow_json', { workflow_json: '' }],
    ['workflow_json', { workflow_json: '{"1":' }],
    ['workflow_json', { workflow_json: 'data:application/json;base64,%%' }],
    ['input_file', { workflow_json: text, input_file: 'http://example.com/a.png' }],
    ['input_file', { workflow_json: text, input_file: 'https://example.com/many.tar?sig=1' }],
    ['input_file', { workflow_json: text, input_file: 5 }],
    [
      'input_file',
      {
        workflow_json: text,
        input_file: `data:application/zip;base64,${Buffer.from('PK\x03\x04 rest').toString('base64')}`,
      },
    ],
    ['output_format', { workflow_json: text, output_format: 'webp' }],
    ['output_quality', { workflow_json: text, output_quality: 80 }],
    ['randomise_seeds', { workflow_json: text, randomise_seeds: 'no' }],
  ])('is refused for %s with the field and what to do (%#)', async (field, input) => {
    const error = await refusal(input);
    expect(fieldsOf(error)).toEqual([field]);
    expect(error.nextStep).not.toBe('');
  });

  it('is refused for a tar archive, which has its mark far behind', async () => {
    const tar = Buffer.alloc(1_024);
    tar.write('ustar', 257);
    const input = { workflow_json: text, input_file: tar.toString('base64') };
    expect((await refusal(input)).message).toContain('archives');
  });
});

describe('a request of the ai-dock wrapper', () => {
  it('has its placeholders filled and empty blocks taken as absent', async () => {
    const { job, warnings } = await fixtureRequest('ai-dock');
    expect(job.workflow['3']?.inputs['seed']).toBe(4_711);
    expect(job.workflow['9']?.inputs['filename_prefix']).toBe('run-4711');
    expect(warnings).toEqual([]);
  });

  it.each([
    ['modifier', { modifier: 'Text2Image', modifications: { prompt: 'a' } }],
    ['modifications', { workflow_json: workflow, modifications: { prompt: 'a' } }],
    ['s3', { workflow_json: workflow, s3: { bucket_name: 'b', access_key_id: 'k' } }],
    ['webhook', { workflow_json: workflow, webhook: { url: 'https://example.com/hook' } }],
    ['request_id', { workflow_json: workflow, request_id: 5 }],
  ])('is refused for %s', async (field, input) => {
    expect(fieldsOf(await refusal(input))).toEqual([field]);
  });
});

describe('a request of comfyui-api or of ComfyUI itself', () => {
  it('has the files inside the graph moved out, named after their node', async () => {
    const { job } = await fixtureRequest('salad');
    expect(job.workflow['1']?.inputs['image']).toBe('1-image.jpg');
    expect(job.workflow['3']?.inputs['image']).toBe('3-image.png');
    expect(job.files?.map((file) => file.name)).toEqual(['1-image.jpg', '3-image.png']);
    expect(job.files?.[1]).toMatchObject({ data: png });
  });

  it('takes the key where ComfyUI has it', async () => {
    const { job, warnings } = await fixtureRequest('comfyui-prompt-body');
    expect(job).toEqual({ workflow, comfyOrgApiKey: 'not-a-real-key' });
    expect(warnings).toEqual([]);
  });

  it('leaves prompts that look a little like base64 alone', async () => {
    const prompt = {
      '1': { class_type: 'CLIPTextEncode', inputs: { text: png } },
      '2': { class_type: 'X', inputs: { image: 'abcd' } },
    };
    expect((await readJobRequest({ prompt })).job).toEqual({ workflow: prompt });
  });

  it.each([
    ['s3', { bucket: 'b', prefix: 'p' }],
    ['hf_upload', { repo: 'r' }],
    ['azure_blob_upload', { container: 'c' }],
    ['http_upload', { url_prefix: 'https://example.com' }],
    ['webhook', 'https://example.com/hook'],
    ['webhook_v2', 'https://example.com/hook'],
    ['credentials', [{ url_pattern: '*', auth: { type: 'bearer', token: 't' } }]],
    ['convert_output', { format: 'webp' }],
  ])('is refused for %s, never silently without it', async (field, value) => {
    const error = await refusal({ prompt: workflow, [field]: value });
    expect(error.code).toBe('INPUT_INVALID');
    expect(fieldsOf(error)).toEqual([field]);
    expect(error.nextStep).toMatch(/Leave it out|RunPod/);
  });

  it.each([
    ['http', { class_type: 'LoadImage', inputs: { image: 'http://example.com/a.png' } }, 'INPUT_URL_REFUSED'],
    ['a password', { class_type: 'LoadImage', inputs: { image: 'https://u:p@example.com/' } }, 'INPUT_URL_REFUSED'],
    [
      'a model as an address',
      { class_type: 'LoraLoader', inputs: { lora_name: 'https://example.com/a' } },
      'INPUT_INVALID',
    ],
    ['a path of the worker', { class_type: 'LoadImage', inputs: { image: '/etc/passwd' } }, 'FILE_NAME_UNSAFE'],
    ['a way out of the folder', { class_type: 'LoadVideo', inputs: { file: '../../etc/passwd' } }, 'FILE_NAME_UNSAFE'],
  ])('is refused for %s in a loader', async (_what, node, code) => {
    expect((await refusal({ prompt: { '1': node } })).code).toBe(code);
  });

  it('passes an address on where no loader is known, and says so', async () => {
    const prompt = { '1': { class_type: 'FetchPage', inputs: { page: 'https://example.com/' } } };
    const { job, warnings } = await readJobRequest({ prompt });
    expect(job.workflow).toEqual(prompt);
    expect(warnings).toEqual([expect.stringContaining('"1"."page"')]);
  });
});

describe('a bare graph', () => {
  it('is the workflow', async () => {
    expect((await fixtureRequest('raw')).job).toEqual({ workflow });
  });

  it('is refused with the path inside the graph', async () => {
    const error = await refusal({ '1': { class_type: '' } });
    expect(error.code).toBe('WORKFLOW_INVALID');
    expect(fieldsOf(error)).toEqual(['1.class_type']);
  });
});
