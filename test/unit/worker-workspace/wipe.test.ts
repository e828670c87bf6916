// The wipe: bytes are gone, not only names, and nothing but the job's own files is touched.
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSharedWorkspace, type SharedDirectories } from '../../../worker/workspace/index.ts';
import { wipeFile } from '../../../worker/workspace/wipe-file.ts';
import { WipeTally } from '../../../worker/workspace/wipe-tree.ts';

let root = '';
let folders: SharedDirectories;
const secret = Buffer.alloc(5 * 1024 * 1024 + 17, 'secret ');
const now = () => Date.now() - 2_000;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'wipe-'));
  folders = { input: path.join(root, 'input'), output: path.join(root, 'output'), temp: path.join(root, 'temp') };
  for (const folder of Object.values(folders)) mkdirSync(folder);
});

afterEach(() => rm(root, { recursive: true, force: true }));

describe('wiping a file', () => {
  it('overwrites the bytes themselves: whoever still holds the file open reads zeros', async () => {
    const file = path.join(root, 'a.bin');
    writeFileSync(file, secret);
    const held = openSync(file, 'r');
    await expect(wipeFile(file, now())).resolves.toEqual({ kind: 'wiped', bytes: secret.length });
    const after = Buffer.alloc(secret.length, 1);
    const read = readSync(held, after, 0, after.length, 0);
    closeSync(held);
    expect(read).toBe(secret.length);
    expect(after.every((byte) => byte === 0)).toBe(true);
    expect(readdirSync(root)).not.toContain('a.bin');
  });

  it('overwrites the bytes also under a second name that was given to them during the job', async () => {
    writeFileSync(path.join(root, 'a.bin'), 'secret');
    linkSync(path.join(root, 'a.bin'), path.join(root, 'copy.bin'));
    await wipeFile(path.join(root, 'a.bin'), now());
    expect(readFileSync(path.join(root, 'copy.bin'))).toEqual(Buffer.alloc(6));
  });

  it('leaves the content of an older file alone that was linked into the job', async () => {
    const model = path.join(root, 'model.bin');
    writeFileSync(model, 'weights');
    utimesSync(model, 1_000, 1_000);
    linkSync(model, path.join(root, 'linked.bin'));
    await expect(wipeFile(path.join(root, 'linked.bin'), now())).resolves.toMatchObject({ kind: 'unlinked' });
    expect(readFileSync(model, 'utf8')).toBe('weights');
  });

  it('unlinks a symbolic link and leaves what it points to', async () => {
    const target = path.join(root, 'target.bin');
    writeFileSync(target, 'not ours');
    symlinkSync(target, path.join(root, 'link.bin'));
    await expect(wipeFile(path.join(root, 'link.bin'), now())).resolves.toMatchObject({ kind: 'unlinked' });
    expect(readFileSync(target, 'utf8')).toBe('not ours');
  });

  it('is content when the file is gone already', async () => {
    await expect(wipeFile(path.join(root, 'none'), now())).resolves.toEqual({ kind: 'absent', bytes: 0 });
  });
});

describe('wiping a folder', () => {
  it('goes into sub-folders but not through links, and counts', async () => {
    const elsewhere = path.join(root, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(path.join(elsewhere, 'keep.bin'), 'not ours');
    const job = path.join(root, 'job');
    mkdirSync(path.join(job, 'a/b'), { recursive: true });
    writeFileSync(path.join(job, 'a/b/c.bin'), 'secret');
    writeFileSync(path.join(job, 'd.bin'), 'secret');
    symlinkSync(elsewhere, path.join(job, 'tunnel'));
    const tally = new WipeTally();
    await tally.tree(job, 'output/job', now());
    expect({ files: tally.files, bytes: tally.bytes, kept: tally.kept }).toEqual({ files: 3, bytes: 12, kept: [] });
    expect(readFileSync(path.join(elsewhere, 'keep.bin'), 'utf8')).toBe('not ours');
    expect(readdirSync(root)).not.toContain('job');
  });

  it('unlinks a link in place of the folder itself', async () => {
    const elsewhere = path.join(root, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(path.join(elsewhere, 'keep.bin'), 'not ours');
    symlinkSync(elsewhere, path.join(root, 'job'));
    await new WipeTally().tree(path.join(root, 'job'), 'output/job', now());
    expect(readFileSync(path.join(elsewhere, 'keep.bin'), 'utf8')).toBe('not ours');
    expect(readdirSync(root)).not.toContain('job');
  });
});

describe('the workspace', () => {
  const data = Buffer.from('picture').toString('base64');
  const signal = new AbortController().signal;

  it('gives equal files one name and different ones two, and the name tells nothing of the caller', async () => {
    const job = createSharedWorkspace(folders).openJob();
    const other = Buffer.from('other').toString('base64');
    const sent = [
      { name: 'holiday/me.PNG', data },
      { name: 'again.png', data },
      { name: 'me.jpg', data: other },
    ];
    const [first, second, third] = await job.stage(sent, signal);
    expect(first?.value).toBe(second?.value);
    expect(first?.value).toMatch(/^cr-\d+-[0-9a-f]{16}\/[0-9a-f]{32}\.png$/);
    expect(third?.value).toMatch(/\.jpg$/);
    await expect(job.wipe([], { keep: false })).resolves.toMatchObject({ files: 2, bytes: 12, kept: [] });
  });

  it('a file that one job wipes while the next one brings it again is there for the next one', async () => {
    const workspace = createSharedWorkspace(folders, { exclusive: true });
    const picture = { name: 'a.png', data: secret.subarray(0, 600_000).toString('base64') };
    let last = workspace.openJob();
    await last.stage([picture], signal);
    for (let round = 0; round < 40; round++) {
      const next = workspace.openJob();
      const wiping = last.wipe([], { keep: false });
      for (let turn = 0; turn < round % 20; turn++) await setImmediate();
      const [staged] = await next.stage([picture], signal);
      await expect(wiping).resolves.toMatchObject({ kept: [], verified: true });
      expect(readFileSync(path.join(folders.input, staged?.value ?? '')).equals(secret.subarray(0, 600_000))).toBe(
        true,
      );
      last = next;
    }
    await last.wipe([], { keep: false });
    await workspace.close();
    expect(readdirSync(folders.input)).toEqual([]);
  });

  it('wipes a named file outside the folder of the job only when it was made during the job', async () => {
    const old = path.join(folders.temp, 'old.png');
    writeFileSync(old, 'old');
    // The time of change can't be set back, so the job is opened later than its slack.
    const workspace = createSharedWorkspace(folders);
    const realNow = Date.now;
    Date.now = () => realNow() + 60_000;
    const job = workspace.openJob();
    Date.now = realNow;
    const named = [{ filename: 'old.png', subfolder: '', type: 'temp' as const }];
    await expect(job.wipe(named, { keep: false })).resolves.toMatchObject({ files: 0, kept: [] });
    expect(readFileSync(old, 'utf8')).toBe('old');
  });

  it('refuses names that lead out of the folders or through links', async () => {
    const job = createSharedWorkspace(folders).openJob();
    writeFileSync(path.join(root, 'secret.txt'), 'secret');
    symlinkSync(root, path.join(folders.output, 'tunnel'));
    symlinkSync(path.join(root, 'secret.txt'), path.join(folders.output, 'alias.txt'));
    const bad = [
      { filename: 'secret.txt', subfolder: '..' },
      { filename: '../secret.txt', subfolder: '' },
      { filename: 'secret.txt', subfolder: 'tunnel' },
      { filename: 'alias.txt', subfolder: '' },
      { filename: 'secret.txt', subfolder: root },
      { filename: '', subfolder: '' },
    ];
    for (const file of bad) {
      await expect(job.locate({ ...file, type: 'output' }, signal)).rejects.toMatchObject({ code: 'OUTPUT_UNSAFE' });
    }
    const named = bad.map((file) => ({ ...file, type: 'output' as const }));
    await job.wipe(named, { keep: false });
    expect(readFileSync(path.join(root, 'secret.txt'), 'utf8')).toBe('secret');
  });

  it('does not write through a link in place of its own folder', async () => {
    const workspace = createSharedWorkspace(folders);
    const elsewhere = path.join(root, 'elsewhere');
    mkdirSync(elsewhere);
    const [probe] = await workspace.openJob().stage([{ name: 'a.png', data }], signal);
    const own = probe?.value.split('/')[0] ?? '';
    await rm(path.join(folders.input, own), { recursive: true });
    symlinkSync(elsewhere, path.join(folders.input, own));
    const other = Buffer.from('other').toString('base64');
    const staging = workspace.openJob().stage([{ name: 'b.png', data: other }], signal);
    await expect(staging).rejects.toMatchObject({ code: 'WORKSPACE_FAILED' });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  it('sweeps what a dead worker left and nothing else', async () => {
    const workspace = createSharedWorkspace(folders);
    const job = workspace.openJob();
    const left = ['cr-999999999-0123456789abcdef', job.folder, 'cr-1-2-final', 'mine'];
    for (const name of left) {
      mkdirSync(path.join(folders.output, name));
      writeFileSync(path.join(folders.output, name, 'a.png'), 'x');
    }
    await expect(workspace.sweep()).resolves.toBe(1);
    expect(readdirSync(folders.output).toSorted()).toEqual([job.folder, 'cr-1-2-final', 'mine'].toSorted());
  });
});
