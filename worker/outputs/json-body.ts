/**
 * JSON text in pieces with files in it as base64, whose length is known before a byte of it is made. Files stay raw in memory and are
 * encoded piece by piece as they are sent: a 20 MB result encoded at once would block the event loop for about 80 ms.
 */
import { setImmediate } from 'node:timers/promises';
import { base64EncodedLength } from '../../shared/index.ts';
import type { JsonBody } from '../types.ts';

/** A piece: JSON text, or bytes that stand as base64 (without quotes). */
export type BodyPart = string | { readonly base64: Buffer };

/** Raw bytes per piece: a multiple of 3, so that pieces join without padding. */
const rawPieceBytes = 192 * 1024;
/**
 * Raw bytes per step of the encoding, a divisor of the piece: its text must stay below 128 KiB, from where on V8 gives every string memory of
 * its own, which costs several times what the encoding does.
 */
const rawStepBytes = 48 * 1024;

/** A body of these parts. The parts must not change afterwards. */
export function createJsonBody(parts: readonly BodyPart[]): JsonBody {
  const byteLength = parts.reduce((sum, part) => sum + partLength(part), 0);
  return { byteLength, chunks: () => encode(parts) };
}

function partLength(part: BodyPart): number {
  return typeof part === 'string' ? Buffer.byteLength(part) : base64EncodedLength(part.base64.length);
}

async function* encode(parts: readonly BodyPart[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (typeof part === 'string') {
      yield Buffer.from(part);
      continue;
    }
    const { base64 } = part;
    for (let start = 0; start < base64.length; start += rawPieceBytes) {
      const end = Math.min(base64.length, start + rawPieceBytes);
      yield encodePiece(base64, start, end);
      if (end < base64.length) await setImmediate();
    }
  }
}

function encodePiece(bytes: Buffer, start: number, end: number): Buffer {
  const encoded = Buffer.allocUnsafeSlow(base64EncodedLength(end - start));
  let written = 0;
  for (let from = start; from < end; from += rawStepBytes) {
    const text = bytes.toString('base64', from, Math.min(end, from + rawStepBytes));
    written += encoded.write(text, written, 'latin1');
  }
  return encoded;
}
