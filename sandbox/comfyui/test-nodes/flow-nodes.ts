// Nodes that steer execution: lazy inputs, expansion, blockers, a cycle made at run time, lists.
import { ExecutionBlocker, expansionId, type NodeDefinition } from '../node-definition.ts';
import { declareSandboxNode } from './declare.ts';

const ANY = ['*', {}] as const;
const LAZY = ['*', { lazy: true }] as const;

/** Asks only for the branch it takes, so it is announced twice. */
export const sandboxLazySwitch: NodeDefinition = {
  classType: 'SandboxLazySwitch',
  declaration: declareSandboxNode({
    classType: 'SandboxLazySwitch',
    description: 'Evaluates only the chosen branch.',
    required: { condition: ['BOOLEAN', { default: true }] },
    optional: { on_true: LAZY, on_false: LAZY },
    output: ['*'],
  }),
  checkLazyStatus: (inputs) => [inputs['condition'] === true ? 'on_true' : 'on_false'],
  execute: (inputs) => Promise.resolve({ outputs: [inputs[inputs['condition'] === true ? 'on_true' : 'on_false']] }),
};

/** Expands into a chain of SandboxShow nodes; with `save`, an output node is part of it. */
export const sandboxExpand: NodeDefinition = {
  classType: 'SandboxExpand',
  declaration: declareSandboxNode({
    classType: 'SandboxExpand',
    description: 'Expands into a small graph.',
    required: { text: ['STRING', { default: 'expanded' }], length: ['INT', { default: 1, min: 1, max: 100 }] },
    optional: { save: ['BOOLEAN', { default: false }] },
    output: ['STRING'],
  }),
  execute: (inputs, context) => {
    const id = (index: number): string => expansionId(context.nodeId, context.callIndex, 0, index);
    const length = Number(inputs['length']);
    const graph = new Map<string, { class_type: string; inputs: Record<string, unknown> }>();
    for (let index = 1; index <= length; index += 1) {
      const text: unknown = index === 1 ? inputs['text'] : [id(index - 1), 0];
      graph.set(id(index), { class_type: 'SandboxShow', inputs: { text } });
    }
    if (inputs['save'] === true) {
      const saver = { kind: 'text', filename_prefix: 'x', value: [id(length), 0] };
      graph.set(id(length + 1), { class_type: 'SandboxSaveAs', inputs: saver });
    }
    return Promise.resolve({ outputs: [[id(length), 0]], expand: { graph } });
  },
};

/** Blocks everything behind it; with a message ComfyUI reports that. */
export const sandboxBlock: NodeDefinition = {
  classType: 'SandboxBlock',
  declaration: declareSandboxNode({
    classType: 'SandboxBlock',
    description: 'Blocks execution behind it.',
    required: { block: ['BOOLEAN', { default: true }], message: ['STRING', { default: '' }] },
    optional: { value: ANY },
    output: ['*'],
  }),
  execute: (inputs) => {
    const message = String(inputs['message']);
    const blocker = new ExecutionBlocker(message === '' ? null : message);
    return Promise.resolve({ outputs: [inputs['block'] === true ? blocker : inputs['value']] });
  },
};

/** Expands into two nodes that need each other. */
export const sandboxCycle: NodeDefinition = {
  classType: 'SandboxCycle',
  declaration: declareSandboxNode({
    classType: 'SandboxCycle',
    description: 'Creates a dependency cycle at run time.',
    output: ['STRING'],
  }),
  execute: (_inputs, context) => {
    const [a, b] = [1, 2].map((index) => expansionId(context.nodeId, context.callIndex, 0, index));
    const graph = new Map([
      [String(a), { class_type: 'SandboxShow', inputs: { text: [b, 0] } }],
      [String(b), { class_type: 'SandboxShow', inputs: { text: [a, 0] } }],
    ]);
    return Promise.resolve({ outputs: [[a, 0]], expand: { graph } });
  },
};

/** Splits a text at commas into a list; what reads it runs once per item. */
export const sandboxList: NodeDefinition = {
  classType: 'SandboxList',
  declaration: declareSandboxNode({
    classType: 'SandboxList',
    description: 'Makes a list; nodes behind it run once per item.',
    required: { items: ['STRING', { default: 'a,b,c' }] },
    output: ['STRING'],
    outputIsList: [true],
  }),
  execute: (inputs) => Promise.resolve({ outputs: [String(inputs['items']).split(',')] }),
};

/** Takes whole lists and joins them into one text. */
export const sandboxJoin: NodeDefinition = {
  classType: 'SandboxJoin',
  inputIsList: true,
  declaration: declareSandboxNode({
    classType: 'SandboxJoin',
    description: 'Joins a list into one text.',
    required: { items: ['STRING', { forceInput: true }] },
    output: ['STRING'],
  }),
  execute: (inputs) => Promise.resolve({ outputs: [(inputs['items'] as unknown[]).join('+')] }),
};

/** A text; `UNIQUE_ID` makes its node id part of the cache key. */
export const sandboxOwnId: NodeDefinition = {
  classType: 'SandboxOwnId',
  declaration: declareSandboxNode({
    classType: 'SandboxOwnId',
    description: 'Returns its own node id.',
    hidden: { unique_id: 'UNIQUE_ID' },
    output: ['STRING'],
  }),
  execute: (_inputs, context) => Promise.resolve({ outputs: [context.nodeId] }),
};
