// How files of a job get to ComfyUI: statements D22 to D25 of the ComfyUI protocol notes §7.1.
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  completed,
  emptyPicture,
  failureOf,
  loadedPicture,
  startDriverBench,
  tinyPng,
} from '../../support/driver-bench.ts';

const file = { name: 'a.png', data: tinyPng };

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

describe('inputs', () => {
  it('D22 loads an upload under the name that ComfyUI answered', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    bench.standIn.faults.arm({ kind: 'upload-renamed', name: 'elsewhere.png' });
    completed(await bench.run({ workflow: loadedPicture('a.png'), files: [file] }));
    const posted = bench.proxy.prompts()[0]?.['prompt'] as Record<string, { inputs: Record<string, unknown> }>;
    expect(posted['1']?.inputs['image']).toMatch(/elsewhere\.png$/);
  });

  it('D23 refuses an empty file, one with a wrong hash, and an upload that arrived short', async () => {
    const bench = await startDriverBench({ workspace: 'remote' });
    const workflow = loadedPicture('a.png');
    const empty = await bench.run({ workflow, files: [{ name: 'a.png', data: '' }] });
    expect(failureOf(empty).code).toBe('FILE_EMPTY');
    const wrong = await bench.run({ workflow, files: [{ ...file, sha256: '0'.repeat(64) }] });
    expect(failureOf(wrong).code).toBe('FILE_HASH_MISMATCH');
    bench.standIn.faults.arm({ kind: 'upload-truncated' });
    expect(failureOf(await bench.run({ workflow, files: [file] })).code).toBe('WORKSPACE_FAILED');
    expect(bench.proxy.prompts()).toEqual([]);
  });

  it('D24 puts whole files there, for the owner only, before the prompt is posted', async () => {
    const bench = await startDriverBench();
    let modes: number[] = [];
    let sizes: number[] = [];
    const result = await bench.run(
      { workflow: loadedPicture('a.png'), files: [file] },
      {
        onProgress: (event) => {
          if (event.phase !== 'queued') return;
          const stats = filesIn(bench.standIn.directories.input).map((name) => statSync(name));
          modes = stats.map(({ mode }) => mode & 0o777);
          sizes = stats.map(({ size }) => size);
        },
      },
    );
    completed(result);
    expect(modes).toEqual([0o600]);
    expect(sizes).toEqual([Buffer.from(tinyPng, 'base64').length]);
  });

  it('D25 keeps a file that two jobs use until the last of them is done', async () => {
    const bench = await startDriverBench();
    const slow = {
      ...loadedPicture('a.png'),
      '5': { class_type: 'SandboxSleep', inputs: { steps: 20, step_ms: 20, value: ['1', 0] } },
      '9': { class_type: 'SaveImage', inputs: { images: ['5', 0], filename_prefix: 'slow' } },
    };
    const results = await Promise.all([
      bench.run({ workflow: loadedPicture('a.png'), files: [file] }),
      bench.run({ workflow: slow, files: [file] }),
      bench.run({ workflow: loadedPicture('other.png'), files: [{ ...file, name: 'other.png' }] }),
    ]);
    for (const result of results) expect(completed(result).artifacts).toHaveLength(1);
    expect(filesIn(bench.standIn.directories.input)).toEqual([]);
  });

  it('takes the file wherever the workflow names it, also with the mark of the input folder', async () => {
    const bench = await startDriverBench();
    for (const name of ['a.png', 'a.png [input]']) {
      expect(
        completed(await bench.run({ workflow: loadedPicture(name), files: [file] })).receipt.bytes.in,
      ).toBeGreaterThan(0);
    }
  });

  it('puts an injected file and an injected value into the nodes that they name', async () => {
    const bench = await startDriverBench();
    const injections = [
      { node: '1', input: 'image', file: 'a.png' },
      { node: '9', input: 'filename_prefix', value: 'injected' },
    ];
    const { artifacts } = completed(await bench.run({ workflow: loadedPicture('x.png'), files: [file], injections }));
    expect(artifacts[0]?.name).toBe('injected_00001_.png');
  });

  it('names a file that no input of the workflow names', async () => {
    const bench = await startDriverBench();
    const error = failureOf(await bench.run({ workflow: emptyPicture(), files: [file] }));
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toContain('"a.png"');
  });
});
