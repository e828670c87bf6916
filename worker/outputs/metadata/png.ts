/**
 * Takes everything but picture, colour and animation out of a PNG, without touching its pixels. ComfyUI writes the prompt and the workflow
 * into text chunks, and for animations into private `comf` chunks (ComfyUI protocol notes §3.5).
 */
import { type MetadataEdit, type Planning, readAt, removal } from './edit-plan.ts';

const signature = '\x89PNG\r\n\x1a\n';
/** Chunks that say how the picture looks. All others are text, dates or private. */
const kept = new Set(
  'IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV mDCv cLLI cLLi bKGD hIST pHYs sPLT acTL fcTL fdAT'.split(
    ' ',
  ),
);

/** Plans a PNG. What hangs behind its end goes too. */
export function* planPng(size: number): Planning {
  if ((yield* readAt(0, 8)).toString('latin1') !== signature) return undefined;
  const edits: MetadataEdit[] = [];
  for (let position = signature.length; ; ) {
    const head = yield* readAt(position, 8);
    if (head.length < 8) return undefined;
    const end = position + 12 + head.readUInt32BE(0);
    if (end > size) return undefined;
    const type = head.toString('latin1', 4, 8);
    if (type === 'IEND') return [...edits, removal(end, size)];
    if (!kept.has(type)) edits.push(removal(position, end));
    position = end;
  }
}
