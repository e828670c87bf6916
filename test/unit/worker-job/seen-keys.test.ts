// Which jobs a worker recognises as the same submission.
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SeenKeys } from '../../../worker/job/seen-keys.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';

async function useVolume(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'comfy-runpod-keys-'));
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  return join(folder, 'keys');
}

describe('keys of submissions', () => {
  it("the second job of a key is sent to the first; RunPod's own repeat of a job is not", async () => {
    const keys = new SeenKeys(undefined);
    expect(await keys.claim('k', 'job-1')).toBeUndefined();
    expect(await keys.claim('k', 'job-1')).toBeUndefined();
    expect(await keys.claim('k', 'job-2')).toBe('job-1');
    expect(await keys.claim('other', 'job-2')).toBeUndefined();
  });

  it('a job that left no result frees its key, and only its own', async () => {
    const volume = await useVolume();
    for (const keys of [new SeenKeys(undefined), new SeenKeys(volume)]) {
      await keys.claim('k', 'job-1');
      await keys.release('k', 'job-2');
      expect(await keys.claim('k', 'job-2')).toBe('job-1');
      await keys.release('k', 'job-1');
      expect(await keys.claim('k', 'job-2')).toBeUndefined();
    }
  });

  it('a worker remembers the last 10,000 keys and no more', async () => {
    const keys = new SeenKeys(undefined);
    for (let n = 0; n <= 10_000; n++) await keys.claim(`k${n}`, `job-${n}`);
    expect(await keys.claim('k10000', 'again')).toBe('job-10000');
    expect(await keys.claim('k1', 'again')).toBe('job-1');
    expect(await keys.claim('k0', 'again')).toBeUndefined();
  });

  it('workers with one volume know the keys of each other: of many at once one is first', async () => {
    const volume = await useVolume();
    const claims = await Promise.all(
      Array.from({ length: 12 }, (_, n) => new SeenKeys(volume).claim('k', `job-${n}`).then((first) => ({ n, first }))),
    );
    const winners = claims.filter(({ first }) => first === undefined);
    const named = new Set(claims.flatMap(({ first }) => first ?? []));
    expect(winners).toHaveLength(1);
    expect([...named]).toEqual([`job-${winners[0]?.n}`]);
    // A key may be anything a client sends; its file name never is.
    await new SeenKeys(volume).claim('../../escape', 'job');
    expect((await readdir(volume)).every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
  });

  it('keys that are older than any job that RunPod still has are removed from the volume', async () => {
    const volume = await useVolume();
    await new SeenKeys(volume).claim('old', 'job-1');
    const [file = ''] = await readdir(volume);
    const longAgo = new Date(Date.now() - 8 * 86_400_000);
    await utimes(join(volume, file), longAgo, longAgo);
    expect(await new SeenKeys(volume).claim('new', 'job-2')).toBeUndefined();
    expect(await new SeenKeys(volume).claim('old', 'job-3')).toBeUndefined();
  });

  it('a volume that fails is done without', async () => {
    const volume = await useVolume();
    await writeFile(volume, 'a file where the folder should be');
    const keys = new SeenKeys(volume);
    expect(await keys.claim('k', 'job-1')).toBeUndefined();
    expect(await keys.claim('k', 'job-2')).toBe('job-1');
  });
});
