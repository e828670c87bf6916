// What a worker refuses to let ComfyUI see.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ComfyRunpodError, isComfyRunpodError, type Workflow } from '../../../shared/index.ts';
import { readNodeClass } from '../../../worker/comfy/node-catalog.ts';
import { applyGraphPolicy, type GraphPolicyContext } from '../../../worker/job/policy/graph-policy.ts';
import { assertLoaderPaths } from '../../../worker/job/policy/loader-paths.ts';
import { matchesClass } from '../../../worker/job/policy/match-class.ts';

const declarations = {
  EmptyImage: { input: { required: { width: ['INT', {}] } }, output_node: false },
  LoadImage: { input: { required: { image: [['a.png'], { image_upload: true }] } }, output_node: false },
  LoadLatent: { input: { required: { latent: [['x.latent']] } }, output_node: false },
  PathOfSomebody: { input: { optional: { path: ['STRING', { video_upload: true }] } }, output_node: false },
  Text: { input: { required: { text: ['STRING', { multiline: true }] } }, output_node: false },
  SaveImage: { input: { required: { images: ['IMAGE'], filename_prefix: ['STRING'] } }, output_node: true },
};
const catalog = new Map(Object.entries(declarations).map(([name, declared]) => [name, readNodeClass(name, declared)]));

function errorOf(work: () => void): ComfyRunpodError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (isComfyRunpodError(error)) return error;
    throw error;
  }
}

const graph = (...classes: string[]): Workflow =>
  Object.fromEntries(classes.map((class_type, index) => [`${index + 1}`, { class_type, inputs: {} }]));
const refusal = (workflow: Workflow, policy: Omit<GraphPolicyContext, 'catalog'> = {}) =>
  errorOf(() => applyGraphPolicy(workflow, { ...policy, catalog }));

describe('class patterns', () => {
  it.each([
    ['SaveImage', 'SaveImage', true],
    ['SaveImage', 'Save*', true],
    ['SaveImage', '*Image', true],
    ['SaveImage', 'S*e*I*e', true],
    ['SaveImage', 'Save?mage', true],
    ['SaveImage', '*', true],
    ['SaveImage', 'saveimage', false],
    ['SaveImage', 'Save', false],
    ['SaveImage', 'SaveImage?', false],
    ['Reroute (rgthree)', '*(rgthree)', true],
    ['A.B', 'A?B', true],
    ['AxB', 'A.B', false],
    ['', '*', true],
    ['', '', true],
  ])('%j against %j: %s', (name, pattern, expected) => {
    expect(matchesClass(name, [pattern])).toBe(expected);
  });

  it('agree with the same pattern as a regular expression, whatever is in them', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?', '(', '\\'), maxLength: 9 });
    fc.assert(
      fc.property(letters, letters, (name, pattern) => {
        const source = pattern.replace(/[.*?()\\]/g, (found) => ({ '*': '.*', '?': '.' })[found] ?? `\\${found}`);
        expect(matchesClass(name, [pattern])).toBe(new RegExp(`^${source}$`, 's').test(name));
      }),
      { numRuns: 3_000 },
    );
  });

  it('are matched quickly even where a regular expression would not end', () => {
    expect(matchesClass('a'.repeat(20_000), [`${'*a'.repeat(40)}b`])).toBe(false);
  });
});

describe('allowed and denied classes', () => {
  it('refuses every node of a denied class at once, with its ids', () => {
    const error = refusal(graph('LoadImage', 'Text', 'LoadImage', 'SaveImage'), { denied: ['Load*', 'Text'] });
    expect(error?.code).toBe('WORKFLOW_FORBIDDEN_NODE');
    expect(error?.message).toBe('This endpoint does not allow "LoadImage" (node 1, 3), "Text" (node 2).');
    expect(error?.issues.map(({ node, classType }) => [node, classType])).toEqual([
      ['1', 'LoadImage'],
      ['3', 'LoadImage'],
      ['2', 'Text'],
    ]);
  });

  it('refuses what is not on the list of allowed classes, and what is denied although it is', () => {
    const allowed = ['*Image'];
    expect(refusal(graph('EmptyImage', 'SaveImage'), { allowed })).toBeUndefined();
    expect(refusal(graph('EmptyImage', 'Text'), { allowed })?.code).toBe('WORKFLOW_FORBIDDEN_NODE');
    expect(refusal(graph('EmptyImage', 'SaveImage'), { allowed, denied: ['Save*'] })?.message).toContain('"SaveImage"');
  });

  it('says of a forbidden class that it is forbidden, and not whether ComfyUI has it', () => {
    expect(refusal(graph('Secret', 'SaveImage'), { denied: ['Secret'] })?.code).toBe('WORKFLOW_FORBIDDEN_NODE');
  });

  it('keeps its message short however many there are', () => {
    const many = graph(...Array.from({ length: 500 }, (_, index) => `Class${index}${'x'.repeat(300)}`));
    expect(refusal(many, { allowed: [] })?.message.length).toBeLessThan(5_000);
  });
});

describe('unknown classes', () => {
  it('are reported all at once, with the packs that failed to import', () => {
    const error = refusal(graph('Nope', 'SaveImage', 'Never', 'Nope'), { failedPacks: ['pack-a', 'pack-b'] });
    expect(error?.code).toBe('WORKFLOW_UNKNOWN_NODE');
    expect(error?.message).toBe(
      'This ComfyUI lacks "Never", "Nope". Custom-node packs that failed to import: "pack-a", "pack-b".',
    );
    expect(error?.issues.map(({ node }) => node)).toEqual(['3', '1', '4']);
    expect(error?.nextStep).toContain('failed to import');
  });

  it('are reported without a word on packs when all of them were imported', () => {
    expect(refusal(graph('Nope'))?.message).toBe('This ComfyUI lacks "Nope".');
  });
});

describe('bounds', () => {
  const nested = (depth: number) => {
    let value: unknown = 'x';
    for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { value };
    return value;
  };
  const holding = (value: unknown): Workflow => ({ '7': { class_type: 'Text', inputs: { text: value } } });

  it('refuses more nodes than allowed', () => {
    expect(refusal(graph('Text', 'Text', 'Text'), { maxNodes: 3 })).toBeUndefined();
    expect(refusal(graph('Text', 'Text', 'Text'), { maxNodes: 2 })).toMatchObject({
      code: 'WORKFLOW_TOO_LARGE',
      details: { nodes: 3, maxNodes: 2 },
    });
  });

  it('refuses values nested deeper than allowed, and tells where', () => {
    expect(refusal(holding(nested(64)))).toBeUndefined();
    const error = refusal(holding(nested(65)));
    expect(error?.code).toBe('WORKFLOW_TOO_LARGE');
    expect(error?.issues).toEqual([{ node: '7', classType: 'Text', field: 'text', message: 'nested deeper than 64' }]);
  });

  it('survives a value that is nested a hundred thousand deep', () => {
    expect(refusal(holding(nested(100_000)))?.code).toBe('WORKFLOW_TOO_LARGE');
  });
});

describe('loader paths', () => {
  const loading = (class_type: string, input: string, value: unknown): Workflow => ({
    '1': { class_type, inputs: { [input]: value } },
  });
  const loader = (value: unknown) =>
    errorOf(() => assertLoaderPaths(loading('LoadImage', 'image', value), catalog, []));
  const foreign = 'cr-4242-0123456789abcdef';

  it.each([
    ['an absolute path', '/etc/passwd'],
    ['a drive', 'C:/x.png'],
    ['a way up', 'a/../../x.png'],
    ['a way up in the other slash', '..\\x.png'],
    ['a result of another job', 'x.png [output]'],
    ['a preview of another job', 'x.png [temp]'],
    ['a mark without its space', 'x.png_[output]'],
    ['two marks', 'x.png [output] [input]'],
    ['a mark of the input folder that eats a letter', 'secret.pngx[input]'],
    ['a list', ['fine.png', '/etc/passwd']],
    ['a wrapped value', { __value__: '/etc/passwd' }],
    ['a wrapped list', { __value__: ['a.png', ['../b.png']] }],
    ["another job's file", `${foreign}/picture.png`],
  ])('refuses %s', (_, value) => {
    const error = loader(value);
    expect(error?.code).toBe('FILE_NAME_UNSAFE');
    expect(error?.issues).toMatchObject([{ node: '1', classType: 'LoadImage', field: 'image' }]);
    expect(`${error?.message}${error?.issues[0]?.message}`).not.toContain('passwd');
  });

  it.each(['baked/in.png', 'x.png [input]', '', 'with [brackets] inside.png', ['2', 0], 5, null])(
    'lets %j through',
    (value) => {
      expect(loader(value)).toBeUndefined();
    },
  );

  it('looks at declared upload inputs and at loaders of older packs, not at texts', () => {
    const refused = (...args: Parameters<typeof loading>) =>
      errorOf(() => assertLoaderPaths(loading(...args), catalog, [])) !== undefined;
    expect(refused('PathOfSomebody', 'path', '/x.mp4')).toBe(true);
    expect(refused('LoadLatent', 'latent', '../x.latent')).toBe(true);
    expect(refused('Text', 'text', '/imagine a way ../ up [output]')).toBe(false);
  });

  it("refuses another job's folder in any input, also in the middle of a text", () => {
    const text = loading('Text', 'text', `look at output/${foreign}/a.png`);
    expect(errorOf(() => assertLoaderPaths(text, catalog, []))?.message).toContain("another job's folder");
  });

  it('lets an input alone that names a file of this job', () => {
    const workflow = loading('LoadImage', 'image', 'x.png [temp]');
    expect(errorOf(() => assertLoaderPaths(workflow, catalog, [{ node: '1', input: 'image' }]))).toBeUndefined();
  });
});
