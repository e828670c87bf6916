import { describe, expect, it } from 'vitest';
import { convert, graph, inputsOf, type NodeSketch, node } from './editor-graphs.ts';

/** Inputs of a single node with these values. */
function one(type: string, values?: unknown, sketch: NodeSketch = {}): Record<string, unknown> | undefined {
  return inputsOf(graph([node(1, type, { ...sketch, ...(values !== undefined && { values }) })]))['1'];
}

describe('the slot of "control after generate"', () => {
  const expected = { seed: 5, steps: 25, sampler: 'euler', denoise: 0.5 };
  it.each([
    ['a word', [5, 'randomize', 25, 'euler', 0.5]],
    ['a boolean of old files', [5, true, 25, 'euler', 0.5]],
    ['the word of newer combos', [5, 'increment-wrap', 25, 'euler', 0.5]],
    ['nothing', [5, null, 25, 'euler', 0.5]],
    ['absent', [5, 25, 'euler', 0.5]],
  ])('is stepped over when it holds %s, and leaves the seed as saved', (_, values) => {
    expect(one('Sample', values)).toEqual(expected);
  });

  it('is found behind a seed that is not flagged, and not mistaken for the boolean that follows', () => {
    expect(one('OldSeed', [9, 'fixed', false])).toEqual({ noise_seed: 9, enabled: false });
    expect(one('OldSeed', [9, true, false])).toEqual({ noise_seed: 9, enabled: false });
    expect(one('OldSeed', [9, false])).toEqual({ noise_seed: 9, enabled: false });
  });

  it('is not mistaken for the value of a combo that has the word as a choice', () => {
    expect(one('Sample', [5, 'fixed', 25, 'fixed', 1])).toMatchObject({ steps: 25, sampler: 'fixed' });
  });
});

describe('widget values', () => {
  it('are named when the file holds them by name', () => {
    expect(one('Sample', { seed: 1, steps: 2, sampler: 'euler', denoise: 3, videopreview: { hidden: true } })).toEqual({
      seed: 1,
      steps: 2,
      sampler: 'euler',
      denoise: 3,
    });
    expect(one('Sample', [0, 'fixed', 0, 'euler', 0], { more: { widgets_values_named: { steps: 42 } } })).toMatchObject(
      { steps: 42 },
    );
  });

  it('that the file lacks are the declared defaults, and the report says so', () => {
    const { workflow, report } = convert(graph([node(1, 'Sample', { values: [5, 'fixed'] })]));
    expect(workflow['1']?.inputs).toEqual({ seed: 5, steps: 20, sampler: 'euler', denoise: 1 });
    expect(report.notes[0]?.reason).toContain('"steps", "sampler", "denoise"');
  });

  it('that are holes are the declared defaults', () => {
    expect(one('Number', [null])).toEqual({ value: 7 });
  });

  it('of inputs that only take links own no place', () => {
    expect(one('Forced', ['text'])).toEqual({ label: 'text' });
  });

  it('of widgets converted to inputs keep their place, and the link wins', () => {
    const number = node(2, 'Number', { outputs: ['INT'], values: [3] });
    const sample = node(1, 'Sample', {
      inputs: [
        ['model', 'MODEL'],
        ['seed', 'INT', 7, true],
      ],
      values: [5, 'fixed', 25, 'euler', 1],
    });
    expect(inputsOf(graph([sample, number], [[7, 2, 0, 1, 1]]))['1']).toEqual({
      seed: ['2', 0],
      steps: 25,
      sampler: 'euler',
      denoise: 1,
    });
  });

  it('of an upload button are stepped over where they stand', () => {
    expect(one('Picture', ['x.png', 'image', 'fill'])).toEqual({ image: 'x.png', mode: 'fill' });
    expect(one('Picture', ['x.png', 'fill'])).toEqual({ image: 'x.png', mode: 'fill' });
    expect(one('Picture', ['x.png', 'fill', 'image'])).toEqual({ image: 'x.png', mode: 'fill' });
  });

  it('that are arrays are wrapped, so that the server takes none for a link', () => {
    expect(one('Number', [['1', 0]])).toEqual({ value: { __value__: ['1', 0] } });
  });

  it('of combos take the declared spelling when only case or slashes differ', () => {
    expect(one('Load', ['sub\\b.SAFETENSORS'])).toEqual({ name: 'Sub/B.safetensors' });
    expect(one('Load', ['not there.ckpt'])).toEqual({ name: 'not there.ckpt' });
  });

  it('that can not belong to the input are reported', () => {
    const { report } = convert(graph([node(1, 'Number', { values: ['abc'] })]));
    expect(report.notes).toEqual([expect.objectContaining({ reason: expect.stringContaining('"value"') as string })]);
  });

  it('that a running editor makes are reported as impossible', () => {
    const { report } = convert(graph([node(1, 'Live', { values: [null, 64] })]));
    expect(report.unsupported).toEqual([
      expect.objectContaining({ node: '1', reason: expect.stringContaining('"image"') as string }),
    ]);
  });
});

describe('dynamic inputs', () => {
  it('of the chosen option get dotted names, values in order, and links', () => {
    const picture = node(2, 'Picture', { outputs: ['IMAGE'], values: ['x.png', 'fit'] });
    const dynamic = node(1, 'Dynamic', {
      inputs: [['model.image', 'IMAGE', 4]],
      values: ['large', 'high', 8, 'randomize', 'the end'],
    });
    expect(inputsOf(graph([picture, dynamic], [[4, 2, 0, 1, 0]]))['1']).toEqual({
      model: 'large',
      'model.quality': 'high',
      'model.seed': 8,
      tail: 'the end',
      'model.image': ['2', 0],
    });
    expect(one('Dynamic', ['small', 12, 'the end'])).toEqual({ model: 'small', 'model.size': 12, tail: 'the end' });
  });

  it('that grow are linked by their own names', () => {
    const picture = node(2, 'Picture', { outputs: ['IMAGE'], values: ['x.png', 'fit'] });
    const grow = node(1, 'Grow', {
      inputs: [
        ['images.image0', 'IMAGE', 1],
        ['images.image1', 'IMAGE', 2],
        ['images.image2', 'IMAGE'],
      ],
      values: [9],
    });
    const editor = graph(
      [picture, grow],
      [
        [1, 2, 0, 1, 0],
        [2, 2, 0, 1, 1],
      ],
    );
    expect(inputsOf(editor)['1']).toEqual({ tail: 9, 'images.image0': ['2', 0], 'images.image1': ['2', 0] });
  });

  it('report an option that the class no longer has', () => {
    const { report } = convert(graph([node(1, 'Dynamic', { values: ['gone', 'x'] })]));
    expect(report.notes[0]?.reason).toContain('"model"');
  });
});

describe('a primitive', () => {
  const primitive = (values: unknown, properties = {}) =>
    node(9, 'PrimitiveNode', { outputs: ['INT'], values, properties, mode: 0 });
  const target = (id: number, link: number) =>
    node(id, 'Number', { inputs: [['value', 'INT', link, true]], values: [1] });

  it('gives its value to every input that it feeds, through reroutes too', () => {
    const reroute = node(8, 'Reroute', { inputs: [['', '*', 3]], outputs: ['*'] });
    const editor = graph(
      [primitive([55, 'randomize']), reroute, target(1, 1), target(2, 2)],
      [
        [1, 9, 0, 1, 0],
        [3, 9, 0, 8, 0],
        [2, 8, 0, 2, 0],
      ],
    );
    expect(inputsOf(editor)).toEqual({ '1': { value: 55 }, '2': { value: 55 } });
  });

  it('that has no value leaves the targets theirs', () => {
    expect(inputsOf(graph([primitive([]), target(1, 1)], [[1, 9, 0, 1, 0]]))).toEqual({ '1': { value: 1 } });
  });
});

describe('classes that nobody declares', () => {
  it('are converted as far as the file names their values, and reported', () => {
    const custom = node(1, 'Custom', {
      inputs: [
        ['x', 'INT', null, true],
        ['y', 'STRING', null, true],
      ],
      values: [1, 'randomize', 'two'],
      properties: { cnr_id: 'some-pack' },
    });
    const { workflow, report } = convert(graph([custom]));
    expect(workflow['1']?.inputs).toEqual({ x: 1, y: 'two' });
    expect(report.unsupported).toEqual([
      {
        node: '1',
        classType: 'Custom',
        title: 'Custom',
        reason: 'no class of this name is known (node pack some-pack)',
        guessed: true,
      },
    ]);
  });

  it('whose values have no names keep their links only', () => {
    const { workflow, report } = convert(graph([node(1, 'Custom', { values: [1, 2] })]));
    expect(workflow['1']?.inputs).toEqual({});
    expect(report.unsupported[0]?.reason).toContain('no names in the file');
  });
});

describe('texts', () => {
  const text = (value: string, resolveText = true) =>
    inputsOf(graph([node(1, 'Encode', { values: [value] })]), { resolveText, random: () => 0.6 })['1']?.['text'];

  it('with dynamic prompts lose comments and draw one option of each group', () => {
    expect(text('a {red|green|{dark|light} blue} hat // not this\nand /* nor\nthis */ more')).toBe(
      'a green hat \nand  more',
    );
    expect(text('{a|{b|c}}')).toBe('c');
    expect(text('\\{kept\\} \\| {x\\|y|z}')).toBe('{kept} | z');
    expect(text('{open|end')).toBe('end');
  });

  it('stay as saved when asked', () => {
    expect(text('{a|b} // c', false)).toBe('{a|b} // c');
  });

  it('name files after the date and other widgets, the rest is left to the server', () => {
    const number = node(2, 'Number', { values: [4], title: 'Count', properties: { 'Node name for S&R': 'Nr' } });
    const save = node(1, 'Save', { values: ['%date:yyyy-MM-dd_hh%/%Nr.value%_%Count.value%_%width%_%Gone.x%'] });
    const inputs = inputsOf(graph([save, number]), { now: () => new Date(2026, 0, 9, 5) });
    expect(inputs['1']?.['filename_prefix']).toBe('2026-01-09_05/4_4_%width%_%Gone.x%');
  });

  it('made to be slow are resolved in linear time', () => {
    expect(text('/* '.repeat(200_000))).toHaveLength(600_000);
    expect(text('{'.repeat(200_000))).toBeTypeOf('string');
  });
});
