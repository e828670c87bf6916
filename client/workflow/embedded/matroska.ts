/** Tags of WebM and Matroska files: Segment > Tags > Tag > SimpleTag with TagName and TagString, as ComfyUI's SaveWEBM writes them. */
import { type ByteReader, decodeText, Truncated } from './byte-reader.ts';
import { isWantedKey, longestText, type MetadataEntry } from './metadata-entry.ts';

const ids = {
  header: 0x1a45dfa3,
  segment: 0x18538067,
  cluster: 0x1f43b675,
  tags: 0x1254c367,
  tag: 0x7373,
  simpleTag: 0x67c8,
  tagName: 0x45a3,
  tagString: 0x4487,
} as const;

/** Segment, Tags, Tag, SimpleTag and SimpleTags inside. */
const deepest = 8;

/** True for an EBML file. */
export function isMatroska(file: ByteReader): boolean {
  return file.length >= 4 && file.u32(0) === ids.header;
}

interface Element {
  readonly id: number;
  readonly content: ByteReader;
}

/** A number whose first byte tells its length; `undefined` for the reserved "unknown size". */
function readNumber(level: ByteReader, at: number, keepMarker: boolean): { value: number | undefined; next: number } {
  const first = level.u8(at);
  const length = Math.clz32(first) - 23;
  if (length > 8 || (keepMarker && length > 4)) throw new Truncated();
  let value = keepMarker ? first : first & (0xff >> length);
  let allOnes = !keepMarker && value === 0xff >> length;
  for (let index = 1; index < length; index++) {
    const byte = level.u8(at + index);
    allOnes &&= byte === 0xff;
    value = value * 256 + byte;
  }
  return { value: allOnes ? undefined : value, next: at + length };
}

function* elements(level: ByteReader): Generator<Element> {
  for (let at = 0; at < level.length; ) {
    const id = readNumber(level, at, true);
    const size = readNumber(level, id.next, false);
    const rest = level.length - size.next;
    // A live recording has no sizes: its segment runs to the end, and its clusters hide whatever comes behind.
    if (size.value === undefined && id.value === ids.cluster) return;
    const length = size.value ?? rest;
    // The last element may be cut off; what it has is looked at.
    yield { id: id.value ?? 0, content: level.sub(size.next, Math.min(length, rest)) };
    at = size.next + length;
  }
}

/** Reads the tags of a WebM or Matroska file. */
export function* readMatroska(file: ByteReader, depth = 0): Generator<MetadataEntry> {
  if (depth > deepest) return;
  for (const { id, content } of elements(file)) {
    if (id === ids.simpleTag) yield* readSimpleTag(content);
    if (id === ids.segment || id === ids.tags || id === ids.tag || id === ids.simpleTag)
      yield* readMatroska(content, depth + 1);
  }
}

function* readSimpleTag(content: ByteReader): Generator<MetadataEntry> {
  let key = '';
  let text: Uint8Array | undefined;
  for (const part of elements(content)) {
    if (part.id === ids.tagName) key = decodeText(part.content.bytes.subarray(0, 64));
    if (part.id === ids.tagString) text = part.content.bytes;
  }
  if (text && text.length <= longestText && isWantedKey(key)) yield { key, text: decodeText(text) };
}
