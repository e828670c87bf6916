// A WebM file of VP8 key frames, unseekable but playable. Source: RFC 8794 (EBML) and the Matroska element list.
// Neighbours: video-nodes.ts; the frames come out of lossy WebP pictures, which are VP8 key frames.

/** What a file holds. */
export interface WebmVideo {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** VP8 key frames. */
  readonly frames: readonly Buffer[];
  /** Text tags of the whole file. */
  readonly tags: ReadonlyMap<string, string>;
}

/** Longest stretch of one cluster: block times are 16-bit numbers of milliseconds. */
const CLUSTER_MS = 30_000;

function identifier(id: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id);
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0));
}

/** An element; its length takes eight bytes always. */
function element(id: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(body.length));
  length.writeUInt8(0x01, 0);
  return Buffer.concat([identifier(id), length, body]);
}

function unsigned(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return element(id, bytes);
}

function float(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return element(id, bytes);
}

function text(id: number, value: string): Buffer {
  return element(id, Buffer.from(value, 'utf8'));
}

function head(): Buffer {
  return element(
    0x1a45dfa3,
    unsigned(0x4286, 1),
    unsigned(0x42f7, 1),
    unsigned(0x42f2, 4),
    unsigned(0x42f3, 8),
    text(0x4282, 'webm'),
    unsigned(0x4287, 4),
    unsigned(0x4285, 2),
  );
}

function track(video: WebmVideo): Buffer {
  const size = element(0xe0, unsigned(0xb0, video.width), unsigned(0xba, video.height));
  const frameNanoseconds = unsigned(0x23e383, Math.round(1e9 / video.fps));
  const entry = element(
    0xae,
    unsigned(0xd7, 1),
    unsigned(0x73c5, 1),
    unsigned(0x83, 1),
    text(0x86, 'V_VP8'),
    frameNanoseconds,
    size,
  );
  return element(0x1654ae6b, entry);
}

function block(frame: Buffer, milliseconds: number): Buffer {
  const header = Buffer.from([0x81, 0, 0, 0x80]);
  header.writeInt16BE(milliseconds, 1);
  return element(0xa3, header, frame);
}

function clusters(video: WebmVideo): readonly Buffer[] {
  const result: Buffer[] = [];
  let start = 0;
  let blocks: Buffer[] = [];
  video.frames.forEach((frame, index) => {
    const time = Math.round((index * 1000) / video.fps);
    if (blocks.length > 0 && time - start > CLUSTER_MS) {
      result.push(element(0x1f43b675, unsigned(0xe7, start), ...blocks));
      blocks = [];
    }
    if (blocks.length === 0) start = time;
    blocks.push(block(frame, time - start));
  });
  if (blocks.length > 0) result.push(element(0x1f43b675, unsigned(0xe7, start), ...blocks));
  return result;
}

function tagElements(tags: ReadonlyMap<string, string>): readonly Buffer[] {
  if (tags.size === 0) return [];
  const simple = [...tags].map(([name, value]) => element(0x67c8, text(0x45a3, name), text(0x4487, value)));
  return [element(0x1254c367, element(0x7373, element(0x63c0), ...simple))];
}

/** The whole file. */
export function encodeWebm(video: WebmVideo): Buffer {
  const info = element(
    0x1549a966,
    unsigned(0x2ad7b1, 1_000_000),
    float(0x4489, (video.frames.length * 1000) / video.fps),
    text(0x4d80, 'comfy-runpod'),
    text(0x5741, 'comfy-runpod'),
  );
  return Buffer.concat([
    head(),
    element(0x18538067, info, track(video), ...tagElements(video.tags), ...clusters(video)),
  ]);
}
