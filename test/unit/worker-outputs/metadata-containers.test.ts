// Files as a real ComfyUI wrote them, with a marker in prompt and workflow: afterwards it is nowhere, and pictures, sound and data are the same.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { keptMetadataWarnings, sniffContentType, stripMetadata } from '../../../worker/outputs/index.ts';
import { applyEdits, editedLength } from '../../../worker/outputs/metadata/edit-plan.ts';
import { planStrip } from '../../../worker/outputs/metadata/strip-metadata.ts';

const marker = 'MARKER-zebra-7719';
const names = [
  'image.png',
  'animated.png',
  'animated.webp',
  'video.webm',
  'video.mp4',
  'silent.mp4',
  'audio.flac',
  'audio.mp3',
  'audio.opus',
  'sample.latent',
  'vector.svg',
  'mesh.glb',
] as const;
const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../fixtures/metadata', name));
const strip = (bytes: Buffer, name: string) => stripMetadata(bytes, sniffContentType(bytes, name));
const stripped = (name: string) => strip(fixture(name), name).bytes;

/** Every run of zlib data that can be inflated, from anywhere in the file. */
function inflated(bytes: Buffer): string {
  let text = '';
  for (let at = bytes.indexOf(0x78); at !== -1; at = bytes.indexOf(0x78, at + 1)) {
    try {
      text += inflateSync(bytes.subarray(at), { maxOutputLength: 1 << 20 }).toString('latin1');
    } catch {
      // No zlib data begins here.
    }
  }
  return text;
}

/** Box types and sizes of an MP4, and the bytes of its `mdat`. */
function boxes(bytes: Buffer): { layout: [string, number][]; media: Buffer } {
  const layout: [string, number][] = [];
  let media = Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
    const type = bytes.toString('latin1', at + 4, at + 8);
    layout.push([type, bytes.readUInt32BE(at)]);
    if (type === 'mdat') media = Buffer.from(bytes.subarray(at, at + bytes.readUInt32BE(at)));
  }
  return { layout, media };
}

/** Pages of an Ogg with a checksum that is calculated bit by bit. */
function oggPages(bytes: Buffer): { page: Buffer; right: boolean }[] {
  const pages: { page: Buffer; right: boolean }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const count = bytes[at + 26] ?? 0;
    const length = bytes.subarray(at + 27, at + 27 + count).reduce((sum, value) => sum + value, 27 + count);
    const page = Buffer.from(bytes.subarray(at, at + length));
    const written = page.readUInt32LE(22);
    const blank = Buffer.from(page);
    blank.fill(0, 22, 26);
    let crc = 0n;
    for (const byte of blank) {
      crc ^= BigInt(byte) << 24n;
      for (let bit = 0; bit < 8; bit++) crc = ((crc << 1n) ^ ((crc >> 31n) & 1n ? 0x104c11db7n : 0n)) & 0xffffffffn;
    }
    pages.push({ page, right: crc === BigInt(written) });
    at += length;
  }
  return pages;
}

describe('files of a real ComfyUI', () => {
  it.each(names)('%s: prompt and workflow are nowhere in the bytes, plain or compressed', (name) => {
    const raw = fixture(name);
    expect(raw.includes(`${marker}-prompt`)).toBe(true);
    expect(raw.includes(`${marker}-workflow`)).toBe(true);
    const result = strip(raw, name);
    expect(result.metadata).toBe('stripped');
    for (const text of ['MARKER', 'zebra', 'class_type', 'filename_prefix']) {
      expect(result.bytes.includes(text)).toBe(false);
      expect(result.bytes.includes(Buffer.from(text, 'utf16le'))).toBe(false);
      expect(inflated(result.bytes).includes(text)).toBe(false);
    }
  });

  it.each(names)('%s: stripping twice changes nothing more', (name) => {
    const once = stripped(name);
    expect(strip(once, name)).toEqual({ bytes: once, metadata: 'stripped' });
  });

  it.each(names)('%s: read in parts, the same edits are planned and the length is known ahead', async (name) => {
    const raw = fixture(name);
    let largest = 0;
    const read = (start: number, end: number) => {
      largest = Math.max(largest, end - start);
      return Promise.resolve(raw.subarray(start, end));
    };
    const edits = await planStrip(read, raw.length, sniffContentType(raw, name));
    if (!edits) throw new Error('not understood');
    const expected = stripped(name);
    expect(editedLength(raw.length, edits)).toBe(expected.length);
    expect(applyEdits(raw, edits).equals(expected)).toBe(true);
    expect(largest).toBeLessThanOrEqual(Math.max(raw.length, 64 * 1024));
  });

  it.each(['image.png', 'animated.webp', 'vector.svg', 'animated.png'])('%s: the picture is the same', async (name) => {
    const pixels = (bytes: Buffer) => sharp(bytes, { animated: true }).ensureAlpha().raw().toBuffer();
    expect((await pixels(stripped(name))).equals(await pixels(fixture(name)))).toBe(true);
  });

  it.each(['video.mp4', 'silent.mp4'])(
    '%s: every box has its place and length, the media data is untouched',
    (name) => {
      const [before, after] = [boxes(fixture(name)), boxes(stripped(name))];
      expect(after.layout).toEqual(before.layout);
      expect(after.media.length).toBeGreaterThan(0);
      expect(after.media.equals(before.media)).toBe(true);
      for (const table of ['stco', 'stsz', 'stts', 'stsd', 'stsc']) {
        const at = fixture(name).indexOf(table) - 4;
        const length = fixture(name).readUInt32BE(at);
        expect(
          stripped(name)
            .subarray(at, at + length)
            .equals(fixture(name).subarray(at, at + length)),
        ).toBe(true);
      }
    },
  );

  it('video.webm: clusters and cues stay where they were, byte for byte', () => {
    const [before, after] = [fixture('video.webm'), stripped('video.webm')];
    expect(after.length).toBe(before.length);
    // The cluster and, behind it, the cues are the end of the file.
    const cluster = before.lastIndexOf(Buffer.from([0x1f, 0x43, 0xb6, 0x75]));
    const cues = before.lastIndexOf(Buffer.from([0x1c, 0x53, 0xbb, 0x6b]));
    expect(cues).toBeGreaterThan(cluster);
    expect(after.subarray(cluster).equals(before.subarray(cluster))).toBe(true);
    expect(after.includes(Buffer.from([0x12, 0x54, 0xc3, 0x67]))).toBe(false);
  });

  it('audio.opus: every page checksum is right and the sound pages are the same', () => {
    const [before, after] = [oggPages(fixture('audio.opus')), oggPages(stripped('audio.opus'))];
    expect(after.length).toBe(before.length);
    expect(before.every(({ right }) => right)).toBe(true);
    expect(after.every(({ right }) => right)).toBe(true);
    const changed = after.filter(({ page }, index) => !page.equals(before[index]?.page ?? page));
    expect(changed.length).toBe(1);
    expect(changed[0]?.page.includes('OpusTags')).toBe(true);
  });

  it('audio.flac and audio.mp3: the frames are the same', () => {
    const flac = fixture('audio.flac');
    const frames = flac.indexOf(Buffer.from([0xff, 0xf8]));
    expect(frames).toBeGreaterThan(2_000);
    expect(stripped('audio.flac').subarray(frames).equals(flac.subarray(frames))).toBe(true);
    const mp3 = stripped('audio.mp3');
    expect(mp3.readUInt16BE(0) & 0xffe0).toBe(0xffe0);
    expect(fixture('audio.mp3').subarray(-mp3.length).equals(mp3)).toBe(true);
  });

  it('sample.latent: tensors and their places are the same, the header has its length', () => {
    const read = (bytes: Buffer) => {
      const length = Number(bytes.readBigUInt64LE(0));
      const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, unknown>;
      return { length, header, data: bytes.subarray(8 + length) };
    };
    const [before, after] = [read(fixture('sample.latent')), read(stripped('sample.latent'))];
    expect(after.length).toBe(before.length);
    expect(after.header).toEqual({ ...before.header, __metadata__: {} });
    expect(after.data.equals(before.data)).toBe(true);
  });

  it('mesh.glb: lengths are right, the geometry is the same', () => {
    const read = (bytes: Buffer) => {
      expect(bytes.readUInt32LE(8)).toBe(bytes.length);
      const length = bytes.readUInt32LE(12);
      expect(length % 4).toBe(0);
      return { json: JSON.parse(bytes.toString('utf8', 20, 20 + length)) as object, rest: bytes.subarray(20 + length) };
    };
    const [before, after] = [read(fixture('mesh.glb')), read(stripped('mesh.glb'))];
    expect(after.rest.equals(before.rest)).toBe(true);
    expect(after.json).toEqual({ ...before.json, asset: { version: '2.0', generator: 'ComfyUI' } });
  });
});

describe('other formats', () => {
  it('takes Exif out of an AVIF and leaves the picture', async () => {
    const picture = sharp({ create: { width: 32, height: 32, channels: 3, background: '#336680' } });
    const raw = await picture
      .avif({ quality: 60 })
      .withExif({ IFD0: { Make: `prompt:${marker}` } })
      .toBuffer();
    expect(raw.includes(marker)).toBe(true);
    const { bytes, metadata } = strip(raw, 'a.avif');
    expect(metadata).toBe('stripped');
    expect(bytes.includes(marker)).toBe(false);
    expect((await sharp(bytes).raw().toBuffer()).equals(await sharp(raw).raw().toBuffer())).toBe(true);
  });

  it('takes comments and private extensions out of a GIF and keeps its loop', async () => {
    const raw = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#336680' } })
      .gif({ loop: 3 })
      .toBuffer();
    const end = 13 + (((raw[10] ?? 0) & 0x80) === 0 ? 0 : 3 * 2 ** (((raw[10] ?? 0) & 7) + 1));
    const comment = Buffer.concat([Buffer.from([0x21, 0xfe, marker.length]), Buffer.from(marker), Buffer.from([0])]);
    const xmp = Buffer.concat([
      Buffer.from([0x21, 0xff, 11]),
      Buffer.from('XMP DataXMP'),
      Buffer.from([marker.length]),
      Buffer.from(marker),
      Buffer.from([0]),
    ]);
    const marked = Buffer.concat([raw.subarray(0, end), comment, xmp, raw.subarray(end), Buffer.from(marker)]);
    expect(strip(marked, 'a.gif').bytes.equals(raw)).toBe(true);
  });

  it('leaves a document alone whose own words merely look like metadata', () => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg"><text title="<!-- no -->">x</text><![CDATA[<metadata>]]></svg>',
    );
    expect(strip(svg, 'a.svg')).toEqual({ bytes: svg, metadata: 'stripped' });
  });

  it.each([
    ['a picture format without a filter', Buffer.from('II*\0 text'), 'a.tif'],
    ['an unknown binary', Buffer.from([1, 2, 3]), 'a.bin'],
    ['an SVG that is not well-formed', Buffer.from('<svg><metadata>secret</svg>'), 'a.svg'],
    ['an SVG with entities', Buffer.from('<!DOCTYPE svg [<!ENTITY a "b">]><svg/>'), 'a.svg'],
  ])('delivers %s unchanged and says so', (_, bytes, name) => {
    expect(strip(bytes, name)).toEqual({ bytes, metadata: 'kept' });
  });

  it('warns of files that may still hold metadata, and of no others', () => {
    const artifact = (contentType: string, metadata: 'kept' | 'stripped') => ({
      node: '9',
      index: 1,
      contentType,
      metadata,
    });
    const files = [artifact('image/tiff', 'kept'), artifact('image/png', 'stripped'), artifact('text/plain', 'kept')];
    expect(keptMetadataWarnings(files)).toEqual([
      { node: '9', message: expect.stringContaining('File 2 of node 9 (image/tiff)') as string },
    ]);
  });
});

describe('damaged and hostile files', () => {
  it.each(names)('%s: cut off anywhere or overwritten anywhere, it never fails and never hangs', async (name) => {
    const raw = fixture(name);
    const type = sniffContentType(raw, name);
    const damage = fc.array(fc.record({ at: fc.nat(raw.length - 1), byte: fc.nat(255) }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.nat(raw.length), fc.integer({ min: 1, max: 4 }), damage, async (cut, part, changes) => {
        const bytes = Buffer.from(raw.subarray(0, part === 1 ? cut : raw.length));
        for (const { at, byte } of changes) if (at < bytes.length) bytes[at] = byte;
        const before = Buffer.from(bytes);
        const result = stripMetadata(bytes, type);
        expect(bytes.equals(before)).toBe(true);
        if (result.metadata === 'kept') expect(result.bytes.equals(before)).toBe(true);
        const edits = await planStrip((start, end) => Promise.resolve(bytes.subarray(start, end)), bytes.length, type);
        expect(edits !== undefined).toBe(result.metadata === 'stripped');
        if (edits) expect(applyEdits(bytes, edits).equals(result.bytes)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it.each(names)('%s: cut off at every one of its first bytes it is kept or truthfully stripped', (name) => {
    const raw = fixture(name);
    const type = sniffContentType(raw, name);
    for (let length = 0; length < Math.min(raw.length, 600); length++) {
      const result = stripMetadata(raw.subarray(0, length), type);
      if (result.metadata === 'stripped') expect(result.bytes.includes(marker)).toBe(false);
    }
  });

  it('any bytes at all, taken for any type', () => {
    const types = 'png jpeg webp gif svg+xml avif'.split(' ').map((type) => `image/${type}`);
    const others = ['video/mp4', 'video/webm', 'audio/flac', 'audio/opus', 'audio/mpeg', 'audio/wav'];
    const all = [...types, ...others, 'model/gltf-binary', 'application/octet-stream'];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(...all), (bytes, type) => {
        stripMetadata(Buffer.from(bytes), type);
      }),
      { numRuns: 2_000 },
    );
  });
});
