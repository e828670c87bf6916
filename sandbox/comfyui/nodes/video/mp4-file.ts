// An MP4 file whose frames are JPEG pictures. Source: ISO/IEC 14496-12 (boxes) and 14496-1 (the decoder description, object
// type 0x6C is JPEG). Neighbours: video-nodes.ts.

/** What a file holds. */
export interface Mp4Video {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** JPEG pictures of that size. */
  readonly frames: readonly Buffer[];
  /** Text entries of the whole file. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Ticks per second. */
const TIMESCALE = 90_000;

function box(type: string, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(body.length + 8, 0);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value >>> 0, index * 4);
  });
  return bytes;
}

function shorts(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => {
    bytes.writeUInt16BE(value, index * 2);
  });
  return bytes;
}

/** The matrix that changes nothing. */
const IDENTITY = words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);

function sampleEntry(video: Mp4Video): Buffer {
  const decoder = Buffer.concat([Buffer.from([0x04, 13, 0x6c, 0x11, 0, 0, 0]), words(0, 0)]);
  const stream = Buffer.concat([Buffer.from([0x03, 3 + decoder.length + 3, 0, 1, 0]), decoder, Buffer.from([6, 1, 2])]);
  const visual = Buffer.concat([
    Buffer.alloc(6),
    shorts(1),
    Buffer.alloc(16),
    shorts(video.width, video.height),
    words(0x480000, 0x480000, 0),
    shorts(1),
    Buffer.alloc(32),
    shorts(24, 0xffff),
  ]);
  return box('mp4v', visual, box('esds', words(0), stream));
}

/** Tables that tell where each frame lies and how long it lasts. All frames form one chunk at `dataStart`. */
function sampleTable(video: Mp4Video, dataStart: number): Buffer {
  const count = video.frames.length;
  return box(
    'stbl',
    box('stsd', words(0, 1), sampleEntry(video)),
    box('stts', words(0, 1, count, Math.round(TIMESCALE / video.fps))),
    box('stsc', words(0, 1, 1, count, 1)),
    box('stsz', words(0, 0, count, ...video.frames.map((frame) => frame.length))),
    box('stco', words(0, 1, dataStart)),
  );
}

function metadataBox(metadata: ReadonlyMap<string, string>): readonly Buffer[] {
  if (metadata.size === 0) return [];
  const keys = [...metadata.keys()].map((key) => box('mdta', Buffer.from(key, 'utf8')));
  const values = [...metadata.values()].map((value, index) => {
    const data = box('data', words(1, 0), Buffer.from(value, 'utf8'));
    return Buffer.concat([words(data.length + 8, index + 1), data]);
  });
  const handler = box('hdlr', words(0, 0), Buffer.from('mdta', 'latin1'), words(0, 0, 0), Buffer.alloc(1));
  return [box('meta', handler, box('keys', words(0, keys.length), ...keys), box('ilst', ...values))];
}

function movie(video: Mp4Video, dataStart: number): Buffer {
  const duration = video.frames.length * Math.round(TIMESCALE / video.fps);
  const size = words(video.width << 16, video.height << 16);
  const header = box(
    'mvhd',
    words(0, 0, 0, TIMESCALE, duration, 0x10000, 0x1000000, 0, 0),
    IDENTITY,
    words(0, 0, 0, 0, 0, 0, 2),
  );
  const trackHeader = box('tkhd', words(3, 0, 0, 1, 0, duration, 0, 0, 0, 0), IDENTITY, size);
  const handler = box('hdlr', words(0, 0), Buffer.from('vide', 'latin1'), words(0, 0, 0), Buffer.alloc(1));
  const dataInfo = box('dinf', box('dref', words(0, 1), box('url ', words(1))));
  const information = box('minf', box('vmhd', words(1, 0, 0)), dataInfo, sampleTable(video, dataStart));
  const media = box('mdia', box('mdhd', words(0, 0, 0, TIMESCALE, duration, 0x55c40000)), handler, information);
  return box('moov', header, box('trak', trackHeader, media), ...metadataBox(video.metadata));
}

/** The whole file, index first. */
export function encodeMp4(video: Mp4Video): Buffer {
  const type = box('ftyp', Buffer.from('isom\0\0\x02\0isomiso2mp41', 'latin1'));
  // The index has the same length wherever the frames begin, so a first try tells where that is.
  const dataStart = type.length + movie(video, 0).length + 8;
  return Buffer.concat([type, movie(video, dataStart), box('mdat', ...video.frames)]);
}
