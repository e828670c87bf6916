// What is known of the place decides what is an error; and advice that stops nothing.
import { beforeAll, describe, expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { type ObjectInfo, type ValidateOptions, validateWorkflow } from '../../../client/workflow/index.ts';
import type { Workflow } from '../../../shared/index.ts';

let core: ObjectInfo;
beforeAll(async () => {
  ({ objectInfo: core } = await loadObjectInfo());
});

type Inputs = Readonly<Record<string, unknown>>;
const node = (class_type: string, inputs: Inputs = {}) => ({ class_type, inputs: { ...inputs } });
const save = (from: string, slot = 0) => node('SaveImage', { images: [from, slot], filename_prefix: 'x' });
const blank = (more: Inputs = {}) => node('EmptyImage', { width: 8, height: 8, batch_size: 1, color: 0, ...more });

function adviceOf(workflow: Workflow, options: ValidateOptions = {}, objectInfo = core) {
  return validateWorkflow(workflow, objectInfo, options).advice.map(({ kind, nodes }) => `${kind} ${nodes.join(' ')}`);
}

function errorsOf(workflow: Workflow, options: ValidateOptions = {}, objectInfo = core) {
  return validateWorkflow(workflow, objectInfo, options).errors.map(({ type, node: id, input }) =>
    [type, id, input].filter((part) => part !== undefined).join(' '),
  );
}

describe('a class that is not declared', () => {
  const workflow = { '1': node('KSamplr'), '2': save('1') };

  it('is an error with the nearest names where the declarations are those of the place', () => {
    const [error] = validateWorkflow(workflow, core, { failedPacks: [{ pack: 'ComfyUI-Broken' }] }).errors;
    expect(error).toMatchObject({ type: 'invalid_prompt', node: '1', details: "Node ID '#1'", nearest: ['KSampler'] });
    expect(error?.summary).toContain('ComfyUI-Broken');
  });

  it('is advice where they are of another ComfyUI, and an error again where the names of all classes are known', () => {
    expect(errorsOf(workflow, { exact: false })).toEqual([]);
    expect(adviceOf(workflow, { exact: false })).toContain('class_unknown 1');
    const classNames = new Set(['SaveImage', 'OnlyThere']);
    expect(errorsOf(workflow, { exact: false, classNames })).toEqual(['invalid_prompt 1']);
    expect(errorsOf({ '1': node('OnlyThere'), '2': save('1') }, { exact: false, classNames })).toEqual([]);
  });
});

describe('a model', () => {
  const workflow = {
    '1': node('CheckpointLoaderSimple', { ckpt_name: 'sd_xl_bas_1.0.safetensors' }),
    '2': node('VAEDecode', { samples: ['3', 0], vae: ['1', 2] }),
    '3': node('EmptyLatentImage', { width: 64, height: 64, batch_size: 1 }),
    '4': save('2'),
  };

  it('that the worker does not have is named with the nearest that it has, also by the list of models alone', () => {
    const models = { checkpoints: ['v1-5.safetensors', 'SDXL/sd_xl_base_1.0.safetensors'] };
    const [error, ...others] = validateWorkflow(workflow, core, { exact: false, models }).errors;
    expect(others).toEqual([]);
    expect(error).toMatchObject({ type: 'value_not_in_list', node: '1', input: 'ckpt_name' });
    expect(error?.nearest).toEqual(['SDXL/sd_xl_base_1.0.safetensors']);
    expect(errorsOf(workflow, { exact: false, models: { checkpoints: ['sd_xl_bas_1.0.safetensors'] } })).toEqual([]);
  });

  it('of which nothing is known is mentioned, once for all of them', () => {
    expect(errorsOf(workflow, { exact: false })).toEqual([]);
    expect(adviceOf(workflow, { exact: false })).toEqual(['model_unknown 1']);
  });

  it('that two nodes load is loaded twice, unless they load it differently', () => {
    const twice = {
      ...workflow,
      '5': workflow['1'],
      '6': node('VAEDecode', { samples: ['3', 0], vae: ['5', 2] }),
      '7': save('6'),
    };
    const here = { exact: false, models: { checkpoints: ['sd_xl_bas_1.0.safetensors'] } };
    expect(adviceOf(twice, here)).toEqual(['model_loaded_twice 1 5']);
    const other = {
      ...twice,
      '5': node('CheckpointLoader', { ckpt_name: 'sd_xl_bas_1.0.safetensors', config_name: 'v1-inference.yaml' }),
    };
    expect(adviceOf(other, here)).toEqual([]);
  });
});

describe('a class of a custom-node pack', () => {
  const pack = {
    python_module: 'custom_nodes.pack',
    input: {
      required: { mode: [['a', 'b'], {}], amount: ['INT', { min: 0, max: 3 }], image: ['IMAGE', {}], any: ['*', {}] },
    },
    output: ['IMAGE'],
    output_node: false,
  };

  it('may check its inputs itself, so that lists, bounds and link types are advice; what ComfyUI checks always is an error', () => {
    const objectInfo = { ...core, Pack: pack };
    const latent = node('EmptyLatentImage', { width: 64, height: 64, batch_size: 1 });
    const workflow = {
      '1': latent,
      '2': node('Pack', { mode: 'c', amount: 9, image: ['1', 0], any: ['1', 0] }),
      '3': save('2', 7),
    };
    expect(errorsOf(workflow, {}, objectInfo)).toEqual([]);
    expect(adviceOf(workflow, {}, objectInfo)).toEqual([
      'value_doubtful 2',
      'value_doubtful 2',
      'link_doubtful 2',
      'link_doubtful 3',
    ]);
    expect(
      errorsOf({ '1': latent, '2': node('Pack', { amount: 'many', any: ['8', 0] }), '3': save('2') }, {}, objectInfo),
    ).toEqual([
      'required_input_missing 2 mode',
      'invalid_input_type 2 amount',
      'required_input_missing 2 image',
      'exception_during_inner_validation 2 any',
    ]);
  });

  it('whose inputs are made at run time is not judged by what it declares', () => {
    const dynamic = {
      input: { required: { many: ['COMFY_AUTOGROW_V3', {}], kind: ['COMFY_DYNAMICCOMBO_V3', {}] } },
      output: ['COMFY_MATCHTYPE_V3'],
    };
    const workflow = {
      '1': blank(),
      '2': node('Dynamic', { 'many.image0': ['1', 0], kind: 'x', 'kind.depth': 3 }),
      '3': save('2'),
    };
    expect(errorsOf(workflow, {}, { ...core, Dynamic: dynamic })).toEqual([]);
    expect(adviceOf(workflow, {}, { ...core, Dynamic: dynamic })).toEqual([]);
  });
});

describe('advice about the whole', () => {
  it('names the ends of branches that lead to no output', () => {
    const workflow = {
      '1': blank(),
      '2': save('1'),
      '3': node('ImageInvert', { image: ['1', 0] }),
      '4': node('ImageInvert', { image: ['3', 0] }),
    };
    expect(adviceOf(workflow)).toEqual(['unreached 4']);
  });

  it('tells previews that cost time, and results that would not come back at all', () => {
    const preview = node('PreviewImage', { images: ['1', 0] });
    expect(adviceOf({ '1': blank(), '2': save('1'), '3': preview })).toEqual(['preview 3']);
    expect(adviceOf({ '1': blank(), '3': preview })).toEqual(['only_previews 3']);
  });

  it('tells a constant where only another node can deliver', () => {
    expect(adviceOf({ '2': node('SaveImage', { images: 'photo.png', filename_prefix: 'x' }) })).toEqual([
      'link_expected 2',
    ]);
  });

  it('a link that leads nowhere is an error also at an input that the class does not declare: ComfyUI would stop working', () => {
    expect(errorsOf({ '1': blank({ extra: ['77', 0] }), '2': save('1') })).toEqual([
      'exception_during_inner_validation 1 extra',
    ]);
  });

  it('is found in a chain of ten thousand nodes, too', () => {
    const chain: Record<string, ReturnType<typeof node>> = { '0': blank() };
    for (let i = 1; i < 9_998; i++) chain[String(i)] = node('ImageInvert', { image: [String(i - 1), 0] });
    expect(errorsOf({ ...chain, end: save('9997') })).toEqual([]);
    chain['0'] = node('ImageInvert', { image: ['9997', 0] });
    expect(errorsOf({ ...chain, end: save('9997') })[0]).toContain('dependency_cycle');
  });
});

describe('PNG results that are larger than one answer', () => {
  const latent = (width: number, height: number, batch: number) =>
    node('EmptyLatentImage', { width, height, batch_size: batch });
  const decoded = (from: string) => node('VAEDecode', { samples: [from, 0], vae: ['9', 2] });
  const vae = node('CheckpointLoaderSimple', { ckpt_name: 'm.safetensors' });
  const here = { exact: false, models: { checkpoints: ['m.safetensors'] } };
  const large = (workflow: Workflow, resultBytes?: number) =>
    validateWorkflow(workflow, core, { ...here, ...(resultBytes !== undefined && { resultBytes }) }).advice.find(
      ({ kind }) => kind === 'large_png',
    )?.message;

  it('are estimated from sizes, batches and scales along the way', () => {
    const base = { '9': vae, '2': decoded('1'), '3': save('2') };
    expect(large({ ...base, '1': latent(1024, 1024, 4) })).toBeUndefined();
    expect(large({ ...base, '1': latent(1024, 1024, 8) })).toContain('3: 8 x 1024 x 1024');
    expect(large({ ...base, '1': latent(1024, 1024, 8) }, 20 * 1024 ** 2)).toBeUndefined();
    const scaled = {
      ...base,
      '1': latent(1024, 1024, 1),
      '4': node('ImageScaleBy', { image: ['2', 0], upscale_method: 'area', scale_by: 4 }),
      '3': save('4'),
    };
    expect(large(scaled)).toContain('3: 1 x 4096 x 4096');
    const model = {
      ...base,
      '1': latent(1024, 1024, 1),
      '5': node('UpscaleModelLoader', { model_name: '4x-UltraSharp.pth' }),
      '4': node('ImageUpscaleWithModel', { image: ['2', 0], upscale_model: ['5', 0] }),
      '3': save('4'),
    };
    expect(large(model)).toContain('3: 1 x 4096 x 4096');
    const repeated = {
      ...base,
      '1': latent(1024, 1024, 2),
      '4': node('RepeatImageBatch', { image: ['2', 0], amount: 5 }),
      '3': save('4'),
    };
    expect(large(repeated)).toContain('3: 10 x 1024 x 1024');
  });

  it('are not guessed where the size is not in the workflow', () => {
    expect(large({ '1': node('LoadImage', { image: 'huge.png' }), '3': save('1') })).toBeUndefined();
  });
});
