/** Files over HTTP, for a ComfyUI whose disk the worker does not share (ComfyUI protocol notes §1.8, §1.9). */
import { randomUUID } from 'node:crypto';
import { ComfyRunpodError } from '../../shared/index.ts';
import { type ComfyHttp, parseAnswer, unexpectedStatus } from './http.ts';
import type { ComfyFile } from './types.ts';
import { recordOf, textOf } from './value-guards.ts';

/** A file to upload. */
export interface Upload {
  readonly filename: string;
  readonly subfolder: string;
  readonly bytes: Buffer;
}

/** Moves files to and from ComfyUI's folders. */
export interface FileTransfer {
  /** Puts a file into the input folder and answers where ComfyUI put it, which may be elsewhere. */
  upload(file: Upload, signal: AbortSignal): Promise<ComfyFile>;
  /** Bytes of a file, or undefined when there is none. */
  size(file: ComfyFile, signal: AbortSignal): Promise<number | undefined>;
  /** Reads a whole file of at most `maxBytes`. Throws `OUTPUT_MISSING` when it is absent or arrives short. */
  download(file: ComfyFile, maxBytes: number, signal: AbortSignal): Promise<Buffer>;
}

/** File transfer through the client of the moment. */
export function fileTransfer(http: () => ComfyHttp): FileTransfer {
  return {
    upload: (file, signal) => upload(http(), file, signal),
    size: (file, signal) => size(http(), file, signal),
    download: (file, maxBytes, signal) => download(http(), file, maxBytes, signal),
  };
}

async function upload(http: ComfyHttp, file: Upload, signal: AbortSignal): Promise<ComfyFile> {
  const request = { method: 'POST', path: '/upload/image', signal, raw: multipart(file) } as const;
  const answer = await http.send(request);
  if (answer.status === 413) {
    throw new ComfyRunpodError(
      'COMFY_PROTOCOL',
      `A file is too large for ComfyUI: ${unexpectedStatus(request, answer).message}`,
      {
        nextStep: "Send smaller files, or raise ComfyUI's --max-upload-size.",
      },
    );
  }
  if (answer.status !== 200) throw unexpectedStatus(request, answer);
  const body = recordOf(parseAnswer(request, answer));
  const filename = textOf(body['name']);
  if (filename === undefined)
    throw new ComfyRunpodError('COMFY_PROTOCOL', "ComfyUI's answer to an upload names no file.");
  return { filename, subfolder: textOf(body['subfolder']) ?? file.subfolder, type: 'input' };
}

function multipart(file: Upload): { body: Buffer; contentType: string } {
  const boundary = `comfy-runpod-${randomUUID()}`;
  const field = (name: string, value: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const head =
    field('type', 'input') +
    field('subfolder', file.subfolder) +
    // Exactly `true` (§1.8). The name is made from the content, so what is replaced is equal or broken.
    field('overwrite', 'true') +
    `--${boundary}\r\nContent-Disposition: form-data; name="image"; filename="${file.filename}"\r\n` +
    'Content-Type: application/octet-stream\r\n\r\n';
  return {
    body: Buffer.concat([Buffer.from(head), file.bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}

/** `filename` never holds a folder: only its base name would be used (§1.9). */
function viewPath(file: ComfyFile): string {
  const query = { filename: file.filename, subfolder: file.subfolder, type: file.type };
  return `/view?${Object.entries(query)
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join('&')}`;
}

async function size(http: ComfyHttp, file: ComfyFile, signal: AbortSignal): Promise<number | undefined> {
  const request = { method: 'HEAD', path: viewPath(file), signal } as const;
  const answer = await http.send(request);
  if (answer.status === 404) return undefined;
  if (answer.status !== 200) throw viewRefused(answer.status);
  const length = Number(answer.headers['content-length']);
  return Number.isSafeInteger(length) ? length : undefined;
}

async function download(http: ComfyHttp, file: ComfyFile, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const answer = await http.send({ path: viewPath(file), signal, maxBytes, fileBytes: maxBytes });
  if (answer.status === 404)
    throw new ComfyRunpodError('OUTPUT_MISSING', 'ComfyUI does not have a file that it named.');
  if (answer.status !== 200) throw viewRefused(answer.status);
  const expected = Number(answer.headers['content-length']);
  if (Number.isSafeInteger(expected) && answer.body.length !== expected) {
    throw new ComfyRunpodError('OUTPUT_MISSING', `A file arrived with ${answer.body.length} of ${expected} bytes.`);
  }
  return answer.body;
}

function viewRefused(status: number): ComfyRunpodError {
  return new ComfyRunpodError('OUTPUT_MISSING', `ComfyUI answered ${status} when asked for a file that it named.`, {
    details: { status },
  });
}
