// Callers whose contracts have files by address get them fetched; the worker's own rules for addresses hold.
import { describe, expect, it } from 'vitest';
import { isComfyRunpodError, readJobRequest } from '../../../shared/index.ts';

const loading = (image: string) => ({ '10': { class_type: 'LoadImage', inputs: { image } } });

describe('files by address', () => {
  it('of ComfyGen are fetched and put where the request says', async () => {
    const { job } = await readJobRequest({
      workflow: loading('unset.png'),
      file_inputs: { '10': { field: 'image', url: 'https://example.com/a?sig=1', filename: 'start.png' } },
    });
    expect(job.files).toEqual([{ name: 'start.png', url: 'https://example.com/a?sig=1' }]);
    expect(job.injections).toEqual([{ node: '10', input: 'image', file: 'start.png' }]);
  });

  it.each([
    ['https://example.com/photo.JPG?sig=1', 'input.jpg'],
    ['https://example.com/download?id=7', 'input.webp'],
  ])('of cog-comfyui at %s is the file that the workflow calls %s', async (input_file, name) => {
    const { job } = await readJobRequest({ workflow_json: JSON.stringify(loading('input.webp')), input_file });
    expect(job.files).toEqual([{ name, url: input_file }]);
  });

  it('of the ai-dock wrapper may stand in the graph, over https only', async () => {
    const { job } = await readJobRequest({ workflow_json: loading('https://example.com/a.png') });
    expect(job.files).toEqual([{ name: '10-image.png', url: 'https://example.com/a.png' }]);
    const error: unknown = await readJobRequest({ workflow_json: loading('http://example.com/a.png?sig=1') }).catch(
      (thrown: unknown) => thrown,
    );
    if (!isComfyRunpodError(error)) throw new Error('not refused');
    expect(error.code).toBe('INPUT_URL_REFUSED');
    expect(error.issues.map(({ field }) => field)).toEqual(['"10"."image"']);
    expect(JSON.stringify([error, error.message])).not.toContain('example.com');
  });

  it('of comfyui-api may stand in the graph; the same address is fetched once', async () => {
    const a = 'https://example.com/a.jpeg?X-Amz-Signature=1';
    const prompt = {
      '1': { class_type: 'LoadImage', inputs: { image: a } },
      '2': { class_type: 'LoadImageMask', inputs: { image: a } },
      '3': { class_type: 'VHS_LoadVideo', inputs: { video: 'https://example.com/download' } },
      '4': { class_type: 'CLIPTextEncode', inputs: { text: 'https://example.com/is-a-prompt.png' } },
    };
    const { job, warnings } = await readJobRequest({ prompt });
    expect(job.files).toEqual([
      { name: '1-image.jpeg', url: a },
      { name: '3-video.mp4', url: 'https://example.com/download' },
    ]);
    expect(['1', '2', '3', '4'].map((node) => Object.values(job.workflow[node]?.inputs ?? {})[0])).toEqual([
      '1-image.jpeg',
      '1-image.jpeg',
      '3-video.mp4',
      'https://example.com/is-a-prompt.png',
    ]);
    expect(warnings).toEqual([expect.stringContaining('"4"."text"')]);
  });
});
