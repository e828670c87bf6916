import { describe, expect, it } from 'vitest';
import { type DialectName, detectDialect, dialectNames } from '../../../shared/index.ts';
import { dialectFixture } from '../../support/dialects.ts';

const graph = { '1': { class_type: 'SaveImage', inputs: {} } };

const table: readonly (readonly [DialectName, string, unknown])[] = [
  ['raw', 'a graph', graph],
  ['raw', 'a graph with a node named like a key', { images: graph['1'], prompt: graph['1'], debug: graph['1'] }],
  ['canonical', 'the contract version', { contract: 1, workflow: graph }],
  ['canonical', 'files', { workflow: graph, files: [] }],
  ['canonical', 'debug beside a key of ours', { workflow: graph, debug: true, metadata: 'keep' }],
  ['canonical', 'nothing', undefined],
  ['canonical', 'null', null],
  ['canonical', 'a list', [graph]],
  ['canonical', 'an empty object', {}],
  ['canonical', 'a prompt that is no graph', { prompt: 'a cat' }],
  ['dimhara', 'a token', { encrypted_input: 'x' }],
  ['dimhara', 'is_encrypted', { workflow: graph, is_encrypted: false }],
  ['dimhara', 'a map of images', { workflow: graph, images: {} }],
  ['dimhara', 'debug', { workflow: graph, debug: false }],
  ['worker-comfyui', 'debug beside a list of images', { workflow: graph, images: [], debug: true }],
  ['comfygen', 'file_inputs', { workflow: graph, file_inputs: {} }],
  ['comfygen', 'overrides', { workflow: graph, overrides: {} }],
  ['comfygen', 'a command', { command: 'list_models' }],
  ['cog', 'the workflow as text under workflow_json', { workflow_json: '{}' }],
  ['ai-dock', 'the workflow as object under workflow_json', { workflow_json: graph }],
  ['ai-dock', 'a modifier', { modifier: 'Text2Image' }],
  ['salad', 'a graph under prompt', { prompt: graph }],
  ['worker-comfyui', 'a workflow', { workflow: graph }],
  ['worker-comfyui', 'a workflow as text', { workflow: '{}' }],
  ['worker-comfyui', 'params', { workflow: graph, params: { seed: 1 } }],
];

describe('the dialect of a request', () => {
  it.each(table)('is %s for %s', (dialect, _what, input) => {
    expect(detectDialect(input)).toBe(dialect);
  });

  it.each(dialectNames)('is %s when the request says so, whatever else it holds', (dialect) => {
    expect(detectDialect({ dialect, workflow: graph, images: {}, prompt: graph, files: [] })).toBe(dialect);
  });

  it.each([
    ['canonical', 'canonical'],
    ['worker-comfyui', 'worker-comfyui'],
    ['seed-style', 'worker-comfyui'],
    ['dimhara-plain', 'dimhara'],
    ['dimhara-encrypted', 'dimhara'],
    ['comfygen', 'comfygen'],
    ['cog', 'cog'],
    ['ai-dock', 'ai-dock'],
    ['salad', 'salad'],
    ['comfyui-prompt-body', 'salad'],
    ['raw', 'raw'],
  ] as const)('of the example %s is %s', async (name, dialect) => {
    expect(detectDialect(await dialectFixture(name))).toBe(dialect);
  });
});
