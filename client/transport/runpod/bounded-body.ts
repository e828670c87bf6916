/** The only way this folder reads an answer's body: no more than a given number of bytes are ever held. */
import { ComfyRunpodError } from '../../../shared/index.ts';

/** Reads a body as bytes. Throws `PLATFORM_ANSWER_INVALID` when it is longer than `maxBytes`; the rest is not read. */
export async function readBoundedBody(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    length += piece.byteLength;
    if (length > maxBytes) {
      throw new ComfyRunpodError('PLATFORM_ANSWER_INVALID', `The server's answer is longer than ${maxBytes} bytes.`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces, length);
}
