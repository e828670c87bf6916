/** Fetches from servers on loopback, and looks that no error repeats a signed address. */
import type { RequestListener } from 'node:http';
import { expect } from 'vitest';
import { type ComfyRunpodError, isComfyRunpodError } from '../../shared/index.ts';
import { type FetchOptions, fetchInput } from '../../worker/inputs/index.ts';
import { type FileServer, FileServers, pngBytes } from './file-servers.ts';

/** The servers of a test; close them all after it. */
export const servers = new FileServers();

/** Stands in every address and may stand nowhere else. */
export const secret = 'very-private-signature';
/** What good servers send. */
export const png = pngBytes(3_000);
/** A good server. */
export const sendPng: RequestListener = (_request, response) => {
  response.setHeader('content-length', png.length).end(png);
};

/** What was fetched, with the bytes. */
export interface Fetched {
  readonly bytes: Buffer;
  readonly size: number;
  readonly sha256: string;
  readonly contentType: string;
}

/** Fetches into memory. */
export async function get(url: string, options: Partial<FetchOptions> = {}): Promise<Fetched> {
  const chunks: Uint8Array[] = [];
  const result = await fetchInput({
    url,
    signal: AbortSignal.timeout(20_000),
    maxBytes: 1_000_000,
    timeoutMs: 10_000,
    onChunk: (chunk) => void chunks.push(chunk),
    ...options,
  });
  return { ...result, bytes: Buffer.concat(chunks) };
}

/** The coded error that a fetch ends with. Fails the test when it repeats the secret. */
export async function refusal(url: string, options: Partial<FetchOptions> = {}): Promise<ComfyRunpodError> {
  const error: unknown = await get(url, options).catch((thrown: unknown) => thrown);
  if (!isComfyRunpodError(error)) throw new Error('the fetch did not end with a coded error', { cause: error });
  const shown = JSON.stringify({ message: error.message, details: error.details, issues: error.issues });
  expect(shown).not.toContain(secret);
  return error;
}

/** A server without TLS and a signed address on it. */
export async function plain(listener: RequestListener): Promise<{ url: string; server: FileServer }> {
  const server = await servers.http(listener);
  return { url: `http://127.0.0.1:${server.port}/a.png?sign=${secret}`, server };
}

/** Lets a fetch reach this machine. */
export const here = { allowPrivate: 'loopback' } as const;
