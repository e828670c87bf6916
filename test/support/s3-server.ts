// A small S3-compatible server on loopback: path-style, single and multipart uploads, signed reads. Signatures are checked for form and key.
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The running server. */
export interface S3Server extends AsyncDisposable {
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Objects by `/bucket/key`. */
  readonly objects: ReadonlyMap<string, Buffer>;
  /** Method and path of every request, without the query. */
  readonly requests: readonly string[];
  /** Answers the next requests that write with these statuses. */
  failNext(...statuses: number[]): void;
  close(): Promise<void>;
}

/** Starts it. Plain PUT without a signature is taken below `/open/`, as a presigned PUT would be. */
export async function startS3Server(): Promise<S3Server> {
  const accessKeyId = 'TESTACCESS';
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const requests: string[] = [];
  const failures: number[] = [];

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://s3');
    requests.push(`${request.method} ${url.pathname}`);
    const body = await readAll(request);
    const answer = (status: number, text: string | Buffer = '', headers = {}) =>
      void response.writeHead(status, headers).end(text);
    const failure = request.method === 'GET' ? undefined : failures.shift();
    if (failure !== undefined) return answer(failure, '<Error><Code>Failed</Code></Error>', { location: '/elsewhere' });
    if (!isSigned(request, url, accessKeyId)) return answer(403, '<Error><Code>AccessDenied</Code></Error>');
    const id = url.searchParams.get('uploadId');
    if (request.method === 'GET') {
      const object = objects.get(url.pathname);
      return object ? answer(200, object) : answer(404);
    }
    if (request.method === 'POST' && url.searchParams.has('uploads')) {
      const uploadId = randomUUID();
      uploads.set(uploadId, new Map());
      return answer(
        200,
        `<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const parts = id === null ? undefined : uploads.get(id);
    if (id !== null && !parts) return answer(404, '<Error><Code>NoSuchUpload</Code></Error>');
    if (request.method === 'PUT') {
      if (parts) parts.set(Number(url.searchParams.get('partNumber')), body);
      else objects.set(url.pathname, body);
      return answer(200, '', { etag: `"${body.length}"` });
    }
    if (request.method === 'POST' && parts) {
      const ordered = [...parts].toSorted(([a], [b]) => a - b).map(([, part]) => part);
      objects.set(url.pathname, Buffer.concat(ordered));
      uploads.delete(id ?? '');
      return answer(200, '<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>');
    }
    if (request.method === 'DELETE' && id !== null) uploads.delete(id);
    return answer(204);
  };

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accessKeyId,
    secretAccessKey: 'test-secret',
    objects,
    requests,
    failNext: (...statuses) => void failures.push(...statuses),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function isSigned(request: IncomingMessage, url: URL, accessKeyId: string): boolean {
  if (url.pathname.startsWith('/open/')) return true;
  const query = url.searchParams;
  if (query.has('X-Amz-Signature')) {
    const known = query.get('X-Amz-Credential')?.startsWith(`${accessKeyId}/`) === true;
    return (
      known &&
      Number(query.get('X-Amz-Expires')) <= 604_800 &&
      /^[0-9a-f]{64}$/.test(query.get('X-Amz-Signature') ?? '')
    );
  }
  const header = request.headers.authorization ?? '';
  return header.startsWith(`AWS4-HMAC-SHA256 Credential=${accessKeyId}/`) && /Signature=[0-9a-f]{64}$/.test(header);
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
