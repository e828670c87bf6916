/** Turns the comment, picture, application and cue blocks of a FLAC into padding of the same size (RFC 9639 §8). */
import { type MetadataEdit, overwriting, type Planning, readAt } from './edit-plan.ts';

/** STREAMINFO and SEEKTABLE are needed to play; everything else is padding afterwards. */
const kept = new Set([0, 3]);
const padding = 1;

/** Plans a FLAC. */
export function* planFlac(size: number): Planning {
  if ((yield* readAt(0, 4)).toString('latin1') !== 'fLaC') return undefined;
  const edits: MetadataEdit[] = [];
  for (let position = 4, last = false; !last; ) {
    const head = yield* readAt(position, 4);
    if (head.length < 4) return undefined;
    last = ((head[0] ?? 0) & 0x80) !== 0;
    const type = (head[0] ?? 0) & 0x7f;
    const end = position + 4 + head.readUIntBE(1, 3);
    if (type === 127 || end > size || (position === 4 && type !== 0)) return undefined;
    if (!kept.has(type)) {
      const block = Buffer.from(head);
      block[0] = (last ? 0x80 : 0) | padding;
      edits.push(overwriting(position, block, end));
    }
    position = end;
  }
  return edits;
}
