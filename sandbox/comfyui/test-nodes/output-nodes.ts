// Output nodes: files under any key, no UI at all, UI in the middle of a graph, and a mirror of received values.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { NodeContext, NodeDefinition } from '../node-definition.ts';
import { pyFloat } from '../python-number.ts';
import { pyRepr } from '../python-repr.ts';
import { declareSandboxNode } from './declare.ts';

const ANY = ['*', {}] as const;

/** Extension by kind; the kind is also the key of the UI output, as third-party savers choose theirs. */
const EXTENSIONS: Readonly<Record<string, string>> = {
  images: 'png',
  gifs: 'mp4',
  videos: 'mp4',
  audio: 'flac',
  '3d': 'glb',
  latents: 'latent',
  anything: 'bin',
};

async function writeFileOf(kind: string, prefix: string, text: string, context: NodeContext) {
  const place = await context.getSavePath(prefix, context.folders.output);
  const filename = `${place.filename}_${String(place.counter).padStart(5, '0')}_.${EXTENSIONS[kind] ?? 'bin'}`;
  await writeFile(path.join(place.folder, filename), text);
  const entry = { filename, subfolder: place.subfolder, type: 'output' };
  return kind === 'gifs' ? { ...entry, format: 'video/h264-mp4', frame_rate: 8, fullpath: filename } : entry;
}

/** Writes a small file and lists it under a chosen key; `text` lists the text itself. */
export const sandboxSaveAs: NodeDefinition = {
  classType: 'SandboxSaveAs',
  declaration: declareSandboxNode({
    classType: 'SandboxSaveAs',
    description: 'Writes a file and reports it under a chosen key.',
    required: {
      kind: [[...Object.keys(EXTENSIONS), 'text'], {}],
      filename_prefix: ['STRING', { default: 'sandbox/out' }],
    },
    optional: { content: ['STRING', { default: 'content' }], value: ANY },
    hidden: { prompt: 'PROMPT', extra_pnginfo: 'EXTRA_PNGINFO' },
    outputNode: true,
  }),
  execute: async (inputs, context) => {
    const kind = String(inputs['kind']);
    const content = String(inputs['value'] ?? inputs['content'] ?? 'content');
    if (kind === 'text') return { outputs: [], ui: { text: [content] } };
    const entry = await writeFileOf(kind, String(inputs['filename_prefix']), content, context);
    return { outputs: [], ui: { [kind]: [entry] } };
  },
};

/** An output node that shows nothing. */
export const sandboxSilentOutput: NodeDefinition = {
  classType: 'SandboxSilentOutput',
  declaration: declareSandboxNode({
    classType: 'SandboxSilentOutput',
    description: 'An output node without UI output.',
    required: { value: ANY },
    outputNode: true,
  }),
  execute: () => Promise.resolve({ outputs: [] }),
};

/** Shows its text and passes it on: UI in the middle of a graph. */
export const sandboxShow: NodeDefinition = {
  classType: 'SandboxShow',
  declaration: declareSandboxNode({
    classType: 'SandboxShow',
    description: 'Shows a text and passes it on.',
    required: { text: ['STRING', { default: '' }] },
    output: ['STRING'],
  }),
  execute: (inputs) => Promise.resolve({ outputs: [inputs['text']], ui: { text: [String(inputs['text'])] } }),
};

/** One input of every plain type; shows what arrived, as Python would print it. */
export const sandboxTypes: NodeDefinition = {
  classType: 'SandboxTypes',
  declaration: declareSandboxNode({
    classType: 'SandboxTypes',
    description: 'Shows the values it received.',
    optional: {
      number: ['INT', { default: 0, min: -10, max: 100 }],
      fraction: ['FLOAT', { default: pyFloat(0), min: pyFloat(-1), max: pyFloat(1) }],
      flag: ['BOOLEAN', { default: false }],
      text: ['STRING', { default: '' }],
      value: ANY,
      few: [['a', 'b', 'c'], {}],
      many: [Array.from({ length: 25 }, (_, index) => `option ${index}`), {}],
      modern: ['COMBO', { options: ['x', 'y'], multiselect: false }],
    },
    outputNode: true,
  }),
  execute: (inputs) =>
    Promise.resolve({
      outputs: [],
      ui: { text: Object.entries(inputs).map(([name, value]) => `${name}=${pyRepr(value)}`) },
    }),
};
