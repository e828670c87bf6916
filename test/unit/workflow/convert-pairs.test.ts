/** The proof of the conversion: 40 real workflows come out as the editor itself converted them. */
import { readdirSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { convertWorkflow } from '../../../client/workflow/convert/convert-workflow.ts';
import type { ObjectInfo } from '../../../client/workflow/convert/object-info.ts';
import { compareWithRecording, emptyTally, type RecordedPrompt } from './pair-comparison.ts';

interface Pair {
  readonly prompt: RecordedPrompt;
  readonly workflow: { readonly nodes: readonly { readonly id: number }[] };
}

const folder = new URL('../../fixtures/workflows/pairs/', import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith('.json'));

function readPair(name: string): Pair {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Pair;
}

let objectInfo: ObjectInfo;
beforeAll(async () => {
  ({ objectInfo } = await loadObjectInfo());
});

describe('a real workflow in the save format is converted as the editor converted it', () => {
  it.each(names)('%s', (name) => {
    const pair = readPair(name);
    const { workflow } = convertWorkflow(pair.workflow, objectInfo);
    expect(compareWithRecording(workflow, pair.prompt, objectInfo, emptyTally())).toEqual([]);
  });
});

describe('the comparison with the recordings', () => {
  it('covers 40 workflows, and sets next to nothing aside', () => {
    const tally = emptyTally();
    for (const name of names) {
      const pair = readPair(name);
      compareWithRecording(convertWorkflow(pair.workflow, objectInfo).workflow, pair.prompt, objectInfo, tally);
    }
    expect(names).toHaveLength(40);
    expect(tally).toEqual({
      nodes: 522,
      inputs: 1605,
      // `upload` and `choose file to upload` of the picture loaders.
      undeclaredInputs: 16,
      unknownClassNodes: 0,
      unreachedNodes: 0,
      // Inputs such as CLIPVisionEncode.crop, added to a class after the recording.
      newerInputs: 21,
    });
  });

  it('fails when a value, a link or a node is changed', () => {
    const pair = readPair('lora__lora_multiple.json');
    const { workflow } = convertWorkflow(pair.workflow, objectInfo);
    const sampler = workflow['3'];
    if (!sampler) throw new Error('the fixture has no node 3');
    const compare = (changed: typeof workflow) => compareWithRecording(changed, pair.prompt, objectInfo, emptyTally());
    expect(compare({ ...workflow, '3': { ...sampler, inputs: { ...sampler.inputs, steps: 21 } } })).toHaveLength(1);
    expect(compare({ ...workflow, '3': { ...sampler, inputs: { ...sampler.inputs, model: ['10', 1] } } })).toHaveLength(
      1,
    );
    const { '9': _saver, ...withoutSaver } = workflow;
    expect(compare(withoutSaver)).toHaveLength(1);
  });

  it('reports every node of the files that is not in the result', () => {
    for (const name of names) {
      const pair = readPair(name);
      const { workflow, report } = convertWorkflow(pair.workflow, objectInfo);
      const accounted = new Set([...Object.keys(workflow), ...report.skipped.map((entry) => entry.node)]);
      expect(pair.workflow.nodes.map((node) => String(node.id)).filter((id) => !accounted.has(id))).toEqual([]);
    }
  });
});
