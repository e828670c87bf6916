/**
 * The bytes of one artifact, readable more than once and piece by piece: parts of a file on the workspace, and bytes in memory. A large
 * result is never in memory as a whole.
 */

/** Reads `length` bytes of a file from `position`; never fewer. */
export type ReadRange = (position: number, length: number, signal: AbortSignal) => Promise<Buffer>;

/** A part of a file, or bytes. */
export type SourcePart = Buffer | { readonly position: number; readonly length: number };

/** Bytes whose number is known. */
export interface ArtifactSource {
  readonly size: number;
  /** Pieces of exactly `pieceBytes`, the last one shorter. Every call starts from the beginning. */
  pieces(pieceBytes: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void>;
}

/** Bytes in memory as a source. */
export function bytesSource(bytes: Buffer): ArtifactSource {
  return partsSource([bytes], () => Promise.reject(new Error('nothing to read')));
}

/** Parts of a file, joined. */
export function partsSource(parts: readonly SourcePart[], read: ReadRange): ArtifactSource {
  return {
    size: parts.reduce((sum, part) => sum + part.length, 0),
    pieces: (pieceBytes, signal) => cut(parts, read, pieceBytes, signal),
  };
}

async function* cut(
  parts: readonly SourcePart[],
  read: ReadRange,
  pieceBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, void> {
  let collected: Buffer[] = [];
  let length = 0;
  for (const part of parts) {
    for (let done = 0; done < part.length; ) {
      signal.throwIfAborted();
      const wanted = Math.min(part.length - done, pieceBytes - length);
      const bytes = Buffer.isBuffer(part)
        ? part.subarray(done, done + wanted)
        : await read(part.position + done, wanted, signal);
      collected.push(bytes);
      done += wanted;
      length += wanted;
      if (length < pieceBytes) continue;
      yield collected.length === 1 ? bytes : Buffer.concat(collected);
      collected = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(collected);
}
