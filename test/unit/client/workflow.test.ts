import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseWorkflow, pictureLoaders, placePictures } from '../../../client/index.ts';
import { splitPictureArgument } from '../../../client/submit/picture-argument.ts';
import { findJsonFault } from '../../../client/workflow/json-fault.ts';
import type { Workflow } from '../../../shared/index.ts';

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('the place of a JSON fault', () => {
  it('is found exactly where JSON.parse refuses a text, for any text', () => {
    const fragment = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '\\',
      '1',
      '-',
      '0.5e3',
      '01',
      'true',
      'nul',
      ' ',
      '\n',
      '\u0001',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.array(fragment, { maxLength: 12 }).map((parts) => parts.join('')),
        ),
        (text) => {
          expect(findJsonFault(text) === undefined).toBe(parses(text));
        },
      ),
      { numRuns: 3_000 },
    );
  });

  it('is told by line and column, also in a deep text', () => {
    expect(findJsonFault('{\n  "a": 1,\n  "b": ]\n}')).toMatchObject({ line: 3, column: 8 });
    expect(findJsonFault('['.repeat(200_000))).toMatchObject({ column: 200_001 });
  });
});

describe('reading a workflow', () => {
  it('takes the graph out of a /prompt body and out of a job, and forgives a byte order mark and NaN', () => {
    const graph = { '1': { class_type: 'A', inputs: {} } };
    for (const text of [
      JSON.stringify(graph),
      `\uFEFF${JSON.stringify(graph)}`,
      JSON.stringify({ prompt: graph, client_id: 'x' }),
      JSON.stringify({ input: { workflow: graph } }),
    ]) {
      expect(parseWorkflow(text)).toEqual(graph);
    }
    expect(parseWorkflow('{"1":{"class_type":"A","inputs":{"x":NaN}}}')['1']?.inputs).toEqual({ x: null });
  });

  it('names the nodes that are no nodes', () => {
    expect(() => parseWorkflow('{"1":{"class_type":"A","inputs":{}},"2":{"inputs":{}}}')).toThrow(
      expect.objectContaining({
        code: 'WORKFLOW_INVALID',
        message: expect.stringContaining('node 2.class_type') as string,
      }),
    );
  });
});

const loader = (image: unknown, title: string, classType = 'LoadImage') => ({
  class_type: classType,
  inputs: { image },
  _meta: { title },
});

const workflow: Workflow = {
  '10': loader('ten.png', 'Background'),
  '2': loader('two.png', 'Face'),
  '3': loader('two.png', 'Mask', 'LoadImageMask'),
  '4': loader(['2', 0], 'Linked'),
  '5': loader('o.png [output]', 'From output', 'LoadImageOutput'),
  '6': { class_type: 'SaveImage', inputs: { images: ['2', 0] } },
};

describe('placing pictures', () => {
  const place = (pictures: Parameters<typeof placePictures>[1], allowExisting = false) =>
    Object.fromEntries(placePictures(workflow, pictures, { allowExisting }).placed);

  it('finds the loaders that hold a name, in the order of their ids as numbers', () => {
    expect(pictureLoaders(workflow).map((found) => found.node)).toEqual(['2', '3', '10']);
  });

  it('gives one picture to each in order, and named ones to their nodes first', () => {
    expect(place([{ name: 'a' }, { name: 'b' }, { name: 'c' }])).toEqual({ '2': 'a', '3': 'b', '10': 'c' });
    expect(place([{ name: 'a' }, { name: 'b', node: '2' }, { name: 'c' }])).toEqual({ '2': 'b', '3': 'a', '10': 'c' });
    expect(place([{ name: 'a', node: 'Background' }, { name: 'b' }])).toEqual({ '10': 'a', '2': 'b', '3': 'b' });
  });

  it('lets a loader of the same file share its picture, and leaves the rest only when allowed', () => {
    expect(place([{ name: 'a' }], true)).toEqual({ '2': 'a', '3': 'a' });
    expect(() => place([{ name: 'a' }])).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }));
  });

  it('replaces the names and nothing else, and leaves the given workflow as it was', () => {
    const before = structuredClone(workflow);
    const placed = placePictures(workflow, [{ name: 'a', node: '2' }], { allowExisting: true }).workflow;
    expect(workflow).toEqual(before);
    expect(placed).toEqual({ ...before, '2': loader('a', 'Face'), '3': loader('a', 'Mask', 'LoadImageMask') });
  });

  it('refuses a node that is not there, loads nothing, or loads from the output folder', () => {
    for (const node of ['99', 'Nobody', '6', '4', '5']) {
      expect(() => place([{ name: 'a', node }])).toThrow(expect.objectContaining({ code: 'INJECTION_TARGET_MISSING' }));
    }
  });
});

describe('--image', () => {
  it('is split at the equals sign that ends a node, and a path may have others', () => {
    const split = (argument: string) => splitPictureArgument(argument, { ...workflow, '7': loader('x', 'a=b') });
    expect(split('photo.png')).toEqual({ path: 'photo.png' });
    expect(split('2=photo.png')).toEqual({ node: '2', path: 'photo.png' });
    expect(split('Face=a=b.png')).toEqual({ node: 'Face', path: 'a=b.png' });
    expect(split('a=b=c.png')).toEqual({ node: 'a=b', path: 'c.png' });
    expect(split('./a=b.png')).toEqual({ path: './a=b.png' });
    expect(split('Typo=c.png')).toEqual({ node: 'Typo', path: 'c.png' });
  });
});
