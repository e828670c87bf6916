import { expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { findClass } from '../../../client/workflow/convert/object-info.ts';

it('the package knows the node classes of its ComfyUI version, loaded once', async () => {
  const { version, objectInfo } = await loadObjectInfo();
  expect(version).toBe('0.3.64');
  expect(Object.keys(objectInfo)).toHaveLength(494);
  expect(findClass(objectInfo, 'KSampler')?.inputs.map((input) => input.name)).toEqual([
    'model',
    'seed',
    'steps',
    'cfg',
    'sampler_name',
    'scheduler',
    'positive',
    'negative',
    'latent_image',
    'denoise',
  ]);
  expect(findClass(objectInfo, 'LoadImage')?.inputs[0]?.choices).toEqual([]);
  expect((await loadObjectInfo()).objectInfo).toBe(objectInfo);
});
