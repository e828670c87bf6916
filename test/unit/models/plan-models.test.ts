import { describe, expect, it } from 'vitest';
import { declaredModels } from '../../../client/models/declared-models.ts';
import { findModels } from '../../../client/models/find-models.ts';
import { planModels } from '../../../client/models/plan-models.ts';

const workflow = {
  '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'xl/base.safetensors' } },
  '2': {
    class_type: 'LoraLoader',
    inputs: { model: ['1', 0], lora_name: 'flux\\style.safetensors', strength_model: 1 },
  },
  '10': { class_type: 'LoraLoaderModelOnly', inputs: { lora_name: 'flux/style.safetensors' } },
  '3': {
    class_type: 'DualCLIPLoader',
    inputs: { clip_name1: 'a.safetensors', clip_name2: 'b.safetensors', type: 'flux' },
  },
  '4': { class_type: 'CLIPVisionLoader', inputs: { clip_name: 'vision.safetensors' } },
  '5': { class_type: 'UpscaleModelLoader', inputs: { model_name: '4x.pth' } },
  '6': {
    class_type: 'CLIPTextEncode',
    inputs: { text: 'a cat, embedding:good/hands, embedding:bad.pt.', clip: ['3', 0] },
  },
  '7': {
    class_type: 'SomebodysLoader',
    inputs: { thing: 'odd.safetensors', config: 'settings.json', note: 'see model.txt' },
  },
  '8': { class_type: 'VAELoader', inputs: { vae_name: 'pixel_space' } },
};

describe('the models of a workflow', () => {
  it('are found by their loaders, each in the folder of its kind, with every node that names them', () => {
    const found = findModels(workflow);
    expect(found.map(({ folder, name }) => `${folder ?? '?'}:${name}`)).toEqual([
      'checkpoints:xl/base.safetensors',
      'clip_vision:vision.safetensors',
      'embeddings:bad.pt',
      'embeddings:good/hands.safetensors',
      'loras:flux/style.safetensors',
      'text_encoders:a.safetensors',
      'text_encoders:b.safetensors',
      'upscale_models:4x.pth',
      '?:odd.safetensors',
    ]);
    expect(found.find(({ folder }) => folder === 'loras')?.uses.map(({ node }) => node)).toEqual(['2', '10']);
  });

  it('get their sources from manifests, whatever way the folder is written, and from what templates note', () => {
    const source = { kind: 'url', url: 'https://models.example/x.safetensors' } as const;
    const known = [
      { folder: 'loras/flux', name: 'style.safetensors', source, sha256: 'a'.repeat(64) },
      { folder: 'clip', name: 'a.safetensors', source },
      { folder: 'somewhere', name: 'odd.safetensors', source },
    ];
    const { specs, unknown } = planModels(findModels(workflow), known);
    const of = (name: string) => specs.find((spec) => spec.name === name);
    expect(of('flux/style.safetensors')).toMatchObject({ folder: 'loras', source, sha256: 'a'.repeat(64) });
    expect(of('a.safetensors')).toMatchObject({ folder: 'text_encoders', source });
    expect(of('odd.safetensors')).toMatchObject({ folder: 'somewhere', source });
    expect(of('b.safetensors')?.source).toEqual({ kind: 'none' });
    expect(unknown).toEqual([]);
  });

  it('are noted by templates, in sub-graphs as well; hub addresses become repository and file', () => {
    const url = 'https://huggingface.co/maker/pack/resolve/main/split%20files/m.safetensors?download=true';
    const node = { type: 'X', properties: { models: [{ name: 'm.safetensors', url, directory: 'vae' }] } };
    const bad = { properties: { models: [{ name: '../m.safetensors', url, directory: 'vae' }, 7, { name: 'x' }] } };
    const document = { nodes: [bad], definitions: { subgraphs: [{ nodes: [node] }] } };
    expect(declaredModels(document)).toEqual([
      {
        folder: 'vae',
        name: 'm.safetensors',
        source: { kind: 'huggingface', repo: 'maker/pack', revision: 'main', file: 'split files/m.safetensors' },
      },
    ]);
  });
});
