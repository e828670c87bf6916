/** Takes comments, plain-text and application extensions out of a GIF, except those for looping and colour (GIF89a §20-26). */
import { type MetadataEdit, type Planning, readAt, removal } from './edit-plan.ts';

const keptApplications = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0', 'ICCRGBG1012']);
const graphicControl = 0xf9;
const application = 0xff;

/** Plans a GIF. What hangs behind its end goes too. */
export function* planGif(size: number): Planning {
  const head = yield* readAt(0, 13);
  if (head.length < 13 || !/^GIF8[79]a$/.test(head.toString('latin1', 0, 6))) return undefined;
  const edits: MetadataEdit[] = [];
  let position = 13 + colourTableLength(head[10] ?? 0);
  for (;;) {
    const block = yield* readAt(position, 14);
    switch (block[0]) {
      case 0x3b:
        return [...edits, removal(position + 1, size)];
      case 0x2c: {
        if (block.length < 11) return undefined;
        const end = yield* endOfSubBlocks(position + 10 + colourTableLength(block[9] ?? 0) + 1, size);
        if (end === undefined) return undefined;
        position = end;
        break;
      }
      case 0x21: {
        const end = yield* endOfSubBlocks(position + 2, size);
        if (end === undefined) return undefined;
        if (!isKept(block)) edits.push(removal(position, end));
        position = end;
        break;
      }
      default:
        return undefined;
    }
  }
}

function isKept(extension: Buffer): boolean {
  if (extension[1] === graphicControl) return true;
  return extension[1] === application && keptApplications.has(extension.toString('latin1', 3, 14));
}

function colourTableLength(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

function* endOfSubBlocks(start: number, size: number): Planning<number | undefined> {
  for (let position = start; position < size; ) {
    const [length] = yield* readAt(position, 1);
    if (length === undefined) return undefined;
    position += 1 + length;
    if (length === 0) return position;
  }
  return undefined;
}
