import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { readChunks } from '../../../sandbox/comfyui/nodes/picture-files/png-chunks.ts';
import { newTensor, type Tensor } from '../../../sandbox/comfyui/nodes/tensor.ts';
import { NodeBench } from '../../support/node-bench.ts';

/** Pictures that differ, with as many channels as asked for. */
function pictures(batch: number, channels = 3): Tensor {
  const image = newTensor({ kind: 'IMAGE', batch, height: 6, width: 8, channels });
  for (let i = 0; i < image.data.length; i++) image.data[i] = ((i * 29) % 256) / 255;
  return image;
}

const told = { prompt: '{"1": {"a": "\\u00e9"}}', extraPngInfo: new Map([['workflow', '{"nodes": []}']]) };

function texts(png: Buffer): readonly string[] {
  return [...readChunks(png)].filter(({ type }) => type === 'tEXt').map(({ data }) => data.toString('latin1'));
}

describe('SaveImage and PreviewImage', () => {
  it('embed the graph and the workflow between header and picture, unless told not to', async () => {
    await using bench = await NodeBench.open();
    await bench.run('SaveImage', { images: pictures(1), filename_prefix: 'a' }, told);
    await bench.run('SaveImage', { images: pictures(1), filename_prefix: 'b' }, { ...told, disableMetadata: true });
    const embedded = await readFile(join(bench.folders.output, 'a_00001_.png'));
    expect([...readChunks(embedded)].map(({ type }) => type)).toEqual(['IHDR', 'tEXt', 'tEXt', 'IDAT', 'IEND']);
    expect(texts(embedded)).toEqual([`prompt\0${told.prompt}`, 'workflow\0{"nodes": []}']);
    expect(texts(await readFile(join(bench.folders.output, 'b_00001_.png')))).toEqual([]);
  });

  it('number the pictures of a batch on and go on where the folder ends', async () => {
    await using bench = await NodeBench.open();
    const inputs = { images: pictures(2), filename_prefix: 'sub/n' };
    await bench.run('SaveImage', inputs);
    const second = await bench.run('SaveImage', inputs);
    expect(second.ui?.['images']).toEqual([
      { filename: 'n_00003_.png', subfolder: 'sub', type: 'output' },
      { filename: 'n_00004_.png', subfolder: 'sub', type: 'output' },
    ]);
  });

  it('put the number within the batch where the prefix asks for it', async () => {
    await using bench = await NodeBench.open();
    await bench.run('SaveImage', { images: pictures(2), filename_prefix: 'p%batch_num%' });
    expect((await readdir(bench.folders.output)).sort()).toEqual(['p0_00001_.png', 'p1_00002_.png']);
  });

  it('keep alpha and the colours under it', async () => {
    await using bench = await NodeBench.open();
    const image = pictures(1, 4);
    await bench.run('SaveImage', { images: image, filename_prefix: 'rgba' });
    const { data, info } = await sharp(join(bench.folders.output, 'rgba_00001_.png'))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(info.channels).toBe(4);
    expect([...data]).toEqual(Array.from(image.data, (value) => Math.trunc(Math.fround(255 * value))));
  });

  it.each([1, 2, 5])('refuse %i channels as Pillow does', async (channels) => {
    await using bench = await NodeBench.open();
    await expect(bench.run('SaveImage', { images: pictures(1, channels) })).rejects.toMatchObject({
      pythonType: 'TypeError',
    });
  });

  it('previews keep one random name per node and go to the temp folder', async () => {
    await using bench = await NodeBench.open();
    const state = new Map<string, unknown>();
    await bench.run('PreviewImage', { images: pictures(1) }, { state });
    await bench.run('PreviewImage', { images: pictures(1) }, { state });
    await bench.run('PreviewImage', { images: pictures(1) });
    const names = (await readdir(bench.folders.temp)).sort();
    expect(names.every((name) => /^ComfyUI_temp_[a-z]{5}_0000[12]_\.png$/.test(name))).toBe(true);
    expect(names.filter((name) => name.endsWith('_00002_.png')).length).toBe(1);
    expect(await readdir(bench.folders.output)).toEqual([]);
  });
});

describe('animated savers', () => {
  it('write a WebP with every frame, its time and the metadata as Exif', async () => {
    await using bench = await NodeBench.open();
    const inputs = {
      images: pictures(3),
      filename_prefix: 'w',
      fps: 6,
      lossless: true,
      quality: 80,
      method: 'default',
    };
    const { ui } = await bench.run('SaveAnimatedWEBP', inputs, told);
    expect(ui).toEqual({ images: [{ filename: 'w_00001_.webp', subfolder: '', type: 'output' }], animated: [true] });
    const file = join(bench.folders.output, 'w_00001_.webp');
    const { pages, delay, exif } = await sharp(file).metadata();
    expect({ pages, delay }).toEqual({ pages: 3, delay: [166, 166, 166] });
    expect(exif?.toString('latin1')).toContain(`prompt:${told.prompt}\0`);
    expect(exif?.toString('latin1')).toContain('workflow:{"nodes": []}\0');
    const data = await sharp(file, { pages: -1 }).raw().toBuffer();
    expect([...data]).toEqual(Array.from(inputs.images.data, (value) => Math.trunc(Math.fround(255 * value))));
  });

  it('report a single picture as not animated, with metadata that can be read', async () => {
    await using bench = await NodeBench.open();
    const inputs = {
      images: pictures(1, 4),
      filename_prefix: 'w',
      fps: 6,
      lossless: true,
      quality: 0,
      method: 'fastest',
    };
    expect((await bench.run('SaveAnimatedWEBP', inputs, told)).ui?.['animated']).toEqual([false]);
    const { hasAlpha, exif } = await sharp(join(bench.folders.output, 'w_00001_.webp')).metadata();
    expect(hasAlpha).toBe(true);
    expect(exif?.toString('latin1')).toContain('prompt:');
  });

  it('leave the metadata out when told to', async () => {
    await using bench = await NodeBench.open();
    const inputs = {
      images: pictures(2),
      filename_prefix: 'w',
      fps: 6,
      lossless: false,
      quality: 80,
      method: 'default',
    };
    await bench.run('SaveAnimatedWEBP', inputs, { ...told, disableMetadata: true });
    expect((await sharp(join(bench.folders.output, 'w_00001_.webp')).metadata()).exif).toBeUndefined();
  });

  it('write an animated PNG whose frames are numbered, with the metadata behind the picture', async () => {
    await using bench = await NodeBench.open();
    const inputs = { images: pictures(3), filename_prefix: 'p', fps: 10, compress_level: 4 };
    await bench.run('SaveAnimatedPNG', inputs, told);
    const chunks = [...readChunks(await readFile(join(bench.folders.output, 'p_00001_.png')))];
    expect(chunks.map(({ type }) => type)).toEqual([
      'IHDR',
      'acTL',
      'fcTL',
      'IDAT',
      'fcTL',
      'fdAT',
      'fcTL',
      'fdAT',
      'comf',
      'comf',
      'IEND',
    ]);
    const numbered = chunks.filter(({ type }) => type === 'fcTL' || type === 'fdAT');
    expect(numbered.map(({ data }) => data.readUInt32BE(0))).toEqual([0, 1, 2, 3, 4]);
    expect(chunks.find(({ type }) => type === 'comf')?.data.toString('latin1')).toBe(`prompt\0${told.prompt}`);
  });

  it('write a still PNG when all frames are the same', async () => {
    await using bench = await NodeBench.open();
    const images = newTensor({ kind: 'IMAGE', batch: 3, height: 4, width: 4, channels: 3 });
    await bench.run('SaveAnimatedPNG', { images, filename_prefix: 'p', fps: 10, compress_level: 4 });
    const chunks = [...readChunks(await readFile(join(bench.folders.output, 'p_00001_.png')))];
    expect(chunks.map(({ type }) => type)).toEqual(['IHDR', 'IDAT', 'comf', 'IEND']);
  });
});

describe('other savers', () => {
  it('save a latent as safetensors with the numbers on a multiple of eight', async () => {
    await using bench = await NodeBench.open();
    const { outputs } = await bench.run('EmptyLatentImage', { width: 64, height: 32, batch_size: 2 });
    const { ui } = await bench.run('SaveLatent', { samples: outputs[0], filename_prefix: 'l' }, told);
    expect(ui).toEqual({ latents: [{ filename: 'l_00001_.latent', subfolder: '', type: 'output' }] });
    const file = await readFile(join(bench.folders.output, 'l_00001_.latent'));
    const length = Number(file.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    expect(file.length).toBe(8 + length + 2 * 4 * 4 * 8 * 4);
    expect(JSON.parse(file.toString('utf8', 8, 8 + length))).toMatchObject({
      __metadata__: { prompt: told.prompt },
      latent_tensor: { dtype: 'F32', shape: [2, 4, 4, 8], data_offsets: [0, 1024] },
    });
  });

  it('save videos in real containers, named under images', async () => {
    await using bench = await NodeBench.open();
    const { outputs } = await bench.run('CreateVideo', { images: pictures(3), fps: 6 });
    const mp4 = await bench.run(
      'SaveVideo',
      { video: outputs[0], filename_prefix: 'video/v', format: 'auto', codec: 'auto' },
      told,
    );
    const webm = await bench.run(
      'SaveWEBM',
      { images: pictures(3), filename_prefix: 'w', codec: 'vp9', fps: 6, crf: 32 },
      told,
    );
    expect(mp4.ui).toEqual({
      images: [{ filename: 'v_00001_.mp4', subfolder: 'video', type: 'output' }],
      animated: [true],
    });
    expect(webm.ui?.['images']).toEqual([{ filename: 'w_00001_.webm', subfolder: '', type: 'output' }]);
    const mp4File = await readFile(join(bench.folders.output, 'video/v_00001_.mp4'));
    const webmFile = await readFile(join(bench.folders.output, 'w_00001_.webm'));
    expect(mp4File.toString('latin1', 4, 8)).toBe('ftyp');
    expect(webmFile.readUInt32BE(0)).toBe(0x1a45dfa3);
    // Every frame of the MP4 is where its index says.
    const offsets = mp4File.indexOf('stco');
    const first = mp4File.readUInt32BE(offsets + 12);
    expect(mp4File.readUInt16BE(first)).toBe(0xffd8);
    expect(webmFile.includes('V_VP8')).toBe(true);
  });

  it('refuse odd sizes for MP4 as the real encoder does', async () => {
    await using bench = await NodeBench.open();
    const images = newTensor({ kind: 'IMAGE', batch: 1, height: 33, width: 45, channels: 3 });
    const video = { kind: 'VIDEO', images, fps: 6 };
    await expect(
      bench.run('SaveVideo', { video, filename_prefix: 'v', format: 'auto', codec: 'auto' }),
    ).rejects.toMatchObject({
      pythonType: 'av.error.ExternalError',
      message: expect.stringMatching(/width not divisible by 2 \(45x33\)$/),
    });
  });
});
