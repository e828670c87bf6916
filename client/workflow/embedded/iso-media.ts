/**
 * Texts of MP4, MOV and M4A files: `meta` boxes with `keys` and `ilst` (how ComfyUI's SaveVideo writes `prompt` and `workflow`), iTunes `©cmt` and
 * freeform items, and QuickTime's own `©cmt` in `udta`.
 */
import { type ByteReader, decodeText } from './byte-reader.ts';
import { isWantedKey, longestText, type MetadataEntry } from './metadata-entry.ts';

/** `moov/udta/meta/ilst/item/data` is six deep. */
const deepest = 8;

const containers: ReadonlySet<string> = new Set(['moov', 'udta', 'trak']);

/** True for a file that begins with a known box. */
export function isIsoMedia(file: ByteReader): boolean {
  return file.length >= 8 && ['ftyp', 'moov', 'wide', 'free', 'skip', 'mdat', 'pnot'].includes(file.ascii(4, 4));
}

interface Box {
  readonly type: string;
  readonly content: ByteReader;
}

/** Walks the boxes of one level; what is cut off ends the level. */
function* boxes(level: ByteReader): Generator<Box> {
  for (let at = 0; at + 8 <= level.length; ) {
    let size = level.u32(at);
    let head = 8;
    if (size === 1) {
      size = level.u64(at + 8);
      head = 16;
    } else if (size === 0) size = level.length - at;
    if (size < head) return;
    yield { type: level.ascii(at + 4, 4), content: level.sub(at + head, size - head) };
    at += size;
  }
}

/** Reads the texts of an MP4 or MOV file. */
export function* readIsoMedia(file: ByteReader, depth = 0): Generator<MetadataEntry> {
  for (const { type, content } of boxes(file)) {
    if (depth < deepest && containers.has(type)) yield* readIsoMedia(content, depth + 1);
    else if (type === 'meta') yield* readMeta(content);
    else if (type === '\xa9cmt') yield* readQuickTimeText(content);
  }
}

/** QuickTime: pairs of length and language in front of each text. */
function* readQuickTimeText(content: ByteReader): Generator<MetadataEntry> {
  if (content.length < 4) return;
  const size = content.u16(0);
  // A length of 16 bits can't hold a workflow: writers then let the box's size count.
  const fits = size > 0 && size + 4 === content.length;
  yield { key: 'comment', text: decodeText(fits ? content.slice(4, size) : content.slice(4, content.length - 4)) };
}

function* readMeta(content: ByteReader): Generator<MetadataEntry> {
  // In MP4 a version comes first, in QuickTime the boxes start at once.
  const versioned = content.length >= 12 && content.u32(0) === 0 && !content.startsWith('hdlr', 4);
  const level = versioned ? content.sub(4, content.length - 4) : content;
  let keys: readonly string[] = [];
  for (const box of boxes(level)) {
    if (box.type === 'keys') keys = readKeys(box.content);
    else if (box.type === 'ilst') yield* readItems(box.content, keys);
  }
}

function readKeys(content: ByteReader): string[] {
  const count = content.u32(4);
  const keys: string[] = [];
  for (let at = 8; keys.length < count && at + 8 <= content.length; ) {
    const size = content.u32(at);
    if (size < 8) break;
    keys.push(decodeText(content.slice(at + 8, size - 8)));
    at += size;
  }
  return keys;
}

function* readItems(list: ByteReader, keys: readonly string[]): Generator<MetadataEntry> {
  for (const { type, content } of boxes(list)) {
    let key = type === '\xa9cmt' || type === 'desc' ? 'comment' : (keys[numberOf(type) - 1] ?? '');
    for (const part of boxes(content)) {
      if (part.type === 'name') key = decodeText(part.content.slice(4, part.content.length - 4));
      if (part.type !== 'data' || part.content.length < 8 || part.content.length > longestText) continue;
      // Keys may be written in reversed domain form: `com.example.workflow`.
      const name = isWantedKey(key) ? key : key.slice(key.lastIndexOf('.') + 1);
      if (isWantedKey(name)) yield { key: name, text: decodeText(part.content.slice(8, part.content.length - 8)) };
    }
  }
}

/** Items of a list with keys bear the number of their key, from 1, as their type. */
function numberOf(type: string): number {
  return [...type].reduce((number, character) => number * 256 + character.charCodeAt(0), 0);
}
