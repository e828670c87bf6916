/**
 * Takes tags, titles, dates, attachments and chapters out of Matroska and WebM. ComfyUI's `SaveWEBM` writes the prompt as tags, even when
 * its metadata is switched off (ComfyUI protocol notes §3.5). Elements are overwritten by `Void` elements of the same size, so every offset
 * in SeekHead and Cues stays right. Element ids: RFC 9559.
 */
import { type MetadataEdit, overwriting, type Planning, readAt, zeroing } from './edit-plan.ts';

const id = { ebml: 0x1a45dfa3, segment: 0x18538067, void: 0xec, crc: 0xbf, cluster: 0x1f43b675 } as const;
const segmentChild = { seekHead: 0x114d9b74, info: 0x1549a966, tracks: 0x1654ae6b, cues: 0x1c53bb6b } as const;
const seek = 0x4dbb;
const seekId = 0x53ab;
const trackEntry = 0xae;
/** Title, DateUTC, and the file names of this segment and its neighbours. */
const dropFromInfo = new Set([0x7ba9, 0x4461, 0x7384, 0x3c83ab, 0x3e83bb]);
/** MuxingApp and WritingApp must be there; they become empty. */
const emptyInInfo = new Set([0x4d80, 0x5741]);
/** Name and CodecName. */
const dropFromTrack = new Set([0x536e, 0x258688]);
/** What a cluster consists of; seen on the segment's level when the cluster's size is unknown. */
const clusterChildren = new Set([0xe7, 0xa3, 0xa0, 0xab, 0xa7, 0x5854, 0xaf]);
/** Elements that SeekHead may go on naming. */
const kept: ReadonlySet<number> = new Set([...Object.values(segmentChild), id.cluster]);
const unknownSize = -1;

interface Element {
  readonly id: number;
  readonly start: number;
  readonly data: number;
  /** Behind the last byte; {@link unknownSize} when the size isn't written. */
  readonly end: number;
}

/** Plans a Matroska or WebM file. */
export function* planMatroska(size: number): Planning {
  const edits: MetadataEdit[] = [];
  let position = 0;
  let segments = 0;
  while (position < size) {
    const element = yield* readElement(position, size);
    if (!element || (position === 0 && element.id !== id.ebml)) return undefined;
    if (element.id === id.segment) {
      segments++;
      const end = element.end === unknownSize ? size : element.end;
      if (!(yield* planSegment(element.data, end, edits))) return undefined;
      position = end;
    } else {
      if (element.end === unknownSize) return undefined;
      if (element.id !== id.ebml) edits.push(voided(element.start, element.end));
      position = element.end;
    }
  }
  return segments > 0 ? edits : undefined;
}

function* planSegment(start: number, end: number, edits: MetadataEdit[]): Planning<boolean> {
  for (let position = start; position < end; ) {
    const element = yield* readElement(position, end);
    if (!element) return false;
    if (element.end === unknownSize) {
      // Live recordings: the children of a cluster without a size follow as if they were its neighbours.
      if (element.id !== id.cluster) return false;
      position = element.data;
      continue;
    }
    if (!(yield* planSegmentChild(element, edits))) return false;
    position = element.end;
  }
  return true;
}

function* planSegmentChild(element: Element, edits: MetadataEdit[]): Planning<boolean> {
  switch (element.id) {
    case id.cluster:
    case segmentChild.cues:
      return true;
    case segmentChild.info:
      return yield* planMaster(element, edits, infoEdit);
    case segmentChild.seekHead:
      return yield* planSeekHead(element, edits);
    case segmentChild.tracks:
      return yield* planTracks(element, edits);
    default:
      if (!clusterChildren.has(element.id)) edits.push(voided(element.start, element.end));
      return true;
  }
}

function infoEdit(child: Element): MetadataEdit | undefined {
  if (dropFromInfo.has(child.id)) return voided(child.start, child.end);
  return emptyInInfo.has(child.id) ? zeroing(child.data, child.end) : undefined;
}

function trackEdit(child: Element): MetadataEdit | undefined {
  return dropFromTrack.has(child.id) ? voided(child.start, child.end) : undefined;
}

/** Edits children of a master element. A checksum in it would be wrong afterwards and goes too, as do the contents of `Void`. */
function* planMaster(
  master: Element,
  edits: MetadataEdit[],
  edit: (child: Element) => MetadataEdit | undefined,
): Planning<boolean> {
  const children = yield* readChildren(master);
  if (!children) return false;
  for (const child of children) {
    const unwanted = child.id === id.crc || child.id === id.void;
    const change = unwanted ? voided(child.start, child.end) : edit(child);
    if (change) edits.push(change);
  }
  return true;
}

function* planTracks(tracks: Element, edits: MetadataEdit[]): Planning<boolean> {
  const entries = yield* readChildren(tracks);
  if (!entries) return false;
  for (const entry of entries) {
    if (entry.id !== trackEntry) edits.push(voided(entry.start, entry.end));
    else if (!(yield* planMaster(entry, edits, trackEdit))) return false;
  }
  return true;
}

/** Entries that name something which is gone go too. */
function* planSeekHead(seekHead: Element, edits: MetadataEdit[]): Planning<boolean> {
  const entries = yield* readChildren(seekHead);
  if (!entries) return false;
  for (const entry of entries) {
    const names = entry.id === seek ? yield* readChildren(entry) : [];
    if (!names) return false;
    const named = names.find((child) => child.id === seekId);
    const length = named ? named.end - named.data : 0;
    const target = named && length > 0 && length <= 4 ? yield* readAt(named.data, length) : undefined;
    if (!target || !kept.has(target.readUIntBE(0, target.length))) edits.push(voided(entry.start, entry.end));
  }
  return true;
}

function* readChildren(master: Element): Planning<Element[] | undefined> {
  const children: Element[] = [];
  for (let position = master.data; position < master.end; ) {
    const child = yield* readElement(position, master.end);
    if (!child || child.end === unknownSize) return undefined;
    children.push(child);
    position = child.end;
  }
  return children;
}

/** The element at `start`, or undefined when there is no whole one before `limit`. */
function* readElement(start: number, limit: number): Planning<Element | undefined> {
  const head = yield* readAt(start, Math.min(12, limit - start));
  const idLength = Math.clz32(head[0] ?? 0) - 23;
  const sizeLength = Math.clz32(head[idLength] ?? 0) - 23;
  if (idLength > 4 || sizeLength > 8 || head.length < idLength + sizeLength) return undefined;
  const data = start + idLength + sizeLength;
  const size = vintValue(head.subarray(idLength, idLength + sizeLength));
  const end = size === unknownSize ? unknownSize : data + size;
  if (end > limit) return undefined;
  return { id: head.readUIntBE(0, idLength), start, data, end };
}

/** Value of a variable-size integer, {@link unknownSize} when all its bits are set. */
function vintValue(bytes: Buffer): number {
  const mask = 0xff >> bytes.length;
  let value = (bytes[0] ?? 0) & mask;
  let allSet = value === mask;
  for (const byte of bytes.subarray(1)) {
    value = value * 256 + byte;
    allSet &&= byte === 0xff;
  }
  return allSet ? unknownSize : value;
}

/** A `Void` element from `start` to `end`: one size byte where it fits, else eight. */
function voided(start: number, end: number): MetadataEdit {
  const length = end - start;
  if (length - 2 < 0x7f) return overwriting(start, Buffer.from([id.void, 0x80 | (length - 2)]), end);
  const head = Buffer.alloc(9);
  head[0] = id.void;
  head.writeBigUInt64BE((1n << 56n) | BigInt(length - 9), 1);
  return overwriting(start, head, end);
}
