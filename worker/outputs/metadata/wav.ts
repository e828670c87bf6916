/** Turns every chunk of a WAV that isn't sound into a `JUNK` chunk of the same size: LIST INFO, id3, bext, iXML and others. */
import { type MetadataEdit, overwriting, type Planning, readAt, removal, zeroing } from './edit-plan.ts';

const kept = new Set(['fmt ', 'data', 'fact', 'smpl', 'PEAK']);

/** Plans a WAV. What hangs behind its end goes too. */
export function* planWav(size: number): Planning {
  const head = yield* readAt(0, 12);
  if (head.length < 12 || head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE') {
    return undefined;
  }
  const end = 8 + head.readUInt32LE(4);
  if (end > size) return undefined;
  const edits: MetadataEdit[] = end < size ? [removal(end, size)] : [];
  for (let position = 12; position < end; ) {
    const chunk = yield* readAt(position, 8);
    if (chunk.length < 8) return undefined;
    const data = position + 8;
    const next = data + chunk.readUInt32LE(4);
    if (next > end) return undefined;
    if (!kept.has(chunk.toString('latin1', 0, 4))) {
      edits.push(overwriting(position, Buffer.from('JUNK')), zeroing(data, next));
    }
    // Chunks are padded to an even length; the last one may lack the padding.
    position = Math.min(end, next + (next % 2));
  }
  return edits;
}
