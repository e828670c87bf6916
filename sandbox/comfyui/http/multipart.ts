// multipart/form-data as aiohttp hands it to a handler (ComfyUI protocol notes §1.8): text fields and files by name, last wins.
import type { IncomingMessage } from 'node:http';
import busboy from 'busboy';
import { BodyTooLarge } from './request-body.ts';

/** An uploaded file. */
export interface UploadedFile {
  readonly filename: string;
  readonly bytes: Buffer;
}

/** A form field: text, or a file. */
export type FormField = string | UploadedFile;

/** Reads a form. A body of another type is an empty form. Rejects with BodyTooLarge, or for a broken form. */
export async function readForm(request: IncomingMessage, limit: number): Promise<Map<string, FormField>> {
  const fields = new Map<string, FormField>();
  const type = request.headers['content-type'] ?? '';
  if (!/^(multipart\/form-data|application\/x-www-form-urlencoded)/i.test(type)) {
    for await (const _chunk of request) {
      // Read to the end: the connection stays usable.
    }
    return fields;
  }
  await new Promise<void>((resolve, reject) => {
    const parser = busboy({
      headers: request.headers,
      preservePath: true,
      defParamCharset: 'utf8',
      limits: { fileSize: Number.POSITIVE_INFINITY },
    });
    let size = 0;
    parser.on('field', (name, value) => fields.set(name, value));
    parser.on('file', (name, stream, info) => {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => {
        size += part.length;
        if (size > limit) reject(new BodyTooLarge(limit, size));
        else parts.push(part);
      });
      stream.on('end', () => {
        const bytes = Buffer.concat(parts);
        // A part with an empty file name is a text field to aiohttp.
        const filename: string | undefined = info.filename;
        fields.set(name, filename ? { filename, bytes } : bytes.toString('utf8'));
      });
    });
    parser.on('close', () => resolve());
    parser.on('error', reject);
    request.on('aborted', () => reject(new Error('request aborted')));
    request.pipe(parser);
  });
  return fields;
}
