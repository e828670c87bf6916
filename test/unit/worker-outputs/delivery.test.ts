// How results are made to fit and where else they go: packing without loss, bucket addresses, chunks put together.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, onTestFinished } from 'vitest';
import { describeBucket, readS3Config } from '../../../worker/outputs/delivery/bucket.ts';
import { repackPng } from '../../../worker/outputs/delivery/encode-picture.ts';
import { presignGet } from '../../../worker/outputs/delivery/presign-get.ts';
import { collectOutputs } from '../../../worker/outputs/index.ts';

const side = 256;

/** A smooth picture, stored as ComfyUI never would: without compression. */
function loosePng(channels: 1 | 3 | 4): Promise<Buffer> {
  const pixels = Uint8Array.from(
    { length: side * side * channels },
    (_, i) => (Math.floor(i / channels) % side) & 0xff,
  );
  return sharp(pixels, { raw: { width: side, height: side, channels } })
    .png({ compressionLevel: 0 })
    .toBuffer();
}

describe('packing a PNG tighter', () => {
  it.each([1, 3, 4] as const)('makes one of %i channels smaller and changes no pixel', async (channels) => {
    const loose = await loosePng(channels);
    const packed = await repackPng(loose);
    expect(packed?.length).toBeLessThan(loose.length / 2);
    expect(await sharp(packed).raw().toBuffer()).toEqual(await sharp(loose).raw().toBuffer());
  });

  it('leaves alone what would not get smaller, has 16 bits, or is no PNG', async () => {
    const raw = { width: 64, height: 64, channels: 3 as const };
    const tight = await sharp(randomBytes(64 * 64 * 3), { raw })
      .png({ compressionLevel: 9, adaptiveFiltering: true })
      .toBuffer();
    expect(await repackPng(tight)).toBeUndefined();
    const deep = await sharp(await loosePng(3))
      .toColourspace('rgb16')
      .png({ compressionLevel: 0 })
      .toBuffer();
    expect(await repackPng(deep)).toBeUndefined();
    expect(await repackPng(randomBytes(1_000))).toBeUndefined();
  });

  const collect = (bytes: Buffer, limitBytes: number) =>
    collectOutputs({
      listed: {
        files: [{ node: '9', key: 'images', index: 0, filename: 'a.png', subfolder: '', type: 'output' }],
        values: [],
      },
      locate: async () => ({ size: bytes.length, read: async () => bytes }),
      classOf: () => 'SaveImage',
      callerName: ({ filename, subfolder }) => ({ name: filename, subfolder }),
      metadata: 'strip',
      limitBytes,
      signal: new AbortController().signal,
    });

  it('happens only when it makes the result fit, and the artifact says so', async () => {
    const loose = await loosePng(3);
    const encoded = Math.ceil(loose.length / 3) * 4 + 1_024;
    const asItWas = await collect(loose, encoded + 1_000);
    expect(asItWas.artifacts[0]?.described).toMatchObject({ size: loose.length });
    expect(asItWas.artifacts[0]?.described.encoding).toBeUndefined();
    const packed = await collect(loose, encoded - 10_000);
    expect(packed.artifacts[0]?.described.encoding).toMatchObject({ from: 'image/png', to: 'image/png' });
    await expect(collect(randomBytes(100_000), 110_000)).rejects.toMatchObject({ code: 'RESULT_TOO_LARGE' });
  });
});

describe('a network volume', () => {
  it('has whole files although two workers were given the same job and write it at the same time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'volume-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const write = async (fill: string) => {
      const bytes = Buffer.alloc(6_000_000, fill);
      const { artifacts } = await collectOutputs({
        listed: {
          files: [{ node: '9', key: 'files', index: 0, filename: 'a.bin', subfolder: '', type: 'output' }],
          values: [],
        },
        locate: async () => ({
          size: bytes.length,
          read: async () => bytes,
          readRange: async (position, length) => bytes.subarray(position, position + length),
        }),
        classOf: () => 'Save',
        callerName: ({ filename, subfolder }) => ({ name: filename, subfolder }),
        metadata: 'strip',
        limitBytes: 1_000_000,
        signal: new AbortController().signal,
        delivery: {
          places: { volumeDir: folder },
          request: { jobId: 'job', destination: { kind: 'volume' } },
          onFailure: () => undefined,
        },
      });
      return artifacts[0]?.described.sha256;
    };
    const hashes = await Promise.all(['a', 'b', 'c'].map(write));
    const written = await readFile(join(folder, 'job', '0000.bin'));
    expect(hashes).toContain(createHash('sha256').update(written).digest('hex'));
    expect(await readdir(join(folder, 'job'))).toEqual(['0000.bin']);
  });
});

describe('a bucket', () => {
  const keys = { accessKeyId: 'a', secretAccessKey: 's' };

  it.each([
    ['https://s3.example.com', 'b', 'https://s3.example.com', 'b', 'us-east-1'],
    ['https://s3.example.com/inpath', undefined, 'https://s3.example.com', 'inpath', 'us-east-1'],
    ['https://mine.s3.eu-west-1.amazonaws.com', undefined, 'https://s3.eu-west-1.amazonaws.com', 'mine', 'eu-west-1'],
    ['https://s3.us-west-2.amazonaws.com', 'b', 'https://s3.us-west-2.amazonaws.com', 'b', 'us-west-2'],
  ])('at %s with the name %s is understood', (endpointUrl, name, endpoint, bucket, region) => {
    expect(describeBucket({ endpointUrl, ...keys, ...(name !== undefined && { name }) })).toMatchObject({
      endpoint,
      bucket,
      region,
    });
  });

  it('without a name or a usable address is none', () => {
    expect(describeBucket({ endpointUrl: 'https://s3.example.com', ...keys })).toBeUndefined();
    expect(readS3Config({ accessId: 'a', accessSecret: 's', endpointUrl: 'file:///b/c' })).toBeUndefined();
    expect(readS3Config('nonsense')).toBeUndefined();
  });

  it('gives signed addresses that live seven days at most and never hold the secret', () => {
    const bucket = { endpoint: 'https://s3.example.com', bucket: 'b', region: 'us-east-1', ...keys };
    const now = new Date('2026-01-02T03:04:05Z');
    const { url, expiresAt } = presignGet(bucket, 'k/ü.png', 99 * 86_400, now);
    expect(url).toContain('/b/k/%C3%BC.png?');
    expect(new URL(url).searchParams.get('X-Amz-Expires')).toBe('604800');
    expect(new URL(url).searchParams.get('X-Amz-Date')).toBe('20260102T030405Z');
    expect(expiresAt).toBe('2026-01-09T03:04:05.000Z');
    expect(presignGet({ ...bucket, secretAccessKey: 'other' }, 'k', 60, now).url).not.toBe(
      presignGet(bucket, 'k', 60, now).url,
    );
  });
});
