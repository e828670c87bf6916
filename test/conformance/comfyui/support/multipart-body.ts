// A multipart/form-data body byte by byte, so that tests can send what well-behaved clients do not.

/** A text field, or a file when `filename` is given (it may be empty). */
export interface FormPart {
  readonly name: string;
  readonly value: string | Buffer;
  readonly filename?: string;
}

/** Body and content type. */
export interface MultipartBody {
  readonly body: Buffer;
  readonly headers: Record<string, string>;
}

/** Encodes the parts in order. */
export function multipartBody(parts: readonly FormPart[]): MultipartBody {
  const boundary = 'sandbox-boundary-7f3a';
  const pieces: Buffer[] = [];
  for (const part of parts) {
    const filename = part.filename === undefined ? '' : `; filename="${part.filename}"`;
    const type = part.filename === undefined ? '' : 'Content-Type: application/octet-stream\r\n';
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${part.name}"${filename}\r\n${type}\r\n`;
    pieces.push(Buffer.from(head), Buffer.from(part.value), Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(`--${boundary}--\r\n`));
  return { body: Buffer.concat(pieces), headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } };
}
