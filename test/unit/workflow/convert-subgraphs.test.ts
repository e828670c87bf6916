import { describe, expect, it } from 'vitest';
import { ComfyRunpodError } from '../../../shared/index.ts';
import { convert, graph, inputsOf, type NodeSketch, node, subgraph } from './editor-graphs.ts';

const inner = '11111111-2222-3333-4444-555555555555';
const outer = 'aaaaaaaa-2222-3333-4444-555555555555';

/** Inside: model input -> Tweak 3 (strength from input or own) -> model output. */
const tweaker = subgraph(
  inner,
  [
    node(3, 'Tweak', {
      inputs: [
        ['model', 'MODEL', 1],
        ['strength', 'FLOAT', 2, true],
      ],
      outputs: ['MODEL'],
      values: [0.1],
    }),
  ],
  [
    [1, -10, 0, 3, 0],
    [2, -10, 1, 3, 1],
    [3, 3, 0, -20, 0],
  ],
  { model: [1], power: [2] },
  { MODEL: [3] },
);
const definitions = (...subgraphs: unknown[]) => ({ definitions: { subgraphs } });
const load = node(1, 'Load', { outputs: ['MODEL'], values: ['a.safetensors'] });
const instance = (id: number, sketch: NodeSketch = {}) =>
  node(id, inner, {
    inputs: [
      ['model', 'MODEL', 1],
      ['power', 'FLOAT', null, true],
    ],
    outputs: ['MODEL'],
    ...sketch,
  });
const end = node(5, 'Tweak', { inputs: [['model', 'MODEL', 2]], outputs: ['MODEL'], values: [5] });

/** load -> instance 2 -> end. */
function around(sketch: NodeSketch = {}): unknown {
  return graph(
    [load, instance(2, sketch), end],
    [
      [1, 1, 0, 2, 0],
      [2, 2, 0, 5, 0],
    ],
    definitions(tweaker),
  );
}

describe('a subgraph', () => {
  it('is unfolded under the ids that the editor gives its nodes', () => {
    expect(inputsOf(around())).toEqual({
      '1': { name: 'a.safetensors' },
      '2:3': { model: ['1', 0], strength: 0.1 },
      '5': { model: ['2:3', 0], strength: 5 },
    });
  });

  it('that is muted takes its nodes with it', () => {
    expect(inputsOf(around({ mode: 2 }))).toEqual({ '1': { name: 'a.safetensors' }, '5': { strength: 5 } });
  });

  it('that is bypassed lets its input through', () => {
    expect(inputsOf(around({ mode: 4 }))).toEqual({
      '1': { name: 'a.safetensors' },
      '5': { model: ['1', 0], strength: 5 },
    });
  });

  it('matches its inputs by name when their order differs', () => {
    const editor = around({
      inputs: [
        ['power', 'FLOAT', null, true],
        ['model', 'MODEL', 1],
      ],
    });
    expect(inputsOf(editor)['2:3']).toEqual({ model: ['1', 0], strength: 0.1 });
  });

  it('may feed several inputs from one of its own', () => {
    const fan = subgraph(
      inner,
      [
        node(3, 'Tweak', { inputs: [['model', 'MODEL', 1]], outputs: ['MODEL'], values: [1] }),
        node(4, 'Both', {
          inputs: [
            ['model', 'MODEL', 2],
            ['clip', 'CLIP', null],
          ],
          outputs: ['MODEL', 'CLIP'],
        }),
      ],
      [
        [1, -10, 0, 3, 0],
        [2, -10, 0, 4, 0],
        [3, 3, 0, -20, 0],
      ],
      { model: [1, 2] },
      { MODEL: [3] },
    );
    const editor = graph(
      [load, instance(2), end],
      [
        [1, 1, 0, 2, 0],
        [2, 2, 0, 5, 0],
      ],
      definitions(fan),
    );
    expect(inputsOf(editor)).toMatchObject({ '2:3': { model: ['1', 0] }, '2:4': { model: ['1', 0] } });
  });

  it('may hold subgraphs, and pass an input straight through', () => {
    const wrapper = subgraph(
      outer,
      [
        node(7, inner, {
          inputs: [
            ['model', 'MODEL', 1],
            ['power', 'FLOAT', 2, true],
          ],
          outputs: ['MODEL'],
        }),
      ],
      [
        [1, -10, 0, 7, 0],
        [2, -10, 1, 7, 1],
        [3, 7, 0, -20, 0],
        [4, -10, 0, -20, 1],
      ],
      { model: [1, 4], power: [2] },
      { MODEL: [3], same: [4] },
    );
    const nodes = [
      load,
      node(2, outer, {
        inputs: [
          ['model', 'MODEL', 1],
          ['power', 'FLOAT', null, true],
        ],
        outputs: ['MODEL', 'same'],
        values: [0.7],
      }),
      end,
      node(6, 'Tweak', { inputs: [['model', 'MODEL', 3]], values: [6] }),
    ];
    const editor = graph(
      nodes,
      [
        [1, 1, 0, 2, 0],
        [2, 2, 0, 5, 0],
        [3, 2, 1, 6, 0],
      ],
      definitions(tweaker, wrapper),
    );
    expect(inputsOf(editor)).toEqual({
      '1': { name: 'a.safetensors' },
      '2:7:3': { model: ['1', 0], strength: 0.7 },
      '5': { model: ['2:7:3', 0], strength: 5 },
      '6': { model: ['1', 0], strength: 6 },
    });
  });

  it('that contains itself is refused by name', () => {
    const selfish = subgraph(inner, [node(3, inner, {})], [], {}, {});
    const { workflow, report } = convert(graph([node(2, inner)], [], definitions(selfish)));
    expect(workflow).toEqual({});
    expect(report.unsupported).toEqual([
      expect.objectContaining({ node: '2:3', reason: 'the subgraph contains itself' }),
    ]);
  });

  it('whose definition is not in the file is refused by name', () => {
    const { workflow, report } = convert(graph([node(2, inner)]));
    expect(workflow).toEqual({});
    expect(report.unsupported[0]?.reason).toBe('a subgraph whose definition is not in the file');
  });

  it('that unfolds without measure is an error', () => {
    const levels = Array.from({ length: 16 }, (_, i) => {
      const id = (level: number) => `${String(level).padStart(8, '0')}-2222-3333-4444-555555555555`;
      return subgraph(id(i), i === 15 ? [] : [node(1, id(i + 1)), node(2, id(i + 1))], [], {}, {});
    });
    const editor = graph([node(1, '00000000-2222-3333-4444-555555555555')], [], definitions(...levels));
    expect(() => convert(editor)).toThrow(ComfyRunpodError);
  });
});

describe('a value shown on a subgraph', () => {
  const strength = (editor: unknown) => inputsOf(editor)['2:3']?.['strength'];

  it('is the one inside where only the inside holds it', () => {
    expect(strength(around({ properties: { proxyWidgets: [['3', 'strength']] }, values: [] }))).toBe(0.1);
  });

  it('is found by the list of shown widgets', () => {
    const properties = {
      proxyWidgets: [
        ['9', 'other'],
        ['-1', 'power'],
        ['3', 'control_after_generate'],
      ],
    };
    expect(strength(around({ properties, values: ['x', 0.4] }))).toBe(0.4);
    const bare = subgraph(
      inner,
      [node(3, 'Tweak', { inputs: [['model', 'MODEL', 1]], outputs: ['MODEL'], values: [0.1] })],
      [
        [1, -10, 0, 3, 0],
        [3, 3, 0, -20, 0],
      ],
      { model: [1] },
      { MODEL: [3] },
    );
    const shown = instance(2, {
      inputs: [['model', 'MODEL', 1]],
      properties: { proxyWidgets: [['3', 'strength']] },
      values: [0.9],
    });
    expect(
      strength(
        graph(
          [load, shown, end],
          [
            [1, 1, 0, 2, 0],
            [2, 2, 0, 5, 0],
          ],
          definitions(bare),
        ),
      ),
    ).toBe(0.9);
  });

  it('is found by the order of the inputs with a widget, or by name', () => {
    expect(strength(around({ values: [0.3] }))).toBe(0.3);
    expect(strength(around({ more: { widgets_values_named: { power: 0.2 } }, values: [0.3] }))).toBe(0.2);
  });

  it('belongs to one instance, not to the others', () => {
    const editor = graph(
      [
        load,
        instance(2, { values: [0.2] }),
        instance(4, {
          inputs: [
            ['model', 'MODEL', 3],
            ['power', 'FLOAT', null, true],
          ],
          values: [0.4],
        }),
      ],
      [
        [1, 1, 0, 2, 0],
        [3, 2, 0, 4, 0],
      ],
      definitions(tweaker),
    );
    expect(inputsOf(editor)).toMatchObject({ '2:3': { strength: 0.2 }, '4:3': { strength: 0.4, model: ['2:3', 0] } });
  });

  it('gives way to a link', () => {
    const number = node(9, 'Number', { outputs: ['INT'], values: [3] });
    const linked = instance(2, {
      inputs: [
        ['model', 'MODEL', 1],
        ['power', 'FLOAT', 7, true],
      ],
      values: [0.3],
    });
    const editor = graph(
      [load, number, linked],
      [
        [1, 1, 0, 2, 0],
        [7, 9, 0, 2, 1],
      ],
      definitions(tweaker),
    );
    expect(inputsOf(editor)['2:3']).toEqual({ model: ['1', 0], strength: ['9', 0] });
  });
});

describe('a group node', () => {
  const parts = {
    nodes: [
      {
        type: 'Load',
        index: 0,
        inputs: [],
        outputs: [
          { name: 'MODEL', type: 'MODEL' },
          { name: 'CLIP', type: 'CLIP' },
          { name: 'VAE', type: 'VAE' },
        ],
        widgets_values: ['a.safetensors'],
      },
      {
        type: 'Encode',
        index: 1,
        inputs: [{ name: 'clip', type: 'CLIP', link: null }],
        outputs: [{ name: 'CONDITIONING', type: 'CONDITIONING' }],
        widgets_values: ['inside'],
      },
      {
        type: 'Sample',
        index: 2,
        title: 'Second',
        inputs: [
          { name: 'model', type: 'MODEL', link: null },
          { name: 'positive', type: 'CONDITIONING', link: null },
        ],
        outputs: [{ name: 'LATENT', type: 'LATENT' }],
        widgets_values: [1, 'fixed', 10, 'euler', 1],
      },
    ],
    links: [
      [0, 1, 1, 0, 99, 'CLIP'],
      [1, 0, 2, 1, 98, 'CONDITIONING'],
    ],
    external: [],
  };
  // Values: Load.name, Encode.text, Sample.seed with its control, steps, sampler, denoise.
  const values = ['Sub/B.safetensors', 'outside', 77, 'randomize', 30, 'euler', 0.5];
  const group = (type: string) => {
    const nodes = [
      load,
      node(4, type, { inputs: [['model', 'MODEL', 1]], outputs: ['MODEL', 'VAE', 'LATENT'], values }),
      node(5, 'Save', { inputs: [['images', '*', 2]], values: ['x'] }),
    ];
    return graph(
      nodes,
      [
        [1, 1, 0, 4, 0],
        [2, 4, 2, 5, 0],
      ],
      { extra: { groupNodes: { 'My group': parts } } },
    );
  };

  it.each(['workflow>My group', 'workflow/My group'])('of type %s is unfolded with its own values', (type) => {
    const { workflow, report } = convert(group(type));
    expect(Object.fromEntries(Object.entries(workflow).map(([id, { inputs }]) => [id, inputs]))).toEqual({
      '1': { name: 'a.safetensors' },
      '4:0': { name: 'Sub/B.safetensors' },
      '4:1': { text: 'outside', clip: ['4:0', 1] },
      '4:2': { seed: 77, steps: 30, sampler: 'euler', denoise: 0.5, model: ['1', 0], positive: ['4:1', 0] },
      '5': { filename_prefix: 'x', images: ['4:2', 0] },
    });
    expect(report.unsupported).toEqual([]);
  });

  it('whose parts are not in the file is refused by name', () => {
    const { report } = convert(graph([node(4, 'workflow>Lost')]));
    expect(report.unsupported).toEqual([
      expect.objectContaining({ node: '4', reason: 'a group node whose parts are not in the file' }),
    ]);
  });

  it('shows the value of a primitive inside', () => {
    const withPrimitive = {
      nodes: [
        {
          type: 'PrimitiveNode',
          index: 0,
          title: 'count',
          outputs: [{ name: 'INT', type: 'INT', widget: { name: 'value' } }],
          widgets_values: [1, 'fixed'],
        },
        {
          type: 'Number',
          index: 1,
          inputs: [{ name: 'value', type: 'INT', widget: { name: 'value' }, link: null }],
          outputs: [{ name: 'INT', type: 'INT' }],
          widgets_values: [1],
        },
      ],
      links: [[0, 0, 1, 0, 9, 'INT']],
      external: [],
    };
    const editor = graph([node(4, 'workflow>P', { values: [64, 'fixed'] })], [], {
      extra: { groupNodes: { P: withPrimitive } },
    });
    expect(inputsOf(editor)).toEqual({ '4:1': { value: 64 } });
  });
});
