// The input files of one job, wherever they come from.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InputFile } from '../../../shared/index.ts';
import { HeldInputs, JobInputs, type JobInputsOptions } from '../../../worker/inputs/index.ts';
import { wipeFile } from '../../../worker/workspace/wipe-file.ts';
import { FileServers, pngBytes } from '../../support/file-servers.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const servers = new FileServers();
const png = pngBytes(2_000);
const fetchPolicy = { allowPrivate: 'loopback' } as const;

let root = '';
let clock: ManualClock;
let store: HeldInputs;
let requests: string[] = [];
let base = '';

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'inputs-'));
  clock = new ManualClock();
  requests = [];
  store = new HeldInputs({
    folder: path.join(root, 'own'),
    prefix: 'own/',
    wipe: (file) => wipeFile(file, 0),
    logger: silent,
    clock,
  });
  const server = await servers.http((request, response) => {
    requests.push(request.url ?? '');
    if (request.url === '/missing') response.writeHead(404).end();
    else if (request.url === '/slow') response.write(png);
    else response.end(png);
  });
  base = `http://127.0.0.1:${server.port}`;
});

afterEach(async () => {
  await store.close();
  await servers.closeAll();
  await rm(root, { recursive: true, force: true });
});

function job(options: Partial<JobInputsOptions> = {}): JobInputs {
  return new JobInputs({ store, fetch: fetchPolicy, ...options });
}

function resolve(inputs: JobInputs, files: readonly InputFile[], signal = AbortSignal.timeout(20_000)) {
  return inputs.resolve(files, new Set(files.map((file) => file.name)), signal);
}

const sent = (name: string): InputFile => ({ name, data: png.toString('base64') });
const held = (name: string): InputFile => ({ name, sha256: sha(png), held: true });
const names = () => (existsSync(path.join(root, 'own')) ? readdirSync(path.join(root, 'own')) : []);

describe('a file given by its address', () => {
  it('lies where ComfyUI reads it, under a name made of its content, and is wiped with the job', async () => {
    const inputs = job();
    const { placed, inline } = await resolve(inputs, [{ name: 'my cat.PNG', url: `${base}/cat` }]);
    expect(inline).toEqual([]);
    expect(placed).toEqual([{ name: 'my cat.PNG', value: `own/${sha(png).slice(0, 32)}.png`, size: png.length }]);
    expect(readFileSync(path.join(root, placed[0]?.value ?? '')).equals(png)).toBe(true);
    await expect(inputs.release({ keep: false })).resolves.toEqual({ files: 1, bytes: png.length, held: 0, kept: [] });
    expect(names()).toEqual([]);
  });

  it('is fetched only when the graph uses it', async () => {
    const inputs = job();
    await inputs.resolve([{ name: 'a.png', url: `${base}/cat` }], new Set(), AbortSignal.timeout(5_000));
    expect(requests).toEqual([]);
  });

  it('is not fetched again while the worker holds a file of its hash', async () => {
    const files: InputFile[] = [{ name: 'a.png', url: `${base}/cat`, sha256: sha(png) }];
    for (let i = 0; i < 3; i++) {
      const inputs = job({ holdSeconds: 10 });
      expect((await resolve(inputs, files)).placed).toHaveLength(1);
      await expect(inputs.release({ keep: false })).resolves.toMatchObject({ files: 0, held: 1 });
    }
    expect(requests).toEqual(['/cat']);
    clock.advance(10_000);
    await expect.poll(names).toEqual([]);
  });

  it('that can not be had ends the other fetches of the job and leaves nothing behind', async () => {
    const inputs = job();
    const files: InputFile[] = [
      { name: 'a.png', url: `${base}/slow` },
      { name: 'b.png', url: `${base}/cat` },
      { name: 'c.png', url: `${base}/missing` },
    ];
    await expect(resolve(inputs, files)).rejects.toMatchObject({ code: 'INPUT_UNAVAILABLE', details: { status: 404 } });
    await inputs.release({ keep: false });
    expect(names()).toEqual([]);
  });

  it('is given up with the job', async () => {
    const inputs = job();
    const controller = new AbortController();
    const reason = new Error('cancelled');
    const resolved = resolve(inputs, [{ name: 'a.png', url: `${base}/slow` }], controller.signal);
    await expect.poll(() => requests).toEqual(['/slow']);
    controller.abort(reason);
    await expect(resolved).rejects.toBe(reason);
    await inputs.release({ keep: false });
    expect(names()).toEqual([]);
  });

  it('is refused on a private network unless the worker is told otherwise', async () => {
    const inputs = job({ fetch: {} });
    const files: InputFile[] = [{ name: 'a.png', url: 'https://10.0.0.1/a.png' }];
    await expect(resolve(inputs, files)).rejects.toMatchObject({ code: 'INPUT_URL_REFUSED' });
  });

  it('is handed on in memory where the worker shares no disk with ComfyUI', async () => {
    const inputs = job({ store: undefined });
    const { placed, inline } = await resolve(inputs, [{ name: 'a.png', url: `${base}/cat` }]);
    expect(placed).toEqual([]);
    expect(inline).toEqual([{ name: 'a.png', data: png.toString('base64'), sha256: sha(png) }]);
  });
});

describe('a file that an earlier job asked to hold', () => {
  it('needs no bytes in later jobs', async () => {
    const first = job({ holdSeconds: 60 });
    const before = await resolve(first, [sent('a.png')]);
    expect(before.inline).toEqual([]);
    await first.release({ keep: false });
    const second = job();
    const after = await resolve(second, [held('other.png')]);
    expect(after.placed[0]?.value).toBe(before.placed[0]?.value);
    expect(readFileSync(path.join(root, after.placed[0]?.value ?? '')).equals(png)).toBe(true);
    await expect(second.release({ keep: false })).resolves.toEqual({ files: 0, bytes: 0, held: 1, kept: [] });
  });

  it('and is not there any more is a miss that names every such file, before anything is fetched', async () => {
    const first = job({ holdSeconds: 60 });
    await resolve(first, [sent('a.png')]);
    await first.release({ keep: false });
    const inputs = job();
    const files: InputFile[] = [
      { name: 'x.png', url: `${base}/cat` },
      held('a.png'),
      { name: 'b.png', sha256: 'b'.repeat(64), held: true },
      { name: 'c.png', sha256: 'c'.repeat(64), held: true },
    ];
    await expect(resolve(inputs, files)).rejects.toMatchObject({
      code: 'INPUT_NOT_HELD',
      details: { missing: 2 },
      issues: [
        { field: 'files.2', message: 'not held' },
        { field: 'files.3', message: 'not held' },
      ],
    });
    expect(requests).toEqual([]);
    await expect(inputs.release({ keep: false })).resolves.toMatchObject({ held: 1 });
  });

  it('is always a miss where the worker can hold nothing, and asking it to hold is answered with a warning', async () => {
    await expect(resolve(job({ store: undefined }), [held('a.png')])).rejects.toMatchObject({ code: 'INPUT_NOT_HELD' });
    const asking = await resolve(job({ store: undefined, holdSeconds: 5 }), [sent('a.png')]);
    expect(asking.inline).toHaveLength(1);
    expect(asking.warnings).toHaveLength(1);
  });
});

describe('a file that is sent', () => {
  it('without asking to hold it is left to the workspace', async () => {
    const { placed, inline } = await resolve(job(), [sent('a.png')]);
    expect(placed).toEqual([]);
    expect(inline).toEqual([sent('a.png')]);
    expect(names()).toEqual([]);
  });

  it('to be held, with another hash than it has, or no bytes, is refused', async () => {
    const wrong: InputFile = { name: 'a.png', data: png.toString('base64'), sha256: 'a'.repeat(64) };
    await expect(resolve(job({ holdSeconds: 5 }), [wrong])).rejects.toMatchObject({ code: 'FILE_HASH_MISMATCH' });
    const empty: InputFile = { name: 'a.png', data: '' };
    await expect(resolve(job({ holdSeconds: 5 }), [empty])).rejects.toMatchObject({ code: 'FILE_EMPTY' });
    expect(names()).toEqual([]);
  });

  it('by a job that asks to keep its files stays until the worker ends, and is told', async () => {
    const inputs = job({ holdSeconds: 1 });
    const { placed } = await resolve(inputs, [sent('a.png')]);
    const report = await inputs.release({ keep: true });
    expect(report).toEqual({ files: 0, bytes: 0, held: 0, kept: [`input/${placed[0]?.value}`] });
    clock.advance(60_000);
    expect(names()).toHaveLength(1);
    await store.close();
    expect(existsSync(path.join(root, 'own'))).toBe(false);
  });
});
