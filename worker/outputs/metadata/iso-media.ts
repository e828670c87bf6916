/**
 * Takes user data, tags, private boxes, handler names and dates out of MP4, MOV, M4A, AVIF and HEIF. ComfyUI's `SaveVideo` writes the prompt
 * as tags under `moov/udta` (ComfyUI protocol notes §3.5). Boxes become `free` boxes of the same size, so sample offsets stay right.
 * Box names: ISO/IEC 14496-12 and 23008-12.
 */
import { type MetadataEdit, overwriting, type Planning, readAt, zeroing } from './edit-plan.ts';
import { planHeifItems } from './heif-items.ts';

/** A box. */
export interface IsoBox {
  readonly type: string;
  readonly start: number;
  readonly data: number;
  readonly end: number;
}

const containers = new Set(['moov', 'trak', 'mdia', 'minf', 'moof', 'traf', 'mvex', 'edts', 'dinf']);
const freed = new Set(['udta', 'uuid', 'free', 'skip', 'emsg', 'pdin', 'ID32', 'XMP_']);
/** Boxes that begin with dates. */
const dated = new Set(['mvhd', 'tkhd', 'mdhd']);
const maxDepth = 8;
/** Boxes of a `meta` box, and items and extents of pictures in it. */
const maxBoxes = 100_000;

/** Plans an ISO media file. */
export function* planIsoMedia(size: number): Planning {
  const first = yield* readBox(0, size);
  if (first?.type !== 'ftyp') return undefined;
  const edits: MetadataEdit[] = [];
  const understood = yield* planBoxes({ type: 'file', start: 0, data: 0, end: size }, edits, 0);
  return understood ? edits : undefined;
}

function* planBoxes(parent: IsoBox, edits: MetadataEdit[], depth: number): Planning<boolean> {
  if (depth > maxDepth) return false;
  const boxes = yield* readBoxes(parent.data, parent.end);
  if (!boxes) return false;
  for (const box of boxes) {
    if (!(yield* planBox(box, parent, edits, depth))) return false;
  }
  return true;
}

function* planBox(box: IsoBox, parent: IsoBox, edits: MetadataEdit[], depth: number): Planning<boolean> {
  if (freed.has(box.type)) {
    edits.push(...freeing(box));
    return true;
  }
  // A compressed movie header can't be looked into.
  if (box.type === 'cmov') return false;
  if (box.type === 'meta') return yield* planMeta(box, parent, edits);
  if (containers.has(box.type)) return yield* planBoxes(box, edits, depth + 1);
  if (dated.has(box.type)) {
    const [version] = yield* readAt(box.data, 1);
    const end = box.data + 4 + (version === 1 ? 16 : 8);
    if (end > box.end) return false;
    edits.push(zeroing(box.data + 4, end));
  }
  // Version, predefined, type and three reserved words stand before the name.
  if (box.type === 'hdlr' && box.end > box.data + 24) edits.push(zeroing(box.data + 24, box.end));
  return true;
}

/** `meta` of a picture holds the picture itself; elsewhere it holds tags. */
function* planMeta(meta: IsoBox, parent: IsoBox, edits: MetadataEdit[]): Planning<boolean> {
  if (parent.type === 'file') {
    const boxes = yield* readBoxes(meta.data + 4, meta.end);
    const handler = boxes?.find((box) => box.type === 'hdlr');
    const head = handler ? yield* readAt(handler.data + 8, 4) : undefined;
    if (boxes && handler && head?.toString('latin1') === 'pict') {
      if (handler.end > handler.data + 24) edits.push(zeroing(handler.data + 24, handler.end));
      for (const box of boxes) if (freed.has(box.type)) edits.push(...freeing(box));
      return yield* planHeifItems(boxes, edits);
    }
  }
  edits.push(...freeing(meta));
  return true;
}

function freeing(box: IsoBox): MetadataEdit[] {
  return [overwriting(box.start + 4, Buffer.from('free')), zeroing(box.data, box.end)];
}

function* readBoxes(start: number, end: number): Planning<IsoBox[] | undefined> {
  const boxes: IsoBox[] = [];
  for (let position = start; position < end; ) {
    // QuickTime ends some lists with four zero bytes.
    if (end - position === 4 && (yield* readAt(position, 4)).readUInt32BE(0) === 0) break;
    const box = yield* readBox(position, end);
    if (!box || boxes.length >= maxBoxes) return undefined;
    boxes.push(box);
    position = box.end;
  }
  return boxes;
}

function* readBox(start: number, limit: number): Planning<IsoBox | undefined> {
  const head = yield* readAt(start, Math.min(16, limit - start));
  if (head.length < 8) return undefined;
  const short = head.readUInt32BE(0);
  const type = head.toString('latin1', 4, 8);
  if (short === 1 && head.length < 16) return undefined;
  const headLength = short === 1 ? 16 : 8;
  const size = short === 0 ? limit - start : short === 1 ? Number(head.readBigUInt64BE(8)) : short;
  if (size < headLength || start + size > limit) return undefined;
  return { type, start, data: start + headLength, end: start + size };
}
