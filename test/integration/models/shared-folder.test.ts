/** Several workers, one models folder: a network volume. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { warmFiles } from '../../../worker/models/index.ts';
import { byUrl, ModelServer, modelFolders, provide, safetensors } from '../../support/model-server.ts';

const model = safetensors(120_000);

describe('workers that share a models folder', () => {
  it('may want the same model at the same time: it is there whole, and nothing is left lying about', async () => {
    const server = await ModelServer.start();
    server.files.set('/a.safetensors', model);
    const places = await modelFolders();
    const spec = byUrl(`${server.url}/a.safetensors`);
    const states = await Promise.all(Array.from({ length: 4 }, () => provide([spec], places)));
    for (const [state] of states) expect(['downloaded', 'present']).toContain(state?.where);
    expect(await readFile(path.join(places.own, 'loras/a.safetensors'))).toEqual(model);
    expect(await readdir(path.join(places.own, '.comfy-runpod/incoming'))).toEqual([]);
    expect(await readdir(path.join(places.own, 'loras'))).toEqual(['a.safetensors']);
  });
});

describe('warming', () => {
  it('reads what is there, skips what is not, and stops at its budget', async () => {
    const server = await ModelServer.start();
    server.files.set('/a.safetensors', model);
    const places = await modelFolders();
    await provide([byUrl(`${server.url}/a.safetensors`)], places);
    const file = path.join(places.own, 'loras/a.safetensors');
    const never = new AbortController().signal;
    expect(await warmFiles([file, '/nowhere/b', file], never)).toBe(2 * model.length);
    expect(await warmFiles([file], never, 0)).toBe(0);
    expect(await warmFiles([file], AbortSignal.abort())).toBe(0);
  });
});
