/**
 * Empties the comment packets of Ogg streams: Opus (RFC 7845), Vorbis, Theora, FLAC. Packets and pages keep their lengths, only bytes and
 * page checksums change (RFC 3533). A stream of another codec is not understood.
 */
import { type MetadataEdit, overwriting, type Planning, readAt } from './edit-plan.ts';

/** Where a logical stream is. */
interface Stream {
  readonly codec: Codec;
  /** Packets that ended. */
  packet: number;
  /** Bytes of the packet that are done. */
  offset: number;
  /** What the present packet becomes, zeros behind it; absent: it stays. */
  replacement: Buffer | undefined;
  /** The present packet is the last one with metadata. */
  last: boolean;
  /** No metadata follows any more. */
  done: boolean;
}

/** Decides over a packet behind the first by its first bytes. */
interface Codec {
  readonly signature: string;
  readonly plan: (head: Buffer) => Decision;
}

type Decision = 'malformed' | { readonly replacement?: Buffer; readonly last: boolean };

const noEntries = Buffer.alloc(8);

function commentIsSecond(signature: string, mark: string, tail: readonly number[] = []): Codec {
  const replacement = Buffer.concat([Buffer.from(mark, 'latin1'), noEntries, Buffer.from(tail)]);
  return {
    signature,
    plan: (head) => (head.toString('latin1', 0, mark.length) === mark ? { replacement, last: true } : 'malformed'),
  };
}

const codecs: readonly Codec[] = [
  commentIsSecond('OpusHead', 'OpusTags'),
  // The framing bit stands behind the comments.
  commentIsSecond('\x01vorbis', '\x03vorbis', [1]),
  commentIsSecond('\x80theora', '\x81theora'),
  { signature: '\x7fFLAC', plan: planFlacBlock },
];

/** FLAC in Ogg: every packet up to the last one marked so is a metadata block. */
function planFlacBlock(head: Buffer): Decision {
  const first = head[0] ?? 0xff;
  if (first === 0xff || head.length < 4) return 'malformed';
  const last = (first & 0x80) !== 0;
  const type = first & 0x7f;
  if (type === 0 || type === 3) return { last };
  return { replacement: Buffer.from([(first & 0x80) | 1, ...head.subarray(1, 4)]), last };
}

/** Plans an Ogg file. Reads every page's header, because streams may follow one another. */
export function* planOgg(size: number): Planning {
  const streams = new Map<number, Stream>();
  const edits: MetadataEdit[] = [];
  for (let position = 0; position < size; ) {
    const head = yield* readAt(position, 27 + 255);
    const lacing = head.subarray(27, 27 + (head[26] ?? 0));
    if (head.length < 27 || head.toString('latin1', 0, 4) !== 'OggS' || lacing.length !== head[26]) return undefined;
    const dataAt = 27 + lacing.length;
    const length = dataAt + lacing.reduce((sum, value) => sum + value, 0);
    if (position + length > size) return undefined;
    const serial = head.readUInt32LE(14);
    const begins = ((head[5] ?? 0) & 2) !== 0;
    const known = streams.get(serial);
    if (begins || known?.done === false) {
      const page = Buffer.from(yield* readAt(position, length));
      const stream = begins ? openStream(page.subarray(dataAt)) : known;
      if (!stream) return undefined;
      streams.set(serial, stream);
      const changed = emptyComments(stream, page, lacing, dataAt);
      if (changed === 'malformed') return undefined;
      if (changed) edits.push(overwriting(position, withChecksum(page)));
    } else if (!known) return undefined;
    position += length;
  }
  return streams.size > 0 && [...streams.values()].every((stream) => stream.done) ? edits : undefined;
}

function openStream(data: Buffer): Stream | undefined {
  const codec = codecs.find(({ signature }) => data.toString('latin1', 0, signature.length) === signature);
  return codec && { codec, packet: 0, offset: 0, replacement: undefined, last: false, done: false };
}

/** Changes the packets on a page in place. True: something changed. */
function emptyComments(stream: Stream, page: Buffer, lacing: Buffer, dataAt: number): boolean | 'malformed' {
  let changed = false;
  let at = dataAt;
  for (let segment = 0; segment < lacing.length && !stream.done; ) {
    const start = at;
    let ends = false;
    while (segment < lacing.length && !ends) {
      const value = lacing[segment++] ?? 0;
      at += value;
      ends = value < 255;
    }
    const part = page.subarray(start, at);
    const outcome = emptyPart(stream, part, ends);
    if (outcome === 'malformed') return outcome;
    changed ||= outcome;
  }
  return changed;
}

/** One packet's part on a page. */
function emptyPart(stream: Stream, part: Buffer, ends: boolean): boolean | 'malformed' {
  if (stream.packet > 0 && stream.offset === 0) {
    const decision = stream.codec.plan(part);
    if (decision === 'malformed' || part.length < (decision.replacement?.length ?? 0)) return 'malformed';
    stream.replacement = decision.replacement;
    stream.last = decision.last;
  }
  const { replacement } = stream;
  if (replacement) {
    part.fill(0);
    if (stream.offset === 0) replacement.copy(part);
  }
  stream.offset += part.length;
  if (ends) {
    if (stream.packet > 0 && stream.last) stream.done = true;
    stream.packet++;
    stream.offset = 0;
    stream.replacement = undefined;
  }
  return replacement !== undefined;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = value & 0x80000000 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value >>> 0;
});

/** Writes a page's checksum into it. */
function withChecksum(page: Buffer): Buffer {
  page.writeUInt32LE(0, 22);
  let crc = 0;
  for (const byte of page) crc = ((crc << 8) ^ (table[((crc >>> 24) ^ byte) & 0xff] ?? 0)) >>> 0;
  page.writeUInt32LE(crc, 22);
  return page;
}
