// Request bodies with aiohttp's limit (ComfyUI protocol notes §1.1): reading stops at the first byte too many.
import type { IncomingMessage } from 'node:http';
import { decodePyJson, type PyValue } from '../python-json.ts';

/** The body is larger than `--max-upload-size` allows. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
  readonly limit: number;
  readonly actual: number;
  constructor(limit: number, actual: number) {
    super(`body of at least ${actual} bytes exceeds ${limit}`);
    this.limit = limit;
    this.actual = actual;
  }
}

/** Reads the whole body. Rejects with BodyTooLarge. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk as Uint8Array);
    size += part.length;
    if (size > limit) {
      request.resume();
      throw new BodyTooLarge(limit, size);
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Reads JSON whatever the content type says. Rejects with PyJsonError or BodyTooLarge. */
export async function readJson(request: IncomingMessage, limit: number): Promise<PyValue> {
  return decodePyJson((await readBody(request, limit)).toString('utf8'));
}
