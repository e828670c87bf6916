// Fetching an input from an address: what a good server gives, and every way in which a bad one doesn't.
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { get, here, plain, png, refusal, secret, sendPng, servers } from '../../support/fetch-bench.ts';
import { pngBytes } from '../../support/file-servers.ts';

setFlagsFromString('--expose-gc');
afterEach(() => servers.closeAll());

describe('a good address', () => {
  it('gives the bytes, their hash and their type, over https to a looked-up host', async () => {
    const seen: Record<string, unknown>[] = [];
    const server = await servers.https(['files.example'], (request, response) => {
      seen.push({ ...request.headers, url: request.url });
      sendPng(request, response);
    });
    const fetched = await get(`https://files.example:${server.port}/a.png?x=1#part`, {
      ...here,
      ca: server.ca,
      resolve: () => Promise.resolve(['127.0.0.1']),
    });
    expect(fetched.bytes.equals(png)).toBe(true);
    expect(fetched).toMatchObject({
      size: png.length,
      sha256: createHash('sha256').update(png).digest('hex'),
      contentType: 'image/png',
    });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ url: '/a.png?x=1', 'accept-encoding': 'identity' });
    expect(seen[0]).not.toHaveProperty('authorization');
    expect(seen[0]).not.toHaveProperty('cookie');
    await expect.poll(() => server.open.size).toBe(0);
  });

  it('is followed over redirects, without the cookies that they set', async () => {
    const cookies: unknown[] = [];
    const { url } = await plain((request, response) => {
      cookies.push(request.headers.cookie);
      if (request.url === '/final.png') return sendPng(request, response);
      const next = request.url?.startsWith('/a') === true ? '/b' : 'final.png';
      response.writeHead(next === '/b' ? 302 : 307, { location: next, 'set-cookie': 'a=b' }).end('moved');
    });
    expect((await get(url, here)).bytes.equals(png)).toBe(true);
    expect(cookies).toEqual([undefined, undefined, undefined]);
  });

  it('gives small files and files without an announced length too', async () => {
    const { url } = await plain((_request, response) => {
      response.write(pngBytes().subarray(0, 20));
      response.end(pngBytes().subarray(20));
    });
    expect((await get(url, here)).bytes.equals(pngBytes())).toBe(true);
  });

  it('is reached directly even where the environment names a proxy', async () => {
    vi.stubEnv('HTTP_PROXY', 'http://127.0.0.1:9');
    vi.stubEnv('HTTPS_PROXY', 'http://127.0.0.1:9');
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    const { url } = await plain(sendPng);
    expect((await get(url, here)).size).toBe(png.length);
  });
});

describe('a server that does not give the file', () => {
  it.each([
    [403, 'INPUT_UNAVAILABLE'],
    [404, 'INPUT_UNAVAILABLE'],
    [204, 'INPUT_UNAVAILABLE'],
    [206, 'INPUT_UNAVAILABLE'],
    [304, 'INPUT_UNAVAILABLE'],
    [500, 'INPUT_FETCH_FAILED'],
    [503, 'INPUT_FETCH_FAILED'],
    [429, 'INPUT_FETCH_FAILED'],
  ])('answering %i ends with %s and the status', async (status, code) => {
    const { url, server } = await plain((_request, response) => {
      response.writeHead(status).end(status === 204 || status === 304 ? undefined : `<html>${secret}</html>`);
    });
    const error = await refusal(url, here);
    expect(error.code).toBe(code);
    expect(error.message).toContain(`127.0.0.1 answered ${status}`);
    await expect.poll(() => server.open.size).toBe(0);
  });

  it.each([
    ['a web page (HTML)', '<!DOCTYPE html><html><body>Please log in</body></html>'],
    ['a web page (HTML)', '\uFEFF\n <!-- x --> <HTML>'],
    ['an XML document', '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'],
    ['JSON text', '{"error":"expired"}'],
    ['an archive', Buffer.from('PK\x03\x04aaaaaaaa', 'latin1')],
    ['a PDF', '%PDF-1.7'],
    ['a file that is no picture, video or sound', 'just words'],
    ['a file that is no picture, video or sound', 'BMW is a car maker'],
    ['a file that is no picture, video or sound', Buffer.from('\x7fELF\x02\x01\x01\0\0\0\0', 'latin1')],
  ])('sending %s as if it were a picture is refused before a byte of it is kept', async (what, body) => {
    const { url } = await plain((_request, response) => {
      response.setHeader('content-type', 'image/png').end(body);
    });
    const onChunk = vi.fn();
    const error = await refusal(url, { ...here, onChunk });
    expect(error.code).toBe('INPUT_UNAVAILABLE');
    expect(error.message).toBe(`127.0.0.1 answered 200 with ${what}.`);
    expect(onChunk).not.toHaveBeenCalled();
  });

  it('announcing too much is refused without reading it', async () => {
    const { url, server } = await plain((_request, response) => {
      response.writeHead(200, { 'content-length': 2_000_000 }).write(png);
    });
    const error = await refusal(url, here);
    expect(error).toMatchObject({ code: 'INPUT_TOO_LARGE', details: { maxBytes: 1_000_000, host: '127.0.0.1' } });
    await expect.poll(() => server.open.size).toBe(0);
  });

  it('sending more than it may is cut off', async () => {
    let sent = 0;
    const { url, server } = await plain((_request, response) => {
      const block = Buffer.concat([png, Buffer.alloc(100_000)]);
      const more = () => {
        while (response.write(block)) sent += block.length;
        response.once('drain', more);
      };
      more();
    });
    expect((await refusal(url, here)).code).toBe('INPUT_TOO_LARGE');
    await expect.poll(() => server.open.size).toBe(0);
    expect(sent).toBeLessThan(20_000_000);
  });

  it('sending nothing at all is an empty file', async () => {
    const { url } = await plain((_request, response) => void response.end());
    expect((await refusal(url, here)).code).toBe('FILE_EMPTY');
  });

  it.each(['with a length', 'in chunks'])('breaking off in the middle, %s, is no file', async (how) => {
    const { url } = await plain((_request, response) => {
      if (how === 'with a length') response.setHeader('content-length', png.length);
      response.write(png.subarray(0, 1_000), () => response.socket?.destroy());
    });
    expect((await refusal(url, here)).code).toBe('INPUT_FETCH_FAILED');
  });

  it('sending a compressed body is refused rather than guessed at', async () => {
    const { url } = await plain((_request, response) => {
      response.setHeader('content-encoding', 'br').end(png);
    });
    expect((await refusal(url, here)).message).toContain('compressed');
  });

  it('sending other bytes than the job says is refused', async () => {
    const { url } = await plain(sendPng);
    expect((await refusal(url, { ...here, sha256: 'a'.repeat(64) })).code).toBe('FILE_HASH_MISMATCH');
  });

  it('dripping slowly is given up when the whole takes too long', async () => {
    const { url, server } = await plain((_request, response) => {
      response.write(png);
      const drip = setInterval(() => response.write('x'), 20);
      response.on('close', () => clearInterval(drip));
    });
    const error = await refusal(url, { ...here, timeoutMs: 400, idleMs: 300 });
    expect(error).toMatchObject({ code: 'INPUT_FETCH_FAILED', details: { reason: 'timeout' } });
    expect(error.message).toContain('within 0.4 s');
    await expect.poll(() => server.open.size).toBe(0);
  });

  it.each(['before', 'after'])('falling silent %s the headers is given up', async (when) => {
    const { url, server } = await plain((_request, response) => {
      if (when === 'after') response.write(png);
    });
    const error = await refusal(url, { ...here, idleMs: 200 });
    expect(error.message).toBe('127.0.0.1 sent nothing for 0.2 s.');
    await expect.poll(() => server.open.size).toBe(0);
  });

  it('not being there, or not in DNS, is a failure of the network', async () => {
    const { url } = await plain(sendPng);
    await servers.closeAll();
    expect(await refusal(url, here)).toMatchObject({
      code: 'INPUT_FETCH_FAILED',
      details: { reason: 'ECONNREFUSED', host: '127.0.0.1' },
    });
    const resolve = () => Promise.reject(Object.assign(new Error(secret), { code: 'ENOTFOUND' }));
    expect(await refusal('https://nowhere.example/', { resolve })).toMatchObject({ details: { reason: 'ENOTFOUND' } });
    const empty = await refusal('https://nowhere.example/', { resolve: () => Promise.resolve([]) });
    expect(empty.code).toBe('INPUT_FETCH_FAILED');
  });
});

describe('a fetch', () => {
  it('ends with the reason of its signal, while looking up, connecting and reading', async () => {
    const reason = new Error('stopped');
    const never = () => new Promise<never>(() => undefined);
    const { url, server } = await plain((_request, response) => void response.write(png));
    for (const [address, options] of [
      ['https://files.example/', { resolve: never }],
      [url, here],
    ] as const) {
      const controller = new AbortController();
      const fetched = get(address, { ...options, signal: controller.signal });
      if (address === url) await expect.poll(server.connections).toBeGreaterThan(0);
      controller.abort(reason);
      await expect(fetched).rejects.toBe(reason);
    }
    await expect.poll(() => server.open.size).toBe(0);
  });

  it("hands on what the receiver of the bytes throws, which is not the server's fault", async () => {
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    const { url, server } = await plain(sendPng);
    await expect(get(url, { ...here, onChunk: () => Promise.reject(full) })).rejects.toBe(full);
    await expect.poll(() => server.open.size).toBe(0);
  });

  it('takes 200 MB without holding more than a few chunks, at the pace of whoever receives them', async () => {
    const total = 200 * 1024 * 1024;
    const block = Buffer.alloc(1024 * 1024, 7);
    const { url } = await plain((_request, response) => {
      response.setHeader('content-length', png.length + total);
      response.write(png);
      let left = total / block.length;
      const more = () => {
        while (left > 0) {
          left--;
          if (!response.write(block)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const collect = runInNewContext('gc') as () => void;
    const live = () => {
      // Twice: the first frees buffers in the background, the second waits for that.
      collect();
      collect();
      return process.memoryUsage().arrayBuffers;
    };
    const before = live();
    let peak = 0;
    let received = 0;
    let next = 0;
    const fetched = await get(url, {
      ...here,
      maxBytes: 2 * total,
      async onChunk(chunk) {
        received += chunk.byteLength;
        if (received < next) return;
        next += 10 * block.length;
        await new Promise(setImmediate);
        peak = Math.max(peak, live() - before);
      },
    });
    expect(fetched.size).toBe(png.length + total);
    expect(received).toBe(fetched.size);
    // The server and what waits in its streams are in this process too.
    expect(peak).toBeLessThan(8 * 1024 * 1024);
  });
});
