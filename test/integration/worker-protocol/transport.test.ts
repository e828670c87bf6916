/** The connection to the worker routes against a server that answers byte for byte what a test wants. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createTransport, type Transport } from '../../../worker/runpod/index.ts';
import { textBody } from '../../../worker/runpod/job-done-body.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';

const never = new AbortController().signal;
const options = { timeoutMs: 5_000, maxBytes: 1_000, signal: never };

async function serve(listener: RequestListener): Promise<{ url: string; transport: Transport }> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const transport = createTransport({ apiKey: 'key', userAgent: 'agent' });
  afterThisTest(async () => {
    await transport.close();
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, transport };
}

describe('transport', () => {
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('W18: an answer in %s is read', async (encoding, pack) => {
    const { url, transport } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'Application/JSON; charset=utf-8', 'content-encoding': encoding });
      response.end(pack('{"id":"ä"}'));
    });
    const answer = await transport.get(url, options);
    expect([answer.mediaType, answer.body.toString()]).toEqual(['application/json', '{"id":"ä"}']);
  });

  it('an answer over the limit is refused, also one that only grows when it is unpacked', async () => {
    const { url, transport } = await serve((request, response) => {
      if (request.url === '/bomb') {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('a'.repeat(100_000)));
      } else response.end('a'.repeat(2_000));
    });
    await expect(transport.get(`${url}/long`, options)).rejects.toMatchObject({ code: 'PLATFORM_ANSWER_INVALID' });
    await expect(transport.get(`${url}/bomb`, options)).rejects.toMatchObject({ code: 'PLATFORM_ANSWER_INVALID' });
  });

  it('a GET follows a redirect, but takes the key to no other place', async () => {
    const other = await serve((request, response) => response.end(request.headers.authorization ?? 'no key'));
    const { url, transport } = await serve((request, response) => {
      if (request.url === '/here') response.end(request.headers.authorization ?? 'no key');
      else response.writeHead(307, { location: request.url === '/away' ? other.url : '/here' }).end();
    });
    expect((await transport.get(`${url}/near`, options)).body.toString()).toBe('key');
    expect((await transport.get(`${url}/away`, options)).body.toString()).toBe('no key');
  });

  it('time-out, refusal and abort are told apart', async () => {
    const { url, transport } = await serve(() => undefined);
    await expect(transport.get(url, { ...options, timeoutMs: 50 })).rejects.toMatchObject({ code: 'NETWORK_TIMEOUT' });
    await expect(transport.get('http://127.0.0.1:1', options)).rejects.toMatchObject({ code: 'NETWORK_UNREACHABLE' });
    const reason = new Error('enough');
    const abort = AbortSignal.abort(reason);
    await expect(transport.get(url, { ...options, signal: abort })).rejects.toBe(reason);
    const post = transport.post(url, textBody('{}'), { requestId: 'j', timeoutMs: 50, signal: never });
    await expect(post).rejects.toMatchObject({ code: 'NETWORK_TIMEOUT' });
  });

  it('an answer that has begun when taking ends is read to its end; one that has not is given up', async () => {
    let begun: (() => void) | undefined;
    const headers = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const { url, transport } = await serve((request, response) => {
      if (request.url !== '/begun') return;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"id":');
      begun?.();
      setTimeout(() => response.end('"a"}'), 100);
    });
    const ending = new AbortController();
    const arriving = transport.get(`${url}/begun`, { ...options, untilAnswered: ending.signal });
    const waiting = transport.get(`${url}/held`, { ...options, untilAnswered: ending.signal });
    waiting.catch(() => undefined);
    await headers;
    // The first bytes are on their way; once they are here a request that was answered meanwhile has been, too.
    await transport.get(`${url}/begun`, options);
    ending.abort(new Error('no more jobs'));
    expect((await arriving).body.toString()).toBe('{"id":"a"}');
    await expect(waiting).rejects.toThrow('no more jobs');
  });

  it('a POST is not followed when it is redirected, and its id is on no other request', async () => {
    const seen: (string | undefined)[] = [];
    const { url, transport } = await serve((request, response) => {
      seen.push(`${request.method} ${request.url} ${String(request.headers['x-request-id'])}`);
      if (request.method === 'POST') response.writeHead(302, { location: '/elsewhere' });
      response.end();
    });
    const answer = await transport.post(url, textBody('{}'), { requestId: 'j', timeoutMs: 5_000, signal: never });
    expect(answer.status).toBe(302);
    await transport.get(`${url}/next`, options);
    expect(seen).toEqual(['POST / j', 'GET /next undefined']);
  });

  it.each([
    ['too short', 10],
    ['too long', 3],
  ])(
    'a body that is %s for its announced length is an error of its own, not of the network',
    async (_what, byteLength) => {
      const { url, transport } = await serve((request, response) => {
        request.resume();
        request.on('end', () => response.end());
      });
      const body = { byteLength, chunks: () => [Buffer.from('"abc"')] };
      const post = transport.post(url, body, { requestId: 'j', timeoutMs: 5_000, signal: never });
      await expect(post).rejects.toMatchObject({ code: 'INTERNAL' });
    },
  );
});
