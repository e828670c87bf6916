/** Downloads of models from servers that break in every way: what is there in the end is the whole right file, or nothing and a reason. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  byRepo,
  byUrl,
  ModelServer,
  modelFolders,
  provide,
  quickPace,
  safetensors,
  sha256,
} from '../support/model-server.ts';

const model = safetensors(95_000);
const changed = safetensors(95_000, 7);
const target = (own: string) => path.join(own, 'loras/a.safetensors');

async function start() {
  const server = await ModelServer.start();
  const places = await modelFolders();
  server.files.set('/a.safetensors', model);
  return { server, places, spec: byUrl(`${server.url}/a.safetensors`) };
}

describe('a download', () => {
  it('comes in several ranges and is there under its name, whole', async () => {
    const { server, places, spec } = await start();
    expect(await provide([spec], places)).toMatchObject([{ where: 'downloaded', bytes: model.length }]);
    expect(await readFile(target(places.own))).toEqual(model);
    expect(server.ranged().length).toBe(Math.ceil(model.length / quickPace.pieceBytes));
    expect(await provide([spec], places)).toMatchObject([{ where: 'present' }]);
  });

  it('that is cut goes on where it stopped', async () => {
    const { server, places, spec } = await start();
    let cuts = 0;
    server.misbehave = (request, response, count) => {
      if (count % 2 === 0) return false;
      const [start = 0, last = 0] =
        /(\d+)-(\d+)/
          .exec(request.headers.range ?? '')
          ?.slice(1)
          .map(Number) ?? [];
      const end = Math.min(last + 1, model.length);
      // A piece of one byte can't be cut in two.
      if (end - start < 2) return false;
      const middle = Math.floor((start + end) / 2);
      response.writeHead(206, {
        etag: `"${sha256(model)}"`,
        'content-length': end - start,
        'content-range': `bytes ${start}-${end - 1}/${model.length}`,
      });
      // Not reset: what was sent arrives.
      response.write(model.subarray(start, middle), () => response.socket?.end());
      cuts++;
      return true;
    };
    expect(await provide([spec], places)).toMatchObject([{ where: 'downloaded' }]);
    expect(await readFile(target(places.own))).toEqual(model);
    expect(cuts).toBeGreaterThan(3);
    const starts = server.ranged().map((range) => Number(/\d+/.exec(range)?.[0]));
    expect(starts.some((start) => start % quickPace.pieceBytes !== 0)).toBe(true);
  });

  it('that a stopped worker left behind is gone on with by the next one', async () => {
    const { server, places, spec } = await start();
    const stopping = new AbortController();
    server.misbehave = (_request, _response, count) => {
      if (count < 5) return false;
      stopping.abort(new Error('the worker stops'));
      return true;
    };
    await expect(provide([spec], places, {}, stopping.signal)).rejects.toThrow('the worker stops');
    expect(existsSync(target(places.own))).toBe(false);
    const before = server.seen.length;
    server.misbehave = undefined;
    expect(await provide([spec], places)).toMatchObject([{ where: 'downloaded' }]);
    expect(await readFile(target(places.own))).toEqual(model);
    expect(server.seen.length - before).toBeLessThan(Math.ceil(model.length / quickPace.pieceBytes));
  });

  it.each([
    ['asks with If-Range', false],
    ['does not look at If-Range', true],
  ])('begins anew when the file changes in between (a server that %s)', async (_what, ignoresIfRange) => {
    const { server, places, spec } = await start();
    server.misbehave = (request) => {
      if (server.seen.length === 4) server.files.set('/a.safetensors', changed);
      if (ignoresIfRange) delete request.headers['if-range'];
      return false;
    };
    expect(await provide([spec], places)).toMatchObject([{ where: 'downloaded' }]);
    expect(await readFile(target(places.own))).toEqual(changed);
  });

  it('works with a server that knows no ranges, also when that breaks off once', async () => {
    const { server, places, spec } = await start();
    server.ranges = false;
    server.misbehave = (_request, response, count) => {
      if (count > 1) return false;
      response.writeHead(200, { 'content-length': model.length });
      response.write(model.subarray(0, 50_000), () => response.destroy());
      return true;
    };
    expect(await provide([spec], places)).toMatchObject([{ where: 'downloaded' }]);
    expect(await readFile(target(places.own))).toEqual(model);
  });

  it('waits out 429 and 503', async () => {
    const { server, places, spec } = await start();
    server.misbehave = (_request, response, count) => {
      if (count !== 1 && count !== 4) return false;
      response.writeHead(count === 1 ? 429 : 503, { 'retry-after': '0' }).end();
      return true;
    };
    expect(await provide([spec], places)).toMatchObject([{ where: 'downloaded' }]);
    expect(await readFile(target(places.own))).toEqual(model);
  });

  it('is given up, with what is there kept, when the server stays down', async () => {
    const { server, places, spec } = await start();
    server.misbehave = (_request, response, count) => {
      if (count < 4) return false;
      response.writeHead(503).end();
      return true;
    };
    const [state] = await provide([spec], places);
    expect(state).toMatchObject({ where: 'missing', error: { code: 'MODEL_DOWNLOAD_FAILED' } });
    expect(state?.error?.message).toContain('503');
    expect(existsSync(target(places.own))).toBe(false);
  });

  it.each([
    [401, 'HF_TOKEN'],
    [403, 'HF_TOKEN'],
    [404, 'Check the repository'],
  ])('that is answered %i ends at once and says what to do', async (status, advice) => {
    const { server, places, spec } = await start();
    server.misbehave = (_request, response) => {
      response.writeHead(status).end('secret words of the server');
      return true;
    };
    const [state] = await provide([spec], places);
    expect(state?.error).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      nextStep: expect.stringContaining(advice) as string,
    });
    expect(state?.error?.message).not.toContain('secret');
    expect(server.seen.length).toBe(1);
  });

  it('with another hash or size than the manifest says never gets the name', async () => {
    const { places, spec } = await start();
    for (const extra of [{ sha256: '0'.repeat(64) }, { size: 17 }]) {
      const [state] = await provide([{ ...spec, ...extra }], places);
      expect(state).toMatchObject({ where: 'missing', error: { code: 'MODEL_CORRUPT' } });
      expect(existsSync(target(places.own))).toBe(false);
    }
  });

  it.each([
    ['a web page', Buffer.from('<!DOCTYPE html><html>Log in</html>')],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')],
    ['half a safetensors file', model.subarray(0, 60_000)],
    ['nothing', Buffer.alloc(0)],
  ])('that turns out to be %s is refused although nobody gave a hash', async (_what, bytes) => {
    const { server, places, spec } = await start();
    server.files.set('/a.safetensors', bytes);
    server.ranges = bytes.length > 0;
    expect((await provide([spec], places))[0]).toMatchObject({ where: 'missing', error: { code: 'MODEL_CORRUPT' } });
    expect(existsSync(target(places.own))).toBe(false);
  });

  it('that the disk has no room for is not begun; older downloads go first, and files of others never', async () => {
    const { server, places, spec } = await start();
    server.files.set('/b.safetensors', model);
    const second = byUrl(`${server.url}/b.safetensors`, { name: 'b.safetensors' });
    const options = { spaceLimitBytes: model.length + 10 };
    expect(await provide([spec], places, options)).toMatchObject([{ where: 'downloaded' }]);
    await writeFile(path.join(places.own, 'loras/mine.safetensors'), 'of a person');
    expect(await provide([second], places, options)).toMatchObject([{ where: 'downloaded' }]);
    expect(existsSync(target(places.own))).toBe(false);
    expect(existsSync(path.join(places.own, 'loras/mine.safetensors'))).toBe(true);
    const states = await provide([spec, second], places, options);
    expect(states).toMatchObject([{ where: 'missing', error: { code: 'MODEL_SPACE' } }, { where: 'present' }]);
  });

  it('over http beyond this machine needs a hash', async () => {
    const { places } = await start();
    const [state] = await provide([byUrl('http://models.example/a.safetensors')], places);
    expect(state?.error?.message).toContain('sha256');
  });

  it('of one model that fails does not keep the others from coming', async () => {
    const { server, places, spec } = await start();
    const states = await provide([byUrl(`${server.url}/gone.safetensors`, { name: 'gone.safetensors' }), spec], places);
    expect(states.map(({ where }) => where)).toEqual(['missing', 'downloaded']);
  });
});

describe('Hugging Face', () => {
  const file = '/maker/pack/resolve/main/sub/a.safetensors';

  it('is asked with the token, and the hash that it tells is checked', async () => {
    const { server, places } = await start();
    server.files.set(file, model);
    const hub = { hubUrl: server.url, token: 'hf_for-a-test' };
    expect(await provide([byRepo()], places, { hub })).toMatchObject([{ where: 'downloaded' }]);
    expect(await readFile(target(places.own))).toEqual(model);
    expect(new Set(server.seen.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_for-a-test']));
  });

  it('is told apart by its hash: bytes that are not what the hub says are refused', async () => {
    const { server, places } = await start();
    server.files.set(file, model);
    server.etag = `"${'0'.repeat(64)}"`;
    expect((await provide([byRepo()], places, { hub: { hubUrl: server.url } }))[0]?.error?.code).toBe('MODEL_CORRUPT');
  });

  it('never sends the token to the server that the hub redirects to, and asks the hub again when the redirect has expired', async () => {
    const { server, places } = await start();
    const storage = await ModelServer.start();
    storage.files.set('/blob', model);
    server.files.set(file, model);
    let expired = 0;
    storage.misbehave = (_request, response, count) => {
      if (count !== 3) return false;
      expired++;
      response.writeHead(403).end();
      return true;
    };
    server.misbehave = (request, response) => {
      if (request.headers.range === 'bytes=0-0') return false;
      response.writeHead(302, { location: `${storage.url}/blob?signature=very-private` }).end();
      return true;
    };
    const hub = { hubUrl: server.url, token: 'hf_for-a-test' };
    expect(await provide([byRepo()], places, { hub })).toMatchObject([{ where: 'downloaded' }]);
    expect(storage.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
    expect(expired).toBe(1);
  });

  it.each([
    [401, 'HF_TOKEN'],
    [404, 'Check the repository'],
  ])('answering %i ends the attempt at once', async (status, advice) => {
    const { server, places } = await start();
    server.misbehave = (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"no"}');
      return true;
    };
    const [state] = await provide([byRepo()], places, { hub: { hubUrl: server.url } });
    expect(state?.error).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      nextStep: expect.stringContaining(advice) as string,
    });
  });

  it('being down is waited out', async () => {
    const { server, places } = await start();
    server.files.set(file, model);
    server.misbehave = (_request, response, count) => {
      if (count > 2) return false;
      response.writeHead(503, { 'content-type': 'application/json' }).end('{}');
      return true;
    };
    expect(await provide([byRepo()], places, { hub: { hubUrl: server.url } })).toMatchObject([{ where: 'downloaded' }]);
  });
});
