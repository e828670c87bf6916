// Files that did not fit into the answer, in the words of callers that know nothing of our ways.
import { expect, it } from 'vitest';
import { type DialectName, type ForeignDelivery, shapeResult } from '../../../shared/index.ts';
import { sampleResult } from '../../support/dialects.ts';

const url = 'https://bucket.test/clip.mp4?signature="quoted"';
const deliveries: ForeignDelivery[] = [
  { via: 'url', url, expiresAt: '2026-11-28T00:00:00Z', reason: 'too large for the answer' },
  { via: 'volume', path: '/runpod-volume/results/out_00001_.png', reason: 'too large for the answer' },
  { via: 'put', reason: 'the job asked for it' },
];

function answer(dialect: DialectName): unknown {
  const segments = shapeResult(dialect, sampleResult, { deliveries });
  expect(segments.every((segment) => typeof segment === 'string')).toBe(true);
  return JSON.parse(segments.join(''));
}

it('worker-comfyui names the way of each file as its type: s3_url as its clients know it', () => {
  expect(answer('worker-comfyui')).toMatchObject({
    images: [
      { filename: 'out_00001_.png', type: 'volume_path', data: '/runpod-volume/results/out_00001_.png' },
      { filename: 'out_00001_.png', type: 'put' },
      { filename: 'clip_00001_.mp4', type: 's3_url', data: url },
    ],
    meta: { artifacts: [{ delivery: { via: 'url' } }, { delivery: { via: 'volume' } }, { delivery: { via: 'put' } }] },
  });
});

it('the other dialects give the address where the bytes would have been', () => {
  expect(answer('dimhara')).toMatchObject({ images: { 'clip_00001_.mp4': url } });
  expect(answer('ai-dock')).toMatchObject({ output: [{ data: url }, {}, {}] });
  expect(answer('salad')).toMatchObject({ images: ['/runpod-volume/results/out_00001_.png', null, url] });
  expect(answer('cog')).toEqual(['/runpod-volume/results/out_00001_.png', null, url]);
  expect(answer('comfygen')).toMatchObject({ output: { url: '/runpod-volume/results/out_00001_.png' } });
  expect(answer('worker-comfyui-4')).toMatchObject({ message: '/runpod-volume/results/out_00001_.png' });
});
