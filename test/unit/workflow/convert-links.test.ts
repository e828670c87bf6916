import { describe, expect, it } from 'vitest';
import { convert, graph, inputsOf, node, objectLink } from './editor-graphs.ts';

const load = node(1, 'Load', { outputs: ['MODEL', 'CLIP', 'VAE'], values: ['a.safetensors'] });
const tweak = (id: number, link: number | null, mode = 0) =>
  node(id, 'Tweak', { inputs: [['model', 'MODEL', link]], outputs: ['MODEL'], values: [id], mode });
const reroute = (id: number, link: number | null, mode = 0) =>
  node(id, 'Reroute', { inputs: [['', '*', link]], outputs: ['*'], mode });

describe('links', () => {
  it('are read as arrays and as objects', () => {
    const nodes = [load, tweak(2, 5)];
    expect(inputsOf(graph(nodes, [[5, 1, 0, 2, 0]]))['2']).toEqual({ strength: 2, model: ['1', 0] });
    expect(inputsOf({ nodes, links: [objectLink([5, 1, 0, 2, 0])], version: 1 })['2']).toEqual({
      strength: 2,
      model: ['1', 0],
    });
  });

  it('run through chains of thousands of reroutes, muted ones too', () => {
    const length = 4000;
    const reroutes = Array.from({ length }, (_, i) => reroute(100 + i, i, i % 2 === 0 ? 0 : 2));
    const links = reroutes.map((_, i) => [i, i === 0 ? 1 : 99 + i, 0, 100 + i, 0] as const);
    const editor = graph([load, ...reroutes, tweak(2, 9999)], [...links, [9999, 99 + length, 0, 2, 0]]);
    expect(inputsOf(editor)).toEqual({ '1': { name: 'a.safetensors' }, '2': { strength: 2, model: ['1', 0] } });
  });

  it('that run in a circle end, and the report says so', () => {
    const editor = graph(
      [reroute(5, 1), reroute(6, 2), tweak(2, 3)],
      [
        [1, 6, 0, 5, 0],
        [2, 5, 0, 6, 0],
        [3, 6, 0, 2, 0],
      ],
    );
    const { workflow, report } = convert(editor);
    expect(workflow['2']?.inputs).toEqual({ strength: 2 });
    expect(report.notes).toEqual([
      expect.objectContaining({ node: '2', reason: 'input "model" is not linked: its links run in a circle' }),
    ]);
  });

  it('from nodes that the file lacks are dropped and reported', () => {
    const { workflow, report } = convert(graph([tweak(2, 5)], [[5, 77, 0, 2, 0]]));
    expect(workflow['2']?.inputs).toEqual({ strength: 2 });
    expect(report.notes[0]?.reason).toContain('node 77, which does not exist');
  });

  it('whose id is in no table leave the input open', () => {
    expect(inputsOf(graph([tweak(2, 5)]))['2']).toEqual({ strength: 2 });
  });
});

describe('bypassed nodes', () => {
  it('pass their input on by the type that is wanted, through chains', () => {
    const both = (id: number, model: number, clip: number) =>
      node(id, 'Both', {
        inputs: [
          ['clip', 'CLIP', clip],
          ['model', 'MODEL', model],
        ],
        outputs: ['MODEL', 'CLIP'],
        mode: 4,
      });
    const editor = graph(
      [load, both(2, 1, 2), both(3, 3, 4), tweak(4, 5)],
      [
        [1, 1, 0, 2, 1],
        [2, 1, 1, 2, 0],
        [3, 2, 0, 3, 1],
        [4, 2, 1, 3, 0],
        [5, 3, 0, 4, 0],
      ],
    );
    expect(inputsOf(editor)['4']).toEqual({ strength: 4, model: ['1', 0] });
  });

  it('take the input at the same place when it fits', () => {
    const swap = node(2, 'Both', {
      inputs: [
        ['a', 'MODEL', 1],
        ['b', 'MODEL', 2],
      ],
      outputs: ['MODEL', 'MODEL'],
      mode: 4,
    });
    const other = node(9, 'Load', { outputs: ['MODEL'], values: ['a.safetensors'] });
    const editor = graph(
      [load, other, swap, tweak(4, 3)],
      [
        [1, 1, 0, 2, 0],
        [2, 9, 0, 2, 1],
        [3, 2, 1, 4, 0],
      ],
    );
    expect(inputsOf(editor)['4']).toEqual({ strength: 4, model: ['9', 0] });
  });

  it('accept wildcards and lists of types', () => {
    const any = node(2, 'Both', { inputs: [['x', 'IMAGE,MODEL', 1]], outputs: ['*'], mode: 4 });
    expect(
      inputsOf(
        graph(
          [load, any, tweak(4, 2)],
          [
            [1, 1, 0, 2, 0],
            [2, 2, 0, 4, 0],
          ],
        ),
      )['4'],
    ).toMatchObject({ model: ['1', 0] });
  });

  it('without an input of the type leave the target open, which keeps its own value', () => {
    const number = node(5, 'Number', { outputs: ['INT'], values: [3], mode: 4 });
    const sample = node(6, 'Sample', {
      inputs: [['steps', 'INT', 1, true]],
      values: [1, 'fixed', 25, 'euler', 1],
    });
    const { workflow, report } = convert(graph([number, sample], [[1, 5, 0, 6, 0]]));
    expect(workflow['6']?.inputs['steps']).toBe(25);
    expect(report.skipped).toEqual([
      expect.objectContaining({ node: '5', reason: expect.stringContaining('bypassed') as string }),
    ]);
  });
});

it('muted nodes are left out together with the inputs that they feed', () => {
  const muted = node(1, 'Load', { outputs: ['MODEL'], values: ['a.safetensors'], mode: 2, title: 'My loader' });
  const { workflow, report } = convert(graph([muted, tweak(2, 5)], [[5, 1, 0, 2, 0]]));
  expect(workflow).toEqual({ '2': { class_type: 'Tweak', inputs: { strength: 2 }, _meta: { title: 'Tweak' } } });
  expect(report.skipped).toEqual([{ node: '1', classType: 'Load', title: 'My loader', reason: 'muted' }]);
  expect(report.notes[0]?.reason).toContain('"model"');
});

it('Get nodes stand for what feeds the Set node of their name', () => {
  const set = node(2, 'SetNode', { inputs: [['MODEL', 'MODEL', 1]], outputs: ['*'], values: ['the model'] });
  const get = (id: number, name: string) => node(id, 'GetNode', { outputs: ['MODEL'], values: [name] });
  const editor = graph(
    [load, set, get(3, 'the model'), get(4, 'nobody'), tweak(5, 2), tweak(6, 3), tweak(7, 4)],
    [
      [1, 1, 0, 2, 0],
      [2, 3, 0, 5, 0],
      [3, 4, 0, 6, 0],
      [4, 2, 0, 7, 0],
    ],
  );
  const { workflow, report } = convert(editor);
  expect(workflow['5']?.inputs['model']).toEqual(['1', 0]);
  expect(workflow['6']?.inputs).toEqual({ strength: 6 });
  expect(workflow['7']?.inputs['model']).toEqual(['1', 0]);
  expect(report.notes[0]?.reason).toContain('a name that no node sets');
});

it('links that "use everywhere" nodes make are taken from where that extension saves them', () => {
  const everywhere = node(2, 'Anything Everywhere', { inputs: [['anything', '*', 1]] });
  const nodes = [load, everywhere, tweak(5, null)];
  const implicit = {
    ue_links: [{ downstream: 5, downstream_slot: 0, upstream: '1', upstream_slot: 0, controller: 2, type: 'MODEL' }],
  };
  const saved = convert(graph(nodes, [[1, 1, 0, 2, 0]], { extra: implicit }));
  expect(saved.workflow['5']?.inputs['model']).toEqual(['1', 0]);
  expect(saved.report.unsupported).toEqual([]);
  const unsaved = convert(graph(nodes, [[1, 1, 0, 2, 0]]));
  expect(unsaved.report.unsupported).toEqual([expect.objectContaining({ node: '2' })]);
});

it('nodes that feed nothing are converted, notes are not', () => {
  const note = node(8, 'MarkdownNote', { values: ['# hello'] });
  const { workflow, report } = convert(graph([load, note]));
  expect(Object.keys(workflow)).toEqual(['1']);
  expect(report.skipped).toEqual([expect.objectContaining({ node: '8', classType: 'MarkdownNote' })]);
});
