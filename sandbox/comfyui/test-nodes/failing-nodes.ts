// Nodes that go wrong while they run, or that spoil the server around them.
import { type NodeDefinition, NodeError } from '../node-definition.ts';
import { declareSandboxNode } from './declare.ts';

const ANY = ['*', {}] as const;

/** Raises an exception of a chosen type. */
export const sandboxFail: NodeDefinition = {
  classType: 'SandboxFail',
  declaration: declareSandboxNode({
    classType: 'SandboxFail',
    description: 'Raises an exception.',
    required: {
      message: ['STRING', { default: 'failed on purpose' }],
      exception_type: ['STRING', { default: 'ValueError' }],
    },
    optional: { value: ANY },
    output: ['*'],
  }),
  execute: (inputs) => Promise.reject(new NodeError(String(inputs['exception_type']), String(inputs['message']))),
};

/** Runs out of GPU memory. */
export const sandboxOutOfMemory: NodeDefinition = {
  classType: 'SandboxOutOfMemory',
  declaration: declareSandboxNode({
    classType: 'SandboxOutOfMemory',
    description: 'Raises torch.OutOfMemoryError.',
    optional: { value: ANY },
    output: ['*'],
  }),
  execute: () =>
    Promise.reject(new NodeError('torch.OutOfMemoryError', 'Allocation on device 0 would exceed allowed memory.')),
};

/** Shows something Python's JSON encoder refuses: delivery to a connected client ends the server. */
export const sandboxUnserialisable: NodeDefinition = {
  classType: 'SandboxUnserialisable',
  declaration: declareSandboxNode({
    classType: 'SandboxUnserialisable',
    description: 'Returns bytes as UI output.',
    outputNode: true,
  }),
  execute: () => Promise.resolve({ outputs: [], ui: { data: [new Uint8Array([1, 2, 3])] } }),
};

/** Its change marker raises, so it is never served from cache. */
export const sandboxBadChange: NodeDefinition = {
  classType: 'SandboxBadChange',
  declaration: declareSandboxNode({
    classType: 'SandboxBadChange',
    description: 'IS_CHANGED raises.',
    output: ['STRING'],
  }),
  isChanged: () => {
    throw new NodeError('ValueError', 'no marker');
  },
  execute: () => Promise.resolve({ outputs: ['never cached'] }),
};
