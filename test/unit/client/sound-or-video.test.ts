// What --video and --audio take, told by the first bytes of the file.
import { describe, expect, it } from 'vitest';
import { soundOrVideo } from '../../../client/files/picture-format.ts';

const container = (brand: string) =>
  Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from(`ftyp${brand}`), Buffer.alloc(20)]);

describe('a sound or a video', () => {
  it.for([
    ['an MP4', container('isom'), 'video'],
    ['a MOV', container('qt  '), 'video'],
    ['an M4A', container('M4A '), 'audio'],
    ['an MP3 without a tag', Buffer.from([0xff, 0xfb, 0x90, 0x64]), 'audio'],
    ['an ADTS stream', Buffer.from([0xff, 0xf1, 0x50, 0x80]), 'audio'],
  ] as const)('%s is told', ([, head, kind]) => {
    expect(soundOrVideo(head)).toBe(kind);
  });

  it.for([
    ['a HEIC picture', container('heic')],
    ['an AVIF picture', container('avif')],
    ['text in UTF-16', Buffer.from('\ufeffhello', 'utf16le')],
    ['a JPEG picture', Buffer.from([0xff, 0xd8, 0xff, 0xe0])],
  ] as const)('%s is neither', ([, head]) => {
    expect(soundOrVideo(head)).toBeUndefined();
  });
});
