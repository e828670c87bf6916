/** Takes ID3v2, ID3v1, APEv2 and Lyrics3 tags off both ends of an MP3. The frames between them stay. */
import { type MetadataEdit, type Planning, readAt, removal } from './edit-plan.ts';

const apeHead = 'APETAGEX';
const lyricsEnd = 'LYRICS200';

/** Plans an MP3. */
export function* planMp3(size: number): Planning {
  const start = yield* endOfLeadingTags(size);
  const end = yield* startOfTrailingTags(start, size);
  const first = yield* readAt(start, 2);
  // Eleven sync bits: what begins here is a frame and not one more unknown tag.
  if (end - start < 4 || first[0] !== 0xff || ((first[1] ?? 0) & 0xe0) !== 0xe0) return undefined;
  const edits: MetadataEdit[] = [];
  if (start > 0) edits.push(removal(0, start));
  if (end < size) edits.push(removal(end, size));
  return edits;
}

function* endOfLeadingTags(size: number): Planning<number> {
  for (let position = 0; ; ) {
    const head = yield* readAt(position, 32);
    const length = leadingTagLength(head);
    if (length === 0 || position + length > size) return position;
    position += length;
    // Some taggers leave zeros between their tag and the sound.
    for (let byte = yield* readAt(position, 4096); byte.length > 0; byte = yield* readAt(position, 4096)) {
      const zeros = byte.findIndex((value) => value !== 0);
      position += zeros === -1 ? byte.length : zeros;
      if (zeros !== -1) break;
    }
  }
}

function leadingTagLength(head: Buffer): number {
  if (head.length >= 10 && head.toString('latin1', 0, 3) === 'ID3') {
    const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
    const footer = ((head[5] ?? 0) & 0x10) === 0 ? 0 : 10;
    return 10 + size + footer;
  }
  if (head.length === 32 && head.toString('latin1', 0, 8) === apeHead) return 32 + head.readUInt32LE(12);
  return 0;
}

function* startOfTrailingTags(start: number, size: number): Planning<number> {
  for (let end = size; ; ) {
    const length = yield* trailingTagLength(start, end);
    if (length === 0 || end - length < start) return end;
    end -= length;
  }
}

function* trailingTagLength(start: number, end: number): Planning<number> {
  const from = Math.max(start, end - 355);
  const tail = yield* readAt(from, end - from);
  const text = (back: number, length: number) =>
    tail.toString('latin1', tail.length - back, tail.length - back + length);
  if (tail.length >= 128 && text(128, 3) === 'TAG') return tail.length >= 355 && text(355, 4) === 'TAG+' ? 355 : 128;
  if (tail.length >= 32 && text(32, 8) === apeHead) {
    const footer = tail.subarray(tail.length - 32);
    return footer.readUInt32LE(12) + ((footer.readUInt32LE(20) & 0x80000000) === 0 ? 0 : 32);
  }
  if (tail.length >= 10 && text(10, 3) === '3DI') {
    const footer = tail.subarray(tail.length - 10);
    return 20 + footer.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
  }
  if (tail.length >= 15 && text(9, 9) === lyricsEnd) return 15 + (Number.parseInt(text(15, 6), 10) || 0);
  return 0;
}
