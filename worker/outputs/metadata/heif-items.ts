/**
 * Finds the Exif, XMP and other non-picture items of an AVIF or HEIF picture and puts zeros over them. The item stays listed, because its
 * place in the lists is what the pictures' own offsets are built on. Boxes: ISO/IEC 14496-12 §8.11.
 */
import { type ByteRange, type MetadataEdit, type Planning, readAt, zeroing } from './edit-plan.ts';

interface Box extends ByteRange {
  readonly type: string;
  readonly data: number;
}

/** Types of items that hold text or tags rather than pictures. */
const textual = new Set(['Exif', 'mime', 'uri ']);
/** Largest `iinf` or `iloc` that is looked at. */
const maxListBytes = 4 * 1024 * 1024;

/** Adds edits for the metadata items among a picture's `meta` boxes. False: not understood. */
export function* planHeifItems(boxes: readonly Box[], edits: MetadataEdit[]): Planning<boolean> {
  const information = yield* readList(boxes, 'iinf');
  if (!information) return boxes.every((box) => box.type !== 'iinf');
  const ids = textualItems(information);
  if (!ids) return false;
  if (ids.size === 0) return true;
  const locations = yield* readList(boxes, 'iloc');
  const inside = boxes.find((box) => box.type === 'idat');
  const ranges = locations && itemRanges(locations, ids, inside);
  if (!ranges) return false;
  // Two items may share bytes; an edit must not be made twice.
  const unique = new Map(ranges.map((range) => [`${range.start}-${range.end}`, range]));
  for (const { start, end } of unique.values()) edits.push(zeroing(start, end));
  return true;
}

function* readList(boxes: readonly Box[], type: string): Planning<Buffer | undefined> {
  const box = boxes.find((candidate) => candidate.type === type);
  if (!box || box.end - box.data > maxListBytes) return undefined;
  return yield* readAt(box.data, box.end - box.data);
}

/** Ids of textual items in `iinf`, or undefined when it is malformed. */
function textualItems(list: Buffer): ReadonlySet<number> | undefined {
  const ids = new Set<number>();
  const wide = (list[0] ?? 0) > 0;
  for (let position = wide ? 8 : 6; position < list.length; ) {
    if (position + 20 > list.length) return undefined;
    const size = list.readUInt32BE(position);
    const version = list[position + 8] ?? 0;
    // Versions 0 and 1 have no type; nothing is known of such items.
    if (size < 20 || position + size > list.length || version < 2) return undefined;
    const idLength = version === 2 ? 2 : 4;
    const typeAt = position + 12 + idLength + 2;
    if (textual.has(list.toString('latin1', typeAt, typeAt + 4))) ids.add(list.readUIntBE(position + 12, idLength));
    position += size;
  }
  return ids;
}

/** Where the items' bytes are, or undefined when `iloc` is malformed or leads out of this file. */
function itemRanges(list: Buffer, ids: ReadonlySet<number>, inside: Box | undefined): ByteRange[] | undefined {
  const cursor = new Cursor(list);
  const version = cursor.take(1);
  cursor.take(3);
  const sizes = cursor.take(2);
  const [offsetSize, lengthSize, baseSize] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15];
  const indexSize = version > 0 ? sizes & 15 : 0;
  const count = cursor.take(version < 2 ? 2 : 4);
  const ranges: ByteRange[] = [];
  for (let item = 0; item < count && !cursor.failed; item++) {
    const itemId = cursor.take(version < 2 ? 2 : 4);
    const method = version > 0 ? cursor.take(2) & 15 : 0;
    const elsewhere = cursor.take(2) !== 0;
    const base = cursor.take(baseSize);
    const wanted = ids.has(itemId);
    if (wanted && (elsewhere || method > 1 || (method === 1 && !inside))) return undefined;
    const origin = base + (method === 1 ? (inside?.data ?? 0) : 0);
    for (let left = cursor.take(2); left > 0 && !cursor.failed; left--) {
      cursor.take(indexSize);
      const start = origin + cursor.take(offsetSize);
      const end = start + cursor.take(lengthSize);
      // A length of zero means the whole file.
      if (wanted && end === start) return undefined;
      if (wanted) ranges.push({ start, end });
    }
  }
  return cursor.failed ? undefined : ranges;
}

/** Reads unsigned numbers in a row; reading past the end gives zeros and is remembered. */
class Cursor {
  readonly #bytes: Buffer;
  #position = 0;
  failed = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number): number {
    const at = this.#position;
    this.#position += length;
    if (this.#position > this.#bytes.length || length > 8) {
      this.failed = true;
      return 0;
    }
    if (length === 0) return 0;
    return length > 6 ? Number(this.#bytes.readBigUInt64BE(at)) : this.#bytes.readUIntBE(at, length);
  }
}
