/** Where models are looked for before anything is downloaded: image, host cache, network volume. */
import { lstat, mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeExtraPaths } from '../../../worker/models/index.ts';
import { byRepo, byUrl, modelFolders, provide, safetensors, sha256 } from '../../support/model-server.ts';

const model = safetensors(5_000);
const commit = 'c'.repeat(40);
const other = 'd'.repeat(40);

/** Puts a file into the cache as Hugging Face's own library lays it out. */
async function cache(hub: string, commitId: string, bytes: Buffer, ref?: string): Promise<string> {
  const repo = path.join(hub, 'models--maker--pack');
  const snapshot = path.join(repo, 'snapshots', commitId, 'sub');
  await mkdir(path.join(repo, 'blobs'), { recursive: true });
  await mkdir(path.join(repo, 'refs'), { recursive: true });
  await mkdir(snapshot, { recursive: true });
  await writeFile(path.join(repo, 'blobs', sha256(bytes)), bytes);
  await symlink(`../../../blobs/${sha256(bytes)}`, path.join(snapshot, 'a.safetensors'));
  if (ref !== undefined) await writeFile(path.join(repo, 'refs', ref), commitId);
  return path.join(snapshot, 'a.safetensors');
}

async function put(file: string, bytes: Buffer = model): Promise<string> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, bytes);
  return file;
}

describe('where a model is found', () => {
  it('what is in the image is used as it is, in both folders of its type', async () => {
    const places = await modelFolders();
    const file = await put(path.join(places.image ?? '', 'clip/a.safetensors'));
    const [state] = await provide([byRepo({ folder: 'text_encoders' })], places);
    expect(state).toMatchObject({ where: 'present', path: file, bytes: model.length });
  });

  it('the host cache is linked at the commit of refs/main and takes no space', async () => {
    const places = await modelFolders();
    await cache(places.hostCache, other, safetensors(100, 9));
    const snapshot = await cache(places.hostCache, commit, model, 'main');
    const [state] = await provide([byRepo({ size: model.length, sha256: sha256(model) })], places);
    expect(state).toMatchObject({ where: 'host-cache', bytes: model.length });
    const link = path.join(places.own, 'loras/a.safetensors');
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readlink(link)).toBe(snapshot);
    expect(await readFile(link)).toEqual(model);
  });

  it('a link of an earlier start is kept while it is right, and renewed when refs/main moves on', async () => {
    const places = await modelFolders();
    await cache(places.hostCache, commit, model, 'main');
    await provide([byRepo()], places);
    expect(await provide([byRepo()], places)).toMatchObject([{ where: 'host-cache' }]);
    const newer = safetensors(700, 3);
    const snapshot = await cache(places.hostCache, other, newer, 'main');
    await provide([byRepo()], places);
    expect(await readlink(path.join(places.own, 'loras/a.safetensors'))).toBe(snapshot);
  });

  it('a dangling link is repaired instead of stopping the boot', async () => {
    const places = await modelFolders();
    await mkdir(path.join(places.own, 'loras'), { recursive: true });
    await symlink('/nowhere/a.safetensors', path.join(places.own, 'loras/a.safetensors'));
    await cache(places.hostCache, commit, model, 'main');
    expect(await provide([byRepo()], places)).toMatchObject([{ where: 'host-cache' }]);
  });

  it('a snapshot whose blob is gone, another revision and another hash do not count', async () => {
    const places = await modelFolders();
    const snapshot = await cache(places.hostCache, commit, model, 'main');
    const options = { offline: true };
    const source = { kind: 'huggingface', repo: 'maker/pack', revision: 'v2', file: 'sub/a.safetensors' } as const;
    expect(await provide([byRepo({ source })], places, options)).toMatchObject([{ where: 'missing' }]);
    expect(await provide([byRepo({ sha256: '0'.repeat(64) })], places, options)).toMatchObject([{ where: 'missing' }]);
    const { rm } = await import('node:fs/promises');
    await rm(path.resolve(path.dirname(snapshot), await readlink(snapshot)));
    expect(await provide([byRepo()], places, options)).toMatchObject([{ where: 'missing' }]);
  });

  it('the network volume is used where it is, without a copy', async () => {
    const places = await modelFolders();
    const file = await put(path.join(places.volume[1] ?? '', 'loras/a.safetensors'));
    expect(await provide([byUrl('https://models.example/a.safetensors')], places)).toMatchObject([
      { where: 'volume', path: file },
    ]);
  });

  it('a file of another size under the name is not the model', async () => {
    const places = await modelFolders();
    await put(path.join(places.volume[0] ?? '', 'loras/a.safetensors'));
    const states = await provide([byRepo({ size: 1 })], places, { offline: true });
    expect(states[0]).toMatchObject({ where: 'missing', error: { code: 'MODEL_UNAVAILABLE' } });
  });

  it('pickles are refused unless they are allowed, even when they are there', async () => {
    const places = await modelFolders();
    await put(path.join(places.own, 'loras/a.ckpt'));
    const spec = byRepo({ name: 'a.ckpt' });
    expect((await provide([spec], places))[0]).toMatchObject({ where: 'missing', error: { code: 'MODEL_REFUSED' } });
    expect((await provide([spec], places, { allowPickle: true }))[0]).toMatchObject({ where: 'present' });
  });
});

describe('the folders that ComfyUI is told', () => {
  it('hold every folder type over our folder and the volume, and types of custom nodes that are there', async () => {
    const places = await modelFolders();
    await mkdir(path.join(places.volume[0] ?? '', 'ipadapter'), { recursive: true });
    const file = await writeExtraPaths(places, [], path.join(places.root, 'extra.yaml'));
    const { parse } = await import('yaml');
    const sections = Object.values(parse(await readFile(file ?? '', 'utf8')) as Record<string, Record<string, string>>);
    expect(sections.map((section) => section['base_path'])).toEqual([places.own, ...places.volume]);
    for (const section of sections) {
      expect(section['loras']).toBe('loras');
      expect(section['text_encoders']?.trim().split('\n')).toEqual(['text_encoders', 'clip']);
      expect(section['latent_upscale_models']).toBe('latent_upscale_models');
      expect(section['ipadapter']).toBe('ipadapter');
      expect(Object.values(section).every((value) => typeof value === 'string')).toBe(true);
    }
  });
});
