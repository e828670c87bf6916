// What a workflow becomes before it is posted.
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isComfyRunpodError, type JobInputWire, parseJobInput } from '../../../shared/index.ts';
import { readNodeClass } from '../../../worker/comfy/node-catalog.ts';
import { bindGraph, prefixInFolder, runMark } from '../../../worker/job/bind-graph.ts';
import { planGraph } from '../../../worker/job/plan-graph.ts';
import { createRedactor } from '../../../worker/job/redact.ts';

const declarations = {
  EmptyImage: { input: { required: { width: ['INT', {}] } }, output_node: false },
  LoadImage: { input: { required: { image: [['a.png'], { image_upload: true }] } }, output_node: false },
  LoadLatent: { input: { required: { latent: [['x.latent']] } }, output_node: false },
  VideoOfSomebody: { input: { optional: { path: ['STRING', { video_upload: true }] } }, output_node: false },
  ModelLoader: { input: { required: { name: [['../up.safetensors']] } }, output_node: false },
  Text: { input: { required: { text: ['STRING', { multiline: true }] } }, output_node: false },
  SaveImage: { input: { required: { images: ['IMAGE'], filename_prefix: ['STRING'] } }, output_node: true },
  PreviewImage: { input: { required: { images: ['IMAGE'] } }, output_node: true },
  SaveLoRANode: { input: { required: { prefix: ['STRING'] } }, output_node: true },
};
const classes = new Map(Object.entries(declarations).map(([name, declared]) => [name, readNodeClass(name, declared)]));
const data = Buffer.from('x').toString('base64');

function plan(input: JobInputWire) {
  return planGraph(parseJobInput(input), classes);
}

function codeOf(input: JobInputWire): string {
  try {
    plan(input);
    return 'accepted';
  } catch (error) {
    return isComfyRunpodError(error) ? error.code : String(error);
  }
}

const save = (source: string, prefix: unknown = 'pic') => ({
  class_type: 'SaveImage',
  inputs: { images: [source, 0], filename_prefix: prefix },
});

describe('planning', () => {
  it('keeps what outputs need and drops the rest, however it is linked', () => {
    const workflow = {
      '1': { class_type: 'EmptyImage', inputs: { width: 8 } },
      '2': { class_type: 'Text', inputs: { text: ['3', 0] } },
      '3': { class_type: 'Text', inputs: { text: ['2', 0] } },
      '4': { class_type: 'EmptyImage', inputs: { width: ['404', 0], constant: { __value__: ['2', 0] } } },
      '9': save('1'),
      '10': save('4'),
    };
    expect(Object.keys(plan({ workflow }).workflow)).toEqual(['1', '4', '9', '10']);
    expect(plan({ workflow }).outputNodes).toEqual(['9', '10']);
  });

  it('never drops an ancestor of an output, in any graph', () => {
    const links = fc.array(fc.tuple(fc.nat(11), fc.nat(11)), { maxLength: 40 });
    fc.assert(
      fc.property(links, (pairs) => {
        const workflow: Record<string, { class_type: string; inputs: Record<string, unknown> }> = {};
        for (let i = 0; i < 12; i++) workflow[i] = { class_type: i < 2 ? 'PreviewImage' : 'Text', inputs: {} };
        for (const [from, to] of pairs) {
          const node = workflow[to];
          if (node) node.inputs[`in${from}`] = [String(from), 0];
        }
        const kept = plan({ workflow }).workflow;
        for (const node of Object.values(kept)) {
          for (const value of Object.values(node.inputs)) {
            expect(Object.keys(kept)).toContain((value as [string, number])[0]);
          }
        }
      }),
    );
  });

  it.each([
    ['LoadImage', 'image', '/etc/passwd'],
    ['LoadImage', 'image', 'C:\\x.png'],
    ['LoadImage', 'image', 'a/../../b.png'],
    ['LoadImage', 'image', 'b.png [temp]'],
    ['LoadLatent', 'latent', '../x.latent'],
    ['VideoOfSomebody', 'path', '/video.mp4'],
  ])('refuses %s.%s = %s', (classType, input, value) => {
    const workflow = { '1': { class_type: classType, inputs: { [input]: value } }, '9': save('1') };
    expect(codeOf({ workflow })).toBe('FILE_NAME_UNSAFE');
  });

  it.each([
    ['LoadImage', 'image', 'example.png'],
    ['LoadImage', 'image', 'sub/example.png [input]'],
    ['ModelLoader', 'name', '../up.safetensors'],
    ['Text', 'text', '/imagine a ../ path [output]'],
  ])('accepts %s.%s = %s', (classType, input, value) => {
    const workflow = { '1': { class_type: classType, inputs: { [input]: value } }, '9': save('1') };
    expect(codeOf({ workflow })).toBe('accepted');
  });

  it.each(['/abs', '../up', 'a/../../b', 'C:x', '..\\up'])('refuses the prefix %s', (prefix) => {
    const workflow = { '1': { class_type: 'EmptyImage', inputs: {} }, '9': save('1', prefix) };
    expect(codeOf({ workflow })).toBe('FILE_NAME_UNSAFE');
  });

  it('wants every sent file named and every chosen output to exist', () => {
    const workflow = { '1': { class_type: 'LoadImage', inputs: { image: 'a.png' } }, '9': save('1') };
    const files = [{ name: 'a.png', data }];
    expect(codeOf({ workflow, files })).toBe('accepted');
    expect(codeOf({ workflow, files: [...files, { name: 'b.png', data }] })).toBe('INPUT_INVALID');
    expect(codeOf({ workflow, files, outputs: { nodes: ['10'] } })).toBe('INPUT_INVALID');
  });

  it('does not stage a file that only dropped nodes use', () => {
    const workflow = {
      '1': { class_type: 'LoadImage', inputs: { image: 'a.png' } },
      '2': { class_type: 'EmptyImage', inputs: {} },
      '9': save('2'),
    };
    expect(plan({ workflow, files: [{ name: 'a.png', data }] }).fileUses).toEqual([]);
  });
});

describe('binding', () => {
  const binding = { staged: new Map([['a.png', 'cr-in/0a.png']]), folder: 'cr-job' };

  it('replaces staged names, moves savers into the folder and marks outputs without a prefix', () => {
    const planned = plan({
      workflow: {
        '1': { class_type: 'LoadImage', inputs: { image: 'a.png [input]' } },
        '2': { class_type: 'Text', inputs: { text: 'pic' } },
        '9': save('1', 'deep/pic'),
        '10': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
        '11': save('1', ['2', 0]),
        '12': { class_type: 'SaveLoRANode', inputs: { prefix: 'loras/mine' } },
      },
      files: [{ name: 'a.png', data }],
    });
    const before = structuredClone(planned);
    const graph = bindGraph(planned, binding);
    expect(graph['1']?.inputs).toEqual({ image: 'cr-in/0a.png' });
    expect(graph['9']?.inputs['filename_prefix']).toBe('cr-job/deep/pic');
    expect(graph['10']?.inputs).toEqual({ images: ['1', 0], [runMark]: 'cr-job' });
    expect(graph['11']?.inputs).toEqual({ images: ['1', 0], filename_prefix: ['2', 0], [runMark]: 'cr-job' });
    expect(graph['12']?.inputs['prefix']).toBe('cr-job/loras/mine');
    expect(planned).toEqual(before);
  });

  it.each([
    ['pic', 'cr/pic'],
    ['a/b', 'cr/a/b'],
    ['./a//b/', 'cr/a/b'],
    ['', 'cr/ComfyUI'],
    ['.', 'cr/ComfyUI'],
    ['./', 'cr/ComfyUI'],
    ['%date:yyyy%_%width%', 'cr/%date:yyyy%_%width%'],
    ['a..b', 'cr/a..b'],
  ])('prefix %j becomes %j', (prefix, expected) => {
    expect(prefixInFolder('cr', prefix)).toBe(expected);
  });
});

describe('redacting', () => {
  const prompt = "a lighthouse, 'stormy' night\nwith seven gulls over the bay";
  const redact = createRedactor(() => ({ secrets: [prompt], renames: new Map([['cr-1-0a/0b.png', 'me.png']]) }));

  it.each([
    [`bad text: ${prompt}`, 'bad text: [redacted]'],
    [`bad text: ${JSON.stringify(prompt)}`, 'bad text: "[redacted]"'],
    ['no such file: cr-1-0a/0b.png', 'no such file: me.png'],
    ['width must be positive', 'width must be positive'],
  ])('%j', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  it('finds a quote that was cut', () => {
    expect(redact(`ValueError: ${prompt.slice(0, 45)}...`)).not.toMatch(/lighthouse|seven/);
  });

  it('finds a quote of a text of many megabytes, which may be a picture, and is not held up by it', () => {
    const picture = randomBytes(13_500_000).toString('base64');
    const tell = createRedactor(() => ({ secrets: [picture, prompt], renames: new Map() }));
    const startedAt = performance.now();
    expect(tell(`not a picture: ${picture.slice(5_000_000, 5_000_200)}, ${prompt}.`)).toBe(
      'not a picture: [redacted], [redacted].',
    );
    expect(tell(picture)).toBe(`[redacted] [cut: ${picture.length} characters]`);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it('lets nothing of a quote through where a long text is cut', () => {
    const tell = createRedactor(() => ({ secrets: [prompt], renames: new Map() }));
    const before = prompt.repeat(Math.floor(7_900 / prompt.length));
    // The last one begins eight characters before the 8,000 that are looked at.
    const text = before + ' '.repeat(7_992 - before.length) + prompt;
    const told = tell(text);
    expect(told).not.toContain('a li');
    expect(told).toContain(` [cut: ${text.length} characters]`);
  });

  it('never lets a whole secret through', () => {
    const secret = fc.string({ minLength: 4, maxLength: 80 }).filter((text) => text.trim().length >= 4);
    fc.assert(
      fc.property(secret, fc.string(), fc.string(), (text, before, after) => {
        fc.pre(!'[redacted]'.includes(text.trim()));
        const told = createRedactor(() => ({ secrets: [text], renames: new Map() }))(`${before} ${text} ${after}`);
        expect(told).not.toContain(` ${text} `);
      }),
    );
  });
});
