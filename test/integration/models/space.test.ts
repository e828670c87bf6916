/** What downloads take of a disk: each model counts once and whole, and nothing that was given up stays for ever. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ModelPlaces } from '../../../worker/models/index.ts';
import { byUrl, ModelServer, modelFolders, provide, safetensors } from '../../support/model-server.ts';

const model = safetensors(60_000);

async function start() {
  const server = await ModelServer.start();
  const places = await modelFolders();
  const spec = (name: string) => {
    server.files.set(`/${name}`, model);
    return byUrl(`${server.url}/${name}`, { name });
  };
  return { server, places, spec };
}

const incoming = (places: ModelPlaces) => path.join(places.own, '.comfy-runpod/incoming');

describe('the space that models may take', () => {
  it('is enough for as many as fit, however many are fetched at one start', async () => {
    const { places, spec } = await start();
    const specs = ['a', 'b', 'c', 'd', 'e'].map((name) => spec(`${name}.safetensors`));
    const states = await provide(specs, places, { spaceLimitBytes: specs.length * model.length });
    expect(states.map(({ where }) => where)).toEqual(specs.map(() => 'downloaded'));
  });

  it('counts a download that goes on with its whole size', async () => {
    const { server, places, spec } = await start();
    const [kept, cut] = [spec('kept.safetensors'), spec('cut.safetensors')];
    await provide([kept], places);
    const stopping = new AbortController();
    const before = server.seen.length;
    server.misbehave = (_request, _response, count) => {
      if (count < before + 6) return false;
      stopping.abort(new Error('the worker stops'));
      return true;
    };
    await expect(provide([cut], places, {}, stopping.signal)).rejects.toThrow('the worker stops');
    server.misbehave = undefined;
    const states = await provide([kept, cut], places, { spaceLimitBytes: model.length * 2 - 1 });
    expect(states).toMatchObject([{ where: 'present' }, { where: 'missing', error: { code: 'MODEL_SPACE' } }]);
    expect(await provide([kept, cut], places, { spaceLimitBytes: model.length * 2 })).toMatchObject([
      { where: 'present' },
      { where: 'downloaded' },
    ]);
  });

  it('is free again when a person removes a file', async () => {
    const { places, spec } = await start();
    const options = { spaceLimitBytes: model.length };
    await provide([spec('a.safetensors')], places, options);
    await rm(path.join(places.own, 'loras/a.safetensors'));
    expect(await provide([spec('b.safetensors')], places, options)).toMatchObject([{ where: 'downloaded' }]);
  });
});

describe('a download that was given up', () => {
  it('is removed when nobody has gone on with it for a week, and kept for the next start before', async () => {
    const { places, spec } = await start();
    await mkdir(incoming(places), { recursive: true });
    const [old, fresh] = ['a'.repeat(32), 'b'.repeat(32)];
    for (const id of [old, fresh]) {
      for (const ending of ['part', 'json']) await writeFile(path.join(incoming(places), `${id}.${ending}`), 'x');
    }
    await writeFile(path.join(incoming(places), 'of a person'), 'x');
    const longAgo = new Date(Date.now() - 8 * 24 * 60 * 60 * 1_000);
    for (const name of [`${old}.part`, `${old}.json`, 'of a person']) {
      await utimes(path.join(incoming(places), name), longAgo, longAgo);
    }
    await provide([spec('a.safetensors')], places);
    expect((await readdir(incoming(places))).toSorted()).toEqual([`${fresh}.json`, `${fresh}.part`, 'of a person']);
  });

  it('leaves nothing behind where another worker has the part that the next start goes on with', async () => {
    const { server, places, spec } = await start();
    const wanted = spec('a.safetensors');
    // The other worker: it has begun, and then everything breaks for both.
    const first = new AbortController();
    server.misbehave = (_request, _response, count) => count >= 3;
    const other = provide([wanted], places, {}, first.signal);
    await expect.poll(() => existsSync(incoming(places)) && server.seen.length >= 3, { timeout: 5_000 }).toBe(true);
    server.misbehave = (_request, response) => {
      response.writeHead(404).end();
      return true;
    };
    expect((await provide([wanted], places))[0]).toMatchObject({ where: 'missing' });
    expect((await readdir(incoming(places))).filter((name) => name.endsWith('.part'))).toHaveLength(1);
    first.abort(new Error('the worker stops'));
    await expect(other).rejects.toThrow('the worker stops');
  });
});
