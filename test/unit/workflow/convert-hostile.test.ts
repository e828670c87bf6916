import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { convertWorkflow } from '../../../client/workflow/convert/convert-workflow.ts';
import type { ObjectInfo } from '../../../client/workflow/convert/object-info.ts';
import { isComfyRunpodError, isLink, workflowSchema } from '../../../shared/index.ts';
import { classes, graph, node } from './editor-graphs.ts';

const folder = new URL('../../fixtures/workflows/pairs/', import.meta.url);
const workflows = readdirSync(folder).map(
  (name) => (JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { workflow: unknown }).workflow,
);

let objectInfo: ObjectInfo;
beforeAll(async () => {
  ({ objectInfo } = await loadObjectInfo());
});

/** Converts; a thrown error must be ours. The result must be one that the contract takes, with links to nodes that exist. */
function check(editor: unknown, info: ObjectInfo): void {
  try {
    const { workflow } = convertWorkflow(editor, info);
    if (Object.keys(workflow).length > 0) expect(workflowSchema.safeParse(workflow).success).toBe(true);
    for (const { inputs } of Object.values(workflow)) {
      for (const value of Object.values(inputs))
        if (isLink(value)) expect(Object.hasOwn(workflow, value[0])).toBe(true);
    }
  } catch (error) {
    if (!isComfyRunpodError(error)) throw error;
  }
}

/** Replaces the value at one place of a JSON document, chosen by `seed`. */
function mutate(document: unknown, seed: number, value: unknown): unknown {
  const places: (readonly [object, string])[] = [];
  const copy = structuredClone(document);
  const waiting = [copy];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (typeof at !== 'object' || at === null) continue;
    for (const [key, inner] of Object.entries(at)) {
      places.push([at, key]);
      waiting.push(inner);
    }
  }
  const place = places[seed % Math.max(1, places.length)];
  if (place) Object.defineProperty(place[0], place[1], { value, enumerable: true, writable: true, configurable: true });
  return copy;
}

const anything = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    -1,
    0,
    1e300,
    '',
    '-10',
    '__proto__',
    'Reroute',
    'PrimitiveNode',
    'GetNode',
    [],
    {},
    [1, 2, 3],
    true,
    4,
    2,
  ),
  fc.jsonValue(),
);

describe('whatever the file holds, converting it ends and throws nothing but its own error', () => {
  it('for real workflows with damage in one to four places', () => {
    fc.assert(
      fc.property(
        fc.nat(workflows.length - 1),
        fc.array(fc.tuple(fc.nat(), anything), { minLength: 1, maxLength: 4 }),
        (index, changes) => {
          let document = workflows[index];
          for (const [seed, value] of changes) document = mutate(document, seed, value);
          check(document, objectInfo);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('for any JSON at all, as workflow and as object info', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.dictionary(fc.constantFrom('A', 'Number'), fc.jsonValue()), (document, info) => {
        check(document, info);
        check({ nodes: [{ id: 1, type: 'A', widgets_values: [document] }], links: document }, info);
      }),
      { numRuns: 300 },
    );
  });

  it('for random wiring of nodes of every kind, circles included', () => {
    const types = [
      ...Object.keys(classes),
      'Reroute',
      'PrimitiveNode',
      'GetNode',
      'SetNode',
      'Unknown',
      'sub',
      'workflow>g',
      'Note',
    ];
    const anyNode = fc.record({ type: fc.constantFrom(...types), mode: fc.constantFrom(0, 2, 4), value: anything });
    const anyLink = fc.tuple(
      fc.constantFrom(-10, 1, 2, 3, 4, 5, 6),
      fc.nat(3),
      fc.constantFrom(-20, 1, 2, 3, 4, 5, 6),
      fc.nat(2),
    );
    fc.assert(
      fc.property(fc.array(anyNode, { maxLength: 6 }), fc.array(anyLink, { maxLength: 18 }), (sketches, wires) => {
        const links = wires.map(([origin, slot, target, at], id) => [id, origin, slot, target, at] as const);
        const linkTo = (target: number, at: number) =>
          links.findLast((link) => link[3] === target && link[4] === at)?.[0] ?? null;
        const nodes = sketches.map(({ type, mode, value }, index) => {
          const inputs = [0, 1, 2].map(
            (at) => [['model', 'value', 'x'][at] ?? '', '*', linkTo(index + 1, at), at === 1] as const,
          );
          return node(index + 1, type, {
            mode,
            inputs,
            outputs: ['*', 'MODEL'],
            values: [value, value],
            properties: { proxyWidgets: value },
          });
        });
        const inside = {
          id: 'sub',
          nodes,
          links: graph([], links)['links'],
          inputs: [{ name: 'model' }, { name: 'value' }],
          outputs: [{ name: 'a', linkIds: [0] }, {}],
        };
        const parts = {
          nodes,
          links: links.map(([, origin, slot, target, at]) => [origin, slot, target, at]),
          external: [[1, 0]],
        };
        check(
          graph(nodes, links, { definitions: { subgraphs: [inside] }, extra: { groupNodes: { g: parts } } }),
          classes,
        );
      }),
      { numRuns: 400 },
    );
  });
});

it.each([
  ['nothing', null],
  ['a text', 'nodes'],
  ['a list', []],
  ['an empty object', {}],
  ['nodes that are no list', { nodes: {}, links: [] }],
  ['a workflow in API format', { '1': { class_type: 'Number', inputs: {} } }],
])('%s is refused as no workflow of the editor', (_, document) => {
  expect(() => convertWorkflow(document, classes)).toThrow(
    expect.objectContaining({ code: 'WORKFLOW_INVALID' }) as Error,
  );
});

it('names that mean something to JavaScript are names like any other', () => {
  const editor = graph([
    node('__proto__', 'Number', { values: { value: 1, constructor: 2 } }),
    node('toString', 'constructor', {}),
  ]);
  const { workflow } = convertWorkflow(editor, classes);
  expect(Object.keys(workflow)).toEqual(['__proto__', 'toString']);
  expect(({} as Record<string, unknown>)['class_type']).toBeUndefined();
});
