/** Results that come in chunks: taken once however many wait, kept in temporary files that nobody has to clear away, told truthfully when a part is lost. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createClient, decodeArtifact, type JobResult, saveArtifacts } from '../../client/index.ts';
import { clearAbandonedResults, ResultSpool } from '../../client/receiving/result-spool.ts';
import type { FaultRuleInput } from '../../sandbox/runpod/index.ts';
import type { Artifact } from '../../shared/index.ts';
import { folderForThisTest, noiseJob, pixelHash, sentPixels, stackForThisTest } from '../support/large-results.ts';
import { until } from '../support/runpod-emulator.ts';
import { serveStreamedResult, streamedResult } from '../support/streamed-result.ts';
import { filesBelow } from '../support/whole-stack.ts';

const MiB = 1024 * 1024;
const side = 1_300;
const timeout = 60_000;
const child = path.join(import.meta.dirname, '../support/receive-memory-child.ts');

function artifactsOf(result: JobResult): readonly Artifact[] {
  if (result.kind !== 'succeeded') throw new Error(`ended as ${JSON.stringify('error' in result && result.error)}`);
  return result.envelope.artifacts;
}

async function receive(args: readonly string[], temporary: string) {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', child, ...args], {
    env: { ...process.env, TMPDIR: temporary },
  });
  return JSON.parse(stdout) as { usedGrowth: number; rssGrowth: number; intact: boolean };
}

describe('a result in chunks', () => {
  it.each([60, 240])(
    'of %i MiB in a single answer of /stream is received and saved without memory growing by its size',
    async (size) => {
      const temporary = await folderForThisTest();
      const report = await receive([await folderForThisTest(), String(size * MiB)], temporary);
      expect(report.intact).toBe(true);
      // As text in memory it would be a third more than its size, twice.
      expect(report.usedGrowth).toBeLessThan(48 * MiB);
      expect(report.rssGrowth).toBeLessThan(96 * MiB);
      expect(await readdir(temporary)).toEqual([]);
    },
    timeout,
  );

  it('that was never saved leaves nothing behind when its process ends without closing the client', async () => {
    const temporary = await folderForThisTest();
    await receive([await folderForThisTest(), String(3 * MiB), 'forget'], temporary);
    expect(await readdir(temporary)).toEqual([]);
  });

  it(
    'gives its bytes on demand, also after it was saved, and saving takes the temporary file itself',
    async () => {
      const stack = await stackForThisTest();
      const job = await noiseJob(side, 2);
      const artifacts = artifactsOf(await (await stack.client.submit(job)).wait());
      const pixels = await sentPixels(job);
      const [first, second] = artifacts;
      if (!first || !second) throw new Error('two files were sent');
      expect(await pixelHash(decodeArtifact(first))).toBe(pixels);
      const saved = await saveArtifacts([{ ...first, name: 'renamed.png' }], { folder: await folderForThisTest() });
      expect(saved.map((file) => path.basename(file.path))).toEqual(['renamed.png']);
      expect(await pixelHash(await readFile(saved[0]?.path ?? ''))).toBe(pixels);
      const again = await saveArtifacts(artifacts, { folder: await folderForThisTest() });
      expect(again).toHaveLength(2);
      expect(await pixelHash(decodeArtifact(first))).toBe(pixels);
      // What the user does to a saved file is not taken for the result.
      await writeFile(saved[0]?.path ?? '', 'edited');
      expect(() => decodeArtifact(first)).toThrow(expect.objectContaining({ code: 'RESULT_CORRUPT' }));
      expect(await pixelHash(decodeArtifact(second))).toBe(pixels);
    },
    timeout,
  );

  it(
    'is there for every wait, whichever handle and however many at once',
    async () => {
      const stack = await stackForThisTest();
      const job = await noiseJob(side, 2);
      const handle = await stack.client.submit(job);
      const leaving = new AbortController();
      const ending = async () => {
        for await (const event of handle) if (event.type === 'end') return event.result;
        throw new Error('no end');
      };
      const left = handle.wait({ signal: leaving.signal }).catch((error: unknown) => error);
      const waiting = [handle.wait(), handle.wait(), ending(), stack.client.job(handle.id).wait()];
      leaving.abort(new RangeError('left'));
      expect(await left).toBeInstanceOf(RangeError);
      const pixels = await sentPixels(job);
      for (const result of [...(await Promise.all(waiting)), await stack.client.job(handle.id).wait()]) {
        expect(await Promise.all(artifactsOf(result).map((file) => pixelHash(decodeArtifact(file))))).toEqual([
          pixels,
          pixels,
        ]);
      }
    },
    timeout,
  );

  it(
    'is gone with its client, and says so',
    async () => {
      const stack = await stackForThisTest();
      const [first] = artifactsOf(await (await stack.client.submit(await noiseJob(side, 2))).wait());
      await stack.client.close();
      if (!first) throw new Error('two files were sent');
      expect(() => decodeArtifact(first)).toThrow(expect.objectContaining({ code: 'RESULT_NOT_SAVED' }));
      await expect(saveArtifacts([first], { folder: await folderForThisTest() })).rejects.toMatchObject({
        code: 'RESULT_NOT_SAVED',
      });
    },
    timeout,
  );
});

describe('a result in chunks, where the processes of a machine share a folder', () => {
  async function twoClients() {
    const folder = await folderForThisTest();
    const stack = await stackForThisTest();
    const open = () => {
      const client = createClient({ ...stack.clientOptions, resultsFolder: folder });
      onTestFinished(() => client.close());
      return client;
    };
    return { folder, open };
  }

  it(
    'that one process has read and not saved is there for the next one, until it is saved',
    async () => {
      const { folder, open } = await twoClients();
      const job = await noiseJob(side, 2);
      const first = open();
      const { id } = await first.submit(job);
      artifactsOf(await first.job(id).wait());
      await first.close();
      const artifacts = artifactsOf(await open().job(id).wait());
      const pixels = await sentPixels(job);
      expect(await Promise.all(artifacts.map((file) => pixelHash(decodeArtifact(file))))).toEqual([pixels, pixels]);
      expect(await filesBelow(folder)).toHaveLength(2);
      await saveArtifacts(artifacts, { folder: await folderForThisTest() });
      expect(await readdir(folder)).toEqual([]);
    },
    timeout,
  );

  it(
    'is whole for each of two processes that wait for it at once',
    async () => {
      const { open } = await twoClients();
      const job = await noiseJob(side, 2);
      const { id } = await open().submit(job);
      const pixels = await sentPixels(job);
      const results = await Promise.all([open().job(id).wait(), open().job(id).wait()]);
      for (const result of results) {
        expect(await Promise.all(artifactsOf(result).map((file) => pixelHash(decodeArtifact(file))))).toEqual([
          pixels,
          pixels,
        ]);
      }
    },
    timeout,
  );

  it('whose answer is arriving when the wait is left is read to the end of that answer, and finished later', async () => {
    const folder = await folderForThisTest();
    const sent = streamedResult(3 * MiB);
    const gate = Promise.withResolvers<void>();
    const { baseUrl, server } = await serveStreamedResult(sent, (index) => (index < 2 ? undefined : gate.promise));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const open = () => {
      const client = createClient({ apiKey: 'k', endpointId: 'ep', baseUrl, resultsFolder: folder });
      onTestFinished(() => client.close());
      return client;
    };
    const client = open();
    const leaving = new AbortController();
    const wait = client
      .job('j')
      .wait({ signal: leaving.signal })
      .catch((error: unknown) => error);
    await until(async () => (await filesBelow(folder)).length > 0);
    leaving.abort(new RangeError('left'));
    expect(await wait).toBeInstanceOf(RangeError);
    const closed = client.close();
    gate.resolve();
    await closed;
    const [artifact] = artifactsOf(await open().job('j').wait());
    if (!artifact) throw new Error('one file was sent');
    expect(createHash('sha256').update(decodeArtifact(artifact)).digest('hex')).toBe(sent.artifact.sha256);
  });
});

describe('an answer of /stream', () => {
  const harmless: readonly (readonly [string, FaultRuleInput])[] = [
    ['is reset before it was made', { route: 'stream', when: { nth: 1 }, do: { kind: 'reset' } }],
    [
      'is refused with 502',
      { route: 'stream', when: { from: 1, to: 2 }, do: { kind: 'answer', status: 502, text: 'x' } },
    ],
  ];
  it.each(harmless)(
    'that %s is asked for again, and nothing is lost',
    async (_how, fault) => {
      const stack = await stackForThisTest({ platformFaults: [fault] });
      const job = await noiseJob(side, 2);
      const artifacts = artifactsOf(await (await stack.client.submit(job)).wait());
      const pixels = await sentPixels(job);
      expect(await Promise.all(artifacts.map((file) => pixelHash(decodeArtifact(file))))).toEqual([pixels, pixels]);
    },
    timeout,
  );

  const cuts: readonly (readonly [string, FaultRuleInput])[] = [
    ['in the middle', { route: 'stream', when: { nth: 1 }, do: { kind: 'truncate' } }],
    ['after one byte', { route: 'stream', when: { nth: 1 }, do: { kind: 'truncate', bytes: 1 } }],
    ['before it began', { route: 'stream', when: { nth: 1 }, do: { kind: 'drop', at: 'after' } }],
  ];
  it.each(cuts)(
    'that is cut off %s is read on; what was in it and did not arrive is named, and the job is no success',
    async (_where, fault) => {
      const stack = await stackForThisTest({ platformFaults: [fault] });
      const handle = await stack.client.submit(await noiseJob(side, 2));
      const result = await handle.wait();
      expect(result).toMatchObject({
        kind: 'failed',
        error: { code: 'RESULT_CORRUPT', details: { interruptions: 1, damaged: 0 } },
      });
      if (result.kind !== 'failed') return;
      expect(result.error.message).toMatch(/^Chunk \d+ of \d+ of output \d of node 3 is missing .* broke off/);
      expect(result.error.nextStep).toContain('bucket');
      expect(stack.emulator.inspect.requestsSeen('stream').length).toBeGreaterThan(1);
      expect(await filesBelow(stack.comfy[0]?.directories.output ?? '')).toEqual([]);
    },
    timeout,
  );
});

describe('temporary files of results', () => {
  it('that a killed process left are removed by a later one, and those of a living one are not', async () => {
    const base = await folderForThisTest();
    const old = new Date(Date.now() - 2 * 86_400_000);
    // A process id that no machine gives out.
    const dead = path.join(base, 'comfy-runpod-results-2147483646-abcdef');
    const living = path.join(base, `comfy-runpod-results-${process.pid}-abcdef`);
    for (const folder of [dead, living]) {
      await mkdir(folder);
      await utimes(folder, old, old);
    }
    const spool = new ResultSpool({ base });
    const file = await spool.folderOf('job');
    expect((await readdir(base)).toSorted()).toEqual(
      [path.basename(living), path.basename(path.dirname(file))].toSorted(),
    );
    await spool.close();
    await spool.close();
    expect(await readdir(base)).toEqual([path.basename(living)]);
    await expect(spool.folderOf('job')).rejects.toMatchObject({ code: 'RESULT_NOT_SAVED' });
  });

  it('that are shared go after a day in which nobody touched them', async () => {
    const shared = await folderForThisTest();
    const old = new Date(Date.now() - 2 * 86_400_000);
    const spool = new ResultSpool({ shared });
    const [forgotten, fresh] = [await spool.folderOf('forgotten'), await spool.folderOf('fresh')];
    await writeFile(path.join(forgotten, 'piece.0'), 'x');
    await utimes(forgotten, old, old);
    await clearAbandonedResults(shared);
    expect(await readdir(shared)).toEqual([path.basename(fresh)]);
    await spool.close();
    expect(await readdir(shared)).toEqual([path.basename(fresh)]);
  });
});
