// Prompts, seeds and values put into workflows: the right place, nothing else, and a clear word where there is no one right place.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { injectWorkflow } from '../../../client/workflow/inject/inject-workflow.ts';
import { findSeeds } from '../../../client/workflow/inject/seeds.ts';
import { tracePrompts } from '../../../client/workflow/inject/trace-prompts.ts';
import { isLink, type Workflow, workflowSchema } from '../../../shared/index.ts';

const folder = join(import.meta.dirname, '../../fixtures/workflows');
const expected = JSON.parse(readFileSync(join(folder, 'expected-prompts.json'), 'utf8')) as Record<
  string,
  { positive: string[]; negative: string[] }
>;
const { objectInfo } = await loadObjectInfo();
const pairs = readdirSync(join(folder, 'pairs')).map((file) => ({
  name: file.replace(/\.json$/, ''),
  workflow: workflowSchema.parse(JSON.parse(readFileSync(join(folder, 'pairs', file), 'utf8')).prompt),
}));

const ksampler = (inputs: Record<string, unknown> = {}) => ({
  class_type: 'KSampler',
  inputs: {
    seed: 1,
    steps: 20,
    cfg: 7,
    sampler_name: 'euler',
    scheduler: 'normal',
    denoise: 1,
    model: ['4', 0],
    positive: ['6', 0],
    negative: ['7', 0],
    latent_image: ['5', 0],
    ...inputs,
  },
});
const encode = (text: unknown, title?: string) => ({
  class_type: 'CLIPTextEncode',
  inputs: { text, clip: ['4', 1] },
  ...(title !== undefined && { _meta: { title } }),
});
const plain = (nodes: Record<string, unknown> = {}): Workflow =>
  workflowSchema.parse({
    '3': ksampler(),
    '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'a.safetensors' } },
    '5': { class_type: 'EmptyLatentImage', inputs: { width: 512, height: 512, batch_size: 1 } },
    '6': encode('a cat'),
    '7': encode('blurry'),
    ...nodes,
  });

describe('the prompts of real workflows', () => {
  it('there are expectations for all 40', () => {
    expect(pairs.map(({ name }) => name).toSorted()).toEqual(Object.keys(expected).toSorted());
    expect(pairs).toHaveLength(40);
  });

  it.for(pairs)(
    '$name: the texts that a person would call positive and negative, with and without declarations',
    ({ name, workflow }) => {
      for (const known of [objectInfo, undefined]) {
        const traced = tracePrompts(workflow, known);
        expect(traced.positive.map(({ node }) => node).toSorted()).toEqual(expected[name]?.positive.toSorted());
        expect(traced.negative.map(({ node }) => node).toSorted()).toEqual(expected[name]?.negative.toSorted());
      }
    },
  );

  it.for(pairs)('$name: --prompt changes the positive text only, or names the candidates', ({ name, workflow }) => {
    const want = expected[name]?.positive ?? [];
    const texts = new Set(want.map((node) => JSON.stringify(workflow[node]?.inputs['text'])));
    const inject = () => injectWorkflow(workflow, { prompt: 'NEW TEXT' }, { objectInfo });
    if (want.length === 0 || (want.length > 1 && texts.size > 1)) {
      const code = want.length === 0 ? 'INJECTION_TARGET_MISSING' : 'INJECTION_AMBIGUOUS';
      expect(inject).toThrow(expect.objectContaining({ code }));
      return;
    }
    const { workflow: changed } = inject();
    for (const [id, node] of Object.entries(workflow)) {
      if (!want.includes(id)) expect(changed[id]).toEqual(node);
    }
    expect(JSON.stringify(changed)).toContain('NEW TEXT');
  });
});

describe('--prompt and --negative', () => {
  it('both texts of an SDXL encoder, of Flux and of Qwen are one prompt', () => {
    for (const [classType, names] of [
      ['CLIPTextEncodeSDXL', ['text_g', 'text_l']],
      ['CLIPTextEncodeFlux', ['clip_l', 't5xxl']],
      ['TextEncodeQwenImageEditPlus', ['prompt']],
    ] as const) {
      const texts = Object.fromEntries(names.map((name) => [name, 'old']));
      const workflow = plain({ '6': { class_type: classType, inputs: { clip: ['4', 1], width: 1024, ...texts } } });
      const { workflow: changed } = injectWorkflow(workflow, { prompt: 'new' }, { objectInfo });
      for (const name of names) expect(changed['6']?.inputs[name]).toBe('new');
      expect(changed['6']?.inputs['width']).toBe(1024);
    }
  });

  it('a linked text is set where it comes from, through primitives and relays', () => {
    const workflow = plain({
      '6': encode(['10', 0]),
      '10': { class_type: 'PrimitiveStringMultiline', inputs: { value: 'a cat' } },
    });
    const { workflow: changed } = injectWorkflow(workflow, { prompt: 'a dog' }, { objectInfo });
    expect(changed['10']?.inputs['value']).toBe('a dog');
    expect(changed['6']?.inputs['text']).toEqual(['10', 0]);
  });

  it('a text that is joined of several is an ambiguity, and so are several prompts of one sampler', () => {
    const joined = plain({
      '6': encode(['10', 0]),
      '10': { class_type: 'StringConcatenate', inputs: { string_a: 'a', string_b: 'b', delimiter: ', ' } },
    });
    expect(() => injectWorkflow(joined, { prompt: 'x' }, { objectInfo })).toThrow('2 different texts');
    const combined = plain({
      '3': ksampler({ positive: ['8', 0] }),
      '8': { class_type: 'ConditioningCombine', inputs: { conditioning_1: ['6', 0], conditioning_2: ['9', 0] } },
      '9': encode('a hat', 'Hat'),
    });
    const error = (() => {
      try {
        injectWorkflow(combined, { prompt: 'x' }, { objectInfo });
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    expect(error).toMatchObject({ issues: [{ node: '6' }, { node: '9' }] });
    // Errors may be logged: they say where, never what.
    expect(JSON.stringify(error)).not.toContain('a hat');
  });

  it('equal texts of a base and a refiner are set together', () => {
    const workflow = plain({ '20': ksampler({ positive: ['21', 0] }), '21': encode('a cat') });
    const { workflow: changed } = injectWorkflow(workflow, { prompt: 'a dog' });
    expect([changed['6']?.inputs['text'], changed['21']?.inputs['text']]).toEqual(['a dog', 'a dog']);
  });

  it('a text that is positive and negative at once, and a zeroed negative, are told and never changed', () => {
    const both = plain({ '3': ksampler({ negative: ['6', 0] }) });
    expect(() => injectWorkflow(both, { prompt: 'x' })).toThrow('positive and negative');
    const zeroed = plain({
      '3': ksampler({ negative: ['8', 0] }),
      '8': { class_type: 'ConditioningZeroOut', inputs: { conditioning: ['6', 0] } },
    });
    expect(() => injectWorkflow(zeroed, { negative: 'x' })).toThrow('zeroed out by node 8');
    expect(injectWorkflow(zeroed, { prompt: 'x' }).workflow['6']?.inputs['text']).toBe('x');
  });

  it('nodes that carry both conditionings keep them apart', () => {
    const workflow = plain({
      '3': ksampler({ positive: ['8', 0], negative: ['8', 1] }),
      '8': { class_type: 'ControlNetApplyAdvanced', inputs: { positive: ['6', 0], negative: ['7', 0], strength: 1 } },
    });
    const { workflow: changed } = injectWorkflow(workflow, { prompt: 'p', negative: 'n' }, { objectInfo });
    expect([changed['6']?.inputs['text'], changed['7']?.inputs['text']]).toEqual(['p', 'n']);
  });
});

describe('prompts behind less usual nodes', () => {
  const changed = (workflow: Workflow, request: { prompt?: string; negative?: string }, known = true) =>
    injectWorkflow(workflow, request, known ? { objectInfo } : {}).report.changes.map(
      ({ node, input }) => `${node}.${input}`,
    );

  it.for([true, false])('a negative text in the encoder of a pack is found (classes known: %s)', (known) => {
    const workflow = plain({ '7': { class_type: 'Some TextEncode', inputs: { clip: ['4', 1], text: 'blurry' } } });
    expect(changed(workflow, { negative: 'x' }, known)).toEqual(['7.text']);
    expect(changed(workflow, { prompt: 'x' }, known)).toEqual(['6.text']);
  });

  it('the own text of a node that passes conditionings on is not a prompt', () => {
    const workflow = plain({
      '3': ksampler({ positive: ['8', 0], negative: ['8', 1] }),
      '8': { class_type: 'WanTrackToVideo', inputs: { positive: ['6', 0], negative: ['7', 0], tracks: '[]' } },
    });
    expect(changed(workflow, { prompt: 'x' })).toEqual(['6.text']);
    expect(changed(workflow, { negative: 'x' })).toEqual(['7.text']);
  });

  it('a guider with three different texts has two that could be the negative one', () => {
    const workflow = plain({
      '3': {
        class_type: 'DualCFGGuider',
        inputs: { model: ['4', 0], cond1: ['6', 0], cond2: ['8', 0], negative: ['7', 0] },
      },
      '8': encode('a second wish'),
    });
    expect(() => changed(workflow, { negative: 'x' })).toThrow('2 different texts');
    expect(changed(workflow, { prompt: 'x' })).toEqual(['6.text']);
  });
});

describe('--seed', () => {
  const linked = plain({
    '3': ksampler({ seed: ['30', 0] }),
    '30': { class_type: 'PrimitiveInt', inputs: { value: 5 } },
  });

  it('every seed is found, and one that is linked is set at its source', () => {
    expect(findSeeds(linked, objectInfo).map(({ node, inputs }) => `${node}.${inputs[0]}`)).toEqual(['30.value']);
    const { workflow, report } = injectWorkflow(linked, { seed: '77' }, { objectInfo });
    expect(workflow['30']?.inputs['value']).toBe(77);
    expect(workflow['3']?.inputs['seed']).toEqual(['30', 0]);
    expect(report.seeds).toEqual({ '30.value': 77 });
  });

  it('a number that feeds a width is no seed, although the editor can change it after a run', () => {
    const { '5': latent } = plain();
    const sized = { ...linked, '5': { ...latent, inputs: { ...latent?.inputs, width: ['31', 0] } } };
    const workflow = workflowSchema.parse({ ...sized, '31': { class_type: 'PrimitiveInt', inputs: { value: 512 } } });
    const { workflow: changed, report } = injectWorkflow(workflow, { seed: '77' }, { objectInfo });
    expect(report.seeds).toEqual({ '30.value': 77 });
    expect(changed['31']?.inputs['value']).toBe(512);
  });

  it('random seeds are whole, within the range, and come from the given chance', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (chance) => {
        const { report } = injectWorkflow(plain(), { seed: 'random' }, { objectInfo, random: () => chance });
        const seed = report.seeds['3.seed'] ?? -1;
        expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
      }),
    );
  });

  it('random is one number for every seed, which brings the same result again, within the range of each', () => {
    const two = workflowSchema.parse({ ...plain(), '40': { class_type: 'Noise', inputs: { noise_seed: 7 } } });
    const narrow = { ...objectInfo, Noise: { input: { required: { noise_seed: ['INT', { min: 5, max: 9 }] } } } };
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (chance) => {
        const random = () => chance;
        const { workflow, report } = injectWorkflow(two, { seed: 'random' }, { objectInfo: narrow, random });
        const [seed = -1, ...others] = Object.values(report.seeds);
        expect([others, seed >= 5 && seed <= 9]).toEqual([[seed], true]);
        const again = injectWorkflow(two, { seed: String(seed) }, { objectInfo: narrow });
        expect(again.workflow).toEqual(workflow);
      }),
    );
    const apart = { ...objectInfo, Noise: { input: { required: { noise_seed: ['INT', { min: 5e15, max: 6e15 }] } } } };
    const { report } = injectWorkflow(two, { seed: 'random' }, { objectInfo: apart, random: () => 0.5 });
    expect(Object.keys(report.seeds)).toHaveLength(2);
  });

  it('keep is the default, and a seed that cannot be carried exactly is refused', () => {
    expect(injectWorkflow(plain(), {}).workflow).toEqual(plain());
    expect(() => injectWorkflow(plain(), { seed: '18446744073709551615' })).toThrow('--seed takes');
    expect(() => injectWorkflow(plain(), { seed: '1.5' })).toThrow('--seed takes');
  });
});

describe('--set', () => {
  const set = (text: string, workflow = plain()) => injectWorkflow(workflow, { set: [text] }, { objectInfo }).workflow;

  it('by id, class and title, as the type that the input has', () => {
    expect(set('3.cfg=4.5')['3']?.inputs['cfg']).toBe(4.5);
    expect(set('KSampler.steps=30')['3']?.inputs['steps']).toBe(30);
    expect(set('Positive.text=3', plain({ '6': encode('a cat', 'Positive') }))['6']?.inputs['text']).toBe('3');
    expect(set('ksampler.sampler_name=dpmpp_2m')['3']?.inputs['sampler_name']).toBe('dpmpp_2m');
    expect(set('CheckpointLoaderSimple.ckpt_name=other.safetensors')['4']?.inputs['ckpt_name']).toBe(
      'other.safetensors',
    );
  });

  it('a title may hold an equals sign, and so may a value', () => {
    const titled = plain({ '6': encode('a cat', 'weight=1.5 (main)') });
    expect(set('weight=1.5 (main).text=a=b.c=d', titled)['6']?.inputs['text']).toBe('a=b.c=d');
    expect(set('6.text=x.y=z', titled)['6']?.inputs['text']).toBe('x.y=z');
  });

  it.for([
    ['3.steps=many', 'whole number'],
    ['3.steps=2.5', 'whole number'],
    ['3.denoise=2', 'no more than 1'],
    ['3.steps=0', 'no less than 1'],
    ['3.sampler_name=eular', 'does not have that choice'],
    ['3.model=x', 'is filled by node 4'],
    ['3.stepz=3', 'has no input'],
    ['Sampler9.steps=3', 'No node has'],
    ['CLIPTextEncode.text=x', 'could mean 2 inputs: 6.text (CLIPTextEncode), 7.text (CLIPTextEncode)'],
    ['steps=3', 'is not NODE.input=value'],
  ])('%s is refused: %s', ([text = '', why = '']) => {
    expect(() => set(text)).toThrow(why);
  });

  it('a slip in --set does not repeat what may be a prompt', () => {
    expect(() => set('6=a very private text')).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.not.stringContaining('private') }),
    );
  });

  it('an input that takes links only takes no value', () => {
    const workflow = plain({ '12': { class_type: 'ControlNetApplyAdvanced', inputs: { strength: 1 } } });
    expect(() => set('12.vae=x', workflow)).toThrow('takes a link');
  });

  it('a typing error is answered with what was probably meant', () => {
    for (const [text, nextStep] of [
      ['3.stepz=3', 'steps'],
      ['KSampel.steps=3', 'KSampler'],
      ['3.sampler_name=eular', 'euler'],
    ] as const) {
      expect(() => set(text)).toThrow(expect.objectContaining({ nextStep: expect.stringContaining(nextStep) }));
    }
  });
});

describe('whatever is injected', () => {
  const anyPair = fc.constantFrom(...pairs);
  const links = (workflow: Workflow) =>
    Object.entries(workflow).flatMap(([id, node]) =>
      Object.entries(node.inputs)
        .filter(([, value]) => isLink(value))
        .map(([name, value]) => `${id}.${name}=${JSON.stringify(value)}`),
    );

  it('no link changes, no other input changes, the given workflow stays, and a second time changes nothing', () => {
    fc.assert(
      fc.property(anyPair, fc.string({ maxLength: 40 }), fc.nat({ max: 2 ** 40 }), ({ name, workflow }, text, seed) => {
        const before = structuredClone(workflow);
        const single = expected[name]?.positive.length === 1;
        const request = {
          ...(single && { prompt: text }),
          ...(findSeeds(workflow, objectInfo).length > 0 && { seed: `${seed}` }),
        };
        const { workflow: once, report } = injectWorkflow(workflow, request, { objectInfo });
        expect(workflow).toEqual(before);
        expect(links(once)).toEqual(links(before));
        const changed = new Set(report.changes.map(({ node, input }) => `${node}.${input}`));
        for (const [id, node] of Object.entries(before)) {
          for (const [input, value] of Object.entries(node.inputs)) {
            if (!changed.has(`${id}.${input}`)) expect(once[id]?.inputs[input]).toEqual(value);
          }
        }
        const twice = injectWorkflow(once, request, { objectInfo });
        expect(twice.workflow).toEqual(once);
        expect(twice.report.changes).toEqual([]);
      }),
    );
  });
});
