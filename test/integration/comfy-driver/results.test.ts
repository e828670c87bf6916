// What comes back: statements D43 to D49 of the ComfyUI protocol notes §7.1, and what the job runner adds to them.
import { createHash } from 'node:crypto';
import { readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  completed,
  emptyPicture,
  failureOf,
  loadedPicture,
  pictureThrough,
  startDriverBench,
  tinyPng,
} from '../../support/driver-bench.ts';
import { inlineData } from '../../support/inline-data.ts';
import { noiseJob } from '../../support/large-results.ts';
import { until } from '../../support/runpod-emulator.ts';

const both = ['shared', 'remote'] as const;

describe('results', () => {
  it.each(['unexpected-key', 'bare-entries', 'extra-fields'] as const)(
    'D43 collects files whatever their entry looks like: %s',
    async (shape) => {
      const bench = await startDriverBench({ standIn: { faults: [{ kind: 'odd-outputs', shape, times: 'always' }] } });
      const result = await bench.run({ workflow: emptyPicture() });
      // Entries without a sub-folder point outside the job's folder, where no file is: that must not pass as success either.
      if (shape === 'bare-entries') expect(failureOf(result).code).toBe('OUTPUT_MISSING');
      else expect(completed(result).artifacts).toMatchObject([{ name: 'pic_00001_.png', contentType: 'image/png' }]);
    },
  );

  it('D44 returns previews only when asked, and text as values', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...emptyPicture(),
      '10': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
      '11': { class_type: 'PreviewAny', inputs: { source: 'hello' } },
    };
    const plain = completed(await bench.run({ workflow }));
    expect(plain.artifacts.map(({ node }) => node)).toEqual(['9']);
    expect(plain.values).toEqual([{ node: '11', classType: 'PreviewAny', key: 'text', value: ['hello'] }]);
    const withPreviews = completed(await bench.run({ workflow, outputs: { temp: true } }));
    expect(withPreviews.artifacts.map(({ node, type }) => [node, type])).toEqual([
      ['9', 'output'],
      ['10', 'temp'],
    ]);
    const chosen = completed(await bench.run({ workflow, outputs: { nodes: ['11'] } }));
    expect(chosen.artifacts).toEqual([]);
    expect(chosen.values).toHaveLength(1);
  });

  it('D44 says how to get previews when there is nothing else', async () => {
    const bench = await startDriverBench();
    const workflow = { ...emptyPicture(), '9': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } } };
    const error = failureOf(await bench.run({ workflow }));
    expect(error.code).toBe('OUTPUT_NONE');
    expect(error.nextStep).toContain('outputs.temp');
  });

  it.each(both)('D45 refuses an entry that leaves the folder: %s', async (workspace) => {
    const odd = { kind: 'odd-outputs', shape: 'escaping-paths', times: 'always' } as const;
    const bench = await startDriverBench({ workspace, standIn: { faults: [odd] } });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('OUTPUT_UNSAFE');
    expect(bench.proxy.seen.filter(({ path }) => path.includes('..'))).toEqual([]);
  });

  it.each([null, 0])(
    'D46 runs once more, in another folder, when a named file is not there (%s bytes left)',
    async (keepBytes) => {
      const bench = await startDriverBench();
      bench.standIn.faults.arm({ kind: 'lost-output-files', keepBytes });
      const { artifacts, receipt } = completed(await bench.run({ workflow: emptyPicture() }));
      expect(artifacts).toHaveLength(1);
      expect(receipt.retries).toBe(1);
      const prefixes = bench.proxy
        .prompts()
        .map((body) => JSON.stringify(body['prompt']).match(/cr-\d+-[0-9a-f]+/)?.[0]);
      expect(new Set(prefixes).size).toBe(2);
    },
  );

  it('D46 fails when the file is not there the second time either', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'lost-output-files', times: 'always' });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('OUTPUT_MISSING');
    expect(bench.proxy.prompts()).toHaveLength(2);
  });

  it('D46 gives the same graph twice its files twice, savers and previews alike', async () => {
    const bench = await startDriverBench();
    const workflow = { ...emptyPicture(), '10': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } } };
    for (let i = 0; i < 3; i++) {
      const { artifacts, receipt } = completed(await bench.run({ workflow, outputs: { temp: true } }));
      expect(artifacts).toHaveLength(2);
      expect(receipt.retries).toBe(0);
      if (i > 0) expect(receipt.cached).toEqual(['1']);
    }
  });

  it('D47 returns what was made before a node failed, beside the error', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...pictureThrough('SandboxSleep', { steps: 5, step_ms: 20 }),
      '6': {
        class_type: 'SandboxFail',
        inputs: { message: 'failed on purpose', exception_type: 'ValueError', value: ['5', 0] },
      },
      '9': { class_type: 'SaveImage', inputs: { images: ['6', 0], filename_prefix: 'never' } },
      '10': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'early' } },
    };
    const result = await bench.run({ workflow });
    const error = failureOf(result);
    expect(error.code).toBe('NODE_FAILED');
    expect(error.issues[0]).toMatchObject({ node: '6', classType: 'SandboxFail' });
    expect(result.envelope).toMatchObject({ status: 'partial', artifacts: [{ node: '10', name: 'early_00001_.png' }] });
  });

  /** Two early files, one of which is a link before the run is over, or missing where there are limits; then a node that is given what to do. */
  async function runWithBadFile(last: Record<string, { class_type: string; inputs: object }>, limits?: object) {
    const bench = await startDriverBench();
    const early = (filename_prefix: string) => ({
      class_type: 'SaveImage',
      inputs: { images: ['1', 0], filename_prefix },
    });
    const workflow = {
      ...pictureThrough('SandboxSleep', { steps: 25, step_ms: 20 }),
      ...last,
      '10': early('kept'),
      '11': early('gone'),
    };
    const running = bench.run({ workflow, ...(limits && { limits }) });
    const { output } = bench.standIn.directories;
    const find = async () => (await readdir(output, { recursive: true })).find((name) => name.includes('gone'));
    await until(async () => (await find()) !== undefined);
    const file = join(output, (await find()) ?? '');
    await rm(file);
    if (!limits) await symlink('/dev/null', file);
    return running;
  }

  const previewOf = (node: string) => ({ '12': { class_type: 'PreviewAny', inputs: { source: [node, 0] } } });

  it('D47 returns the files that are there when another one can not be had, beside the error', async () => {
    const result = await runWithBadFile({});
    expect(failureOf(result).code).toBe('OUTPUT_UNSAFE');
    expect(result.envelope).toMatchObject({ status: 'partial', artifacts: [{ node: '9' }, { node: '10' }] });
    expect(result.envelope?.receipt.warnings).toEqual([{ node: '11', message: 'A file of node 11 could not be had.' }]);
  });

  const failing = { message: 'failed on purpose', exception_type: 'ValueError', value: ['5', 0] };

  it('D47 also when the time of the job ends while its files are collected', async () => {
    // The run takes half of it, and a missing file is waited for a second.
    const result = await runWithBadFile({}, { executionMs: 1_000 });
    expect(failureOf(result).code).toBe('DEADLINE_EXCEEDED');
    expect(result.envelope?.artifacts).toEqual(expect.arrayContaining([expect.objectContaining({ node: '10' })]));
  });

  it('D47 also when a node failed', async () => {
    const result = await runWithBadFile({ '9': { class_type: 'SandboxFail', inputs: failing }, ...previewOf('9') });
    expect(failureOf(result).code).toBe('NODE_FAILED');
    expect(result.envelope).toMatchObject({ status: 'partial', artifacts: [{ node: '10' }] });
  });

  it('D47 says so when what was made before a node failed is too large to come with the error', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...pictureThrough('SandboxSleep', { steps: 5, step_ms: 20 }),
      '9': { class_type: 'SandboxFail', inputs: failing },
      ...previewOf('9'),
      '10': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'early' } },
    };
    const result = await bench.run({ workflow }, { resultLimitBytes: 1_000 });
    expect(failureOf(result)).toMatchObject({ code: 'NODE_FAILED', details: { outputsLost: 'RESULT_TOO_LARGE' } });
    expect(failureOf(result).issues[0]).toMatchObject({ node: '9', classType: 'SandboxFail' });
    expect(result.envelope).toBeUndefined();
  });

  it('D48 asks for files over HTTP with encoded names, a type, and the folder apart from the name', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    const workflow = emptyPicture();
    workflow['9'] = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'a folder/ü & ?' } };
    const { artifacts, receipt } = completed(await bench.run({ workflow }));
    expect(artifacts).toMatchObject([{ name: 'ü & ?_00001_.png', subfolder: 'a folder' }]);
    expect(receipt.wipe.mode).toBe('remote');
    expect(receipt.wipe.kept.length).toBeGreaterThan(0);
    const asked = bench.proxy.seen.filter(({ path }) => path.startsWith('/view')).map(({ path }) => path);
    for (const path of asked) {
      expect(path).toMatch(
        /^\/view\?filename=%C3%BC%20%26%20%3F_00001_\.png&subfolder=cr-[^&]*%2Fa%20folder&type=output$/,
      );
    }
  });

  it('D48 a large file has the time that a slow network takes for it', async () => {
    const bench = await startDriverBench({ workspace: 'remote', timings: { requestMs: 1_000 } });
    // 64 KiB at a time: 300 KiB a second.
    bench.standIn.faults.arm({ kind: 'bad-view', slowMs: 200, times: 'always' });
    const { artifacts } = completed(await bench.run(await noiseJob(400, 1)));
    expect(artifacts).toHaveLength(1);
  });

  it('D49 judges a file by its bytes and not by the type that HTTP tells', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    bench.standIn.faults.arm({ kind: 'bad-view', contentType: 'application/octet-stream', times: 'always' });
    expect(completed(await bench.run({ workflow: emptyPicture() })).artifacts[0]?.contentType).toBe('image/png');
  });

  it('D46 D49 does not take a cut answer for a file', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    bench.standIn.faults.arm({ kind: 'bad-view', cutAfterBytes: 10, times: 'always' });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toMatch(/OUTPUT_MISSING|COMFY_UNREACHABLE/);
  });

  it('delivers bytes whose size and hash are the ones told, without text metadata', async () => {
    const bench = await startDriverBench();
    const files = [{ name: 'a.png', data: tinyPng }];
    const [stripped] = completed(await bench.run({ workflow: loadedPicture('a.png'), files })).artifacts;
    const bytes = Buffer.from(inlineData(stripped), 'base64');
    expect(stripped?.size).toBe(bytes.length);
    expect(stripped?.sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(stripped?.metadata).toBe('stripped');
    expect(bytes.includes('tEXt')).toBe(false);
    const kept = completed(await bench.run({ workflow: loadedPicture('a.png'), files, metadata: 'keep' })).artifacts[0];
    expect(kept?.metadata).toBe('kept');
    expect(Buffer.from(inlineData(kept), 'base64').includes('tEXt')).toBe(true);
  });

  it.each(both)('refuses a result over the limit before it reads a byte of it: %s', async (workspace) => {
    const bench = await startDriverBench({ workspace });
    const workflow = emptyPicture({ width: 256, height: 256, batch_size: 40 });
    const error = failureOf(await bench.run({ workflow }, { resultLimitBytes: 20_000 }));
    expect(error.code).toBe('RESULT_TOO_LARGE');
    expect(error.details).toMatchObject({ limitBytes: expect.any(Number) as number, files: 40 });
    expect(error.nextStep).toContain('smaller or fewer');
    expect(bench.proxy.seen.filter(({ method, path }) => method === 'GET' && path.startsWith('/view'))).toEqual([]);
  });

  it('tells the message of a node that failed, and neither the prompt nor the names on the worker', async () => {
    const bench = await startDriverBench();
    const label = 'a secret lighthouse on a stormy night';
    const message = `could not encode '${label}' for cr-1-0123456789abcdef/pic`;
    bench.standIn.faults.arm({ kind: 'node-error', classType: 'SandboxSleep', message });
    const workflow = pictureThrough('SandboxSleep', { steps: 1, step_ms: 1, label });
    const error = failureOf(await bench.run({ workflow }));
    expect(error.code).toBe('NODE_FAILED');
    expect(error.message).toContain('node 5 (SandboxSleep)');
    expect(error.message).toContain('RuntimeError: could not encode');
    expect(JSON.stringify([error.message, error.issues])).not.toContain('lighthouse');
  });
});
