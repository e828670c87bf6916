// Nodes that take time: with steps and previews, beside others, or deaf to interrupts.
import sharp from 'sharp';
import type { Constants, NodeContext, NodeDefinition, PreviewImage } from '../node-definition.ts';
import { pyFloat } from '../python-number.ts';
import { declareSandboxNode } from './declare.ts';

const ANY = ['*', {}] as const;

function numberOf(inputs: Constants, name: string, fallback: number): number {
  const value = inputs[name];
  return typeof value === 'number' ? value : fallback;
}

async function previewOf(step: number): Promise<PreviewImage> {
  const background = { r: (step * 40) % 256, g: 80, b: 120 };
  const data = await sharp({ create: { width: 8, height: 8, channels: 3, background } })
    .jpeg()
    .toBuffer();
  return { type: 'image/jpeg', data };
}

async function sleepInSteps(inputs: Constants, context: NodeContext): Promise<void> {
  const steps = numberOf(inputs, 'steps', 1);
  for (let step = 1; step <= steps; step += 1) {
    await context.sleep(numberOf(inputs, 'step_ms', 0));
    await context.progress(step, steps, inputs['previews'] === true ? await previewOf(step) : undefined);
  }
}

/** Sleeps in steps; each step is a progress update and a chance for interrupts. Passes `value` on. */
export const sandboxSleep: NodeDefinition = {
  classType: 'SandboxSleep',
  declaration: declareSandboxNode({
    classType: 'SandboxSleep',
    description: 'Sleeps in steps, with progress and optional previews.',
    required: {
      steps: ['INT', { default: 4, min: 0, max: 100_000 }],
      step_ms: ['FLOAT', { default: pyFloat(10), min: pyFloat(0), max: pyFloat(600_000) }],
    },
    optional: { previews: ['BOOLEAN', { default: false }], value: ANY, label: ['STRING', { default: '' }] },
    output: ['*'],
  }),
  execute: async (inputs, context) => {
    await sleepInSteps(inputs, context);
    return { outputs: [inputs['value'] ?? inputs['label'] ?? 'slept'] };
  },
};

/** Sleeps in one piece and notices nothing meanwhile, like a long kernel or a model download. */
export const sandboxDeaf: NodeDefinition = {
  classType: 'SandboxDeaf',
  declaration: declareSandboxNode({
    classType: 'SandboxDeaf',
    description: 'Sleeps without progress and without looking at interrupts.',
    required: { ms: ['INT', { default: 100, min: 0, max: 600_000 }] },
    optional: { value: ANY },
    output: ['*'],
  }),
  execute: async (inputs, context) => {
    await context.sleep(numberOf(inputs, 'ms', 0));
    return { outputs: [inputs['value'] ?? 'slept'] };
  },
};

/** An `async def` node: others may run while it sleeps. */
export const sandboxAsync: NodeDefinition = {
  classType: 'SandboxAsync',
  isAsync: true,
  declaration: declareSandboxNode({
    classType: 'SandboxAsync',
    description: 'Sleeps beside other nodes.',
    required: { ms: ['INT', { default: 10, min: 0, max: 600_000 }] },
    optional: { value: ANY },
    output: ['*'],
  }),
  execute: async (inputs, context) => {
    await context.sleep(numberOf(inputs, 'ms', 0));
    return { outputs: [inputs['value'] ?? 'slept'] };
  },
};

/** Sends its text as a binary frame of type 3. */
export const sandboxTextFrame: NodeDefinition = {
  classType: 'SandboxTextFrame',
  declaration: declareSandboxNode({
    classType: 'SandboxTextFrame',
    description: 'Sends a text frame over the socket.',
    required: { text: ['STRING', { default: 'hello' }] },
    output: ['STRING'],
    outputNode: true,
  }),
  execute: (inputs, context) => {
    context.sendText(String(inputs['text']));
    return Promise.resolve({ outputs: [inputs['text']] });
  },
};
