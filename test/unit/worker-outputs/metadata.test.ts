// Metadata is taken out and the pictures stay the same.
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { sniffContentType, stripMetadata } from '../../../worker/outputs/index.ts';

const noise = Buffer.from(Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 37) % 256));
const picture = () => sharp(noise, { raw: { width: 32, height: 32, channels: 3 } });
const exif = { IFD0: { Make: 'prompt:a hidden sentence', Model: 'workflow' } };
const pixels = (bytes: Buffer) => sharp(bytes).raw().toBuffer();

function chunk(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, data, Buffer.alloc(4)]);
}

/** The PNG with chunks put before its end. */
function withChunks(png: Buffer, ...chunks: Buffer[]): Buffer {
  return Buffer.concat([png.subarray(0, -12), ...chunks, png.subarray(-12)]);
}

describe('stripping metadata', () => {
  it.each(['tEXt', 'zTXt', 'iTXt', 'eXIf', 'tIME', 'comf'])('takes %s chunks out of a PNG', async (type) => {
    const png = await picture().png().toBuffer();
    const marked = withChunks(png, chunk(type, Buffer.from('prompt\0a hidden sentence')));
    const { bytes, metadata } = stripMetadata(marked, 'image/png');
    expect(metadata).toBe('stripped');
    expect(bytes.includes('hidden')).toBe(false);
    expect(bytes.equals(stripMetadata(png, 'image/png').bytes)).toBe(true);
    expect((await pixels(bytes)).equals(noise)).toBe(true);
  });

  it('keeps colour and animation chunks of a PNG and drops what hangs behind its end', async () => {
    const png = await picture().png().toBuffer();
    const marked = Buffer.concat([
      withChunks(png, chunk('gAMA', Buffer.alloc(4)), chunk('fcTL', Buffer.alloc(26))),
      Buffer.from('tail'),
    ]);
    const { bytes } = stripMetadata(marked, 'image/png');
    expect(bytes.includes('gAMA')).toBe(true);
    expect(bytes.includes('fcTL')).toBe(true);
    expect(bytes.includes('tail')).toBe(false);
  });

  it('takes Exif, XMP and comments out of a JPEG, and keeps its colour profile', async () => {
    const plain = await picture().jpeg({ quality: 90 }).toBuffer();
    const marked = await picture().jpeg({ quality: 90 }).withExif(exif).withIccProfile('p3').toBuffer();
    const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 18]), Buffer.from('a hidden comment')]);
    const all = Buffer.concat([marked.subarray(0, 2), comment, marked.subarray(2)]);
    const { bytes, metadata } = stripMetadata(all, 'image/jpeg');
    expect(metadata).toBe('stripped');
    expect(bytes.includes('hidden')).toBe(false);
    const found = await sharp(bytes).metadata();
    expect(found.exif).toBeUndefined();
    expect(found.icc).toBeDefined();
    const { bytes: same } = stripMetadata(plain, 'image/jpeg');
    expect((await pixels(same)).equals(await pixels(plain))).toBe(true);
    expect((await pixels(bytes)).equals(await pixels(marked))).toBe(true);
  });

  it('reads over stuffed bytes, restart markers and several scans of a JPEG', async () => {
    const large = sharp(noise, { raw: { width: 32, height: 32, channels: 3 } }).resize(256, 256, { kernel: 'nearest' });
    const marked = await large.jpeg({ quality: 100, progressive: true, mozjpeg: true }).withExif(exif).toBuffer();
    const { bytes, metadata } = stripMetadata(marked, 'image/jpeg');
    expect(metadata).toBe('stripped');
    expect(bytes.includes('hidden')).toBe(false);
    expect((await pixels(bytes)).equals(await pixels(marked))).toBe(true);
  });

  it('takes Exif and XMP out of a WebP and clears its flags', async () => {
    const marked = await picture().webp({ lossless: true }).withExif(exif).toBuffer();
    expect(marked.includes('hidden')).toBe(true);
    const { bytes, metadata } = stripMetadata(marked, 'image/webp');
    expect(metadata).toBe('stripped');
    expect(bytes.includes('hidden')).toBe(false);
    expect(bytes.readUInt32LE(4)).toBe(bytes.length - 8);
    expect((await sharp(bytes).metadata()).exif).toBeUndefined();
    expect((await pixels(bytes)).equals(await pixels(marked))).toBe(true);
  });

  it('keeps every frame of an animated WebP', async () => {
    const frames = sharp(Buffer.concat([noise, noise]), {
      raw: { width: 32, height: 64, channels: 3, pageHeight: 32 },
    });
    const animated = await frames
      .webp({ lossless: true, loop: 0, delay: [50, 50] })
      .withExif(exif)
      .toBuffer();
    const { bytes } = stripMetadata(animated, 'image/webp');
    expect((await sharp(bytes, { animated: true }).metadata()).pages).toBe(
      (await sharp(animated, { animated: true }).metadata()).pages,
    );
    expect(bytes.includes('hidden')).toBe(false);
  });

  it('leaves broken files and unknown formats as they are, and says so', async () => {
    const png = await picture().png().toBuffer();
    const broken = png.subarray(0, 60);
    expect(stripMetadata(broken, 'image/png')).toEqual({ bytes: broken, metadata: 'kept' });
    const video = Buffer.from('....ftypisom');
    expect(stripMetadata(video, 'video/mp4')).toEqual({ bytes: video, metadata: 'kept' });
  });
});

describe('sniffing', () => {
  it.each([
    ['png', 'image/png'],
    ['jpeg', 'image/jpeg'],
    ['webp', 'image/webp'],
    ['gif', 'image/gif'],
    ['tiff', 'image/tiff'],
    ['avif', 'image/avif'],
  ] as const)('knows a %s by its bytes, whatever it is called', async (format, type) => {
    const bytes = await picture().toFormat(format).toBuffer();
    expect(sniffContentType(bytes, 'misleading.txt')).toBe(type);
  });

  it.each([
    ['\0\0\0\x18ftypisom', 'video/mp4'],
    ['\x1aE\xdf\xa3....webm', 'video/webm'],
    ['RIFF....WAVE', 'audio/wav'],
    ['fLaC', 'audio/flac'],
    ['glTF', 'model/gltf-binary'],
    ['ID3\x04', 'audio/mpeg'],
  ])('knows %j', (text, type) => {
    expect(sniffContentType(Buffer.from(text, 'latin1'), 'x')).toBe(type);
  });

  it('goes by the name where bytes say nothing', () => {
    expect(sniffContentType(Buffer.from('<svg/>'), 'a.svg')).toBe('image/svg+xml');
    expect(sniffContentType(Buffer.from('?'), 'a.unheard')).toBe('application/octet-stream');
  });
});
