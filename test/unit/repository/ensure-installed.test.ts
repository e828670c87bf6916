/** What `npm test` and the others do first: install where that is needed, and only into a folder of this checkout. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';

const script = path.join(import.meta.dirname, '../../../scripts/ensure-installed.mjs');
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** A checkout, and a program in place of npm that leaves a mark. */
async function checkout(): Promise<{ root: string; run(): { status: number | null; installed: boolean } }> {
  const root = await mkdtemp(path.join(tmpdir(), 'checkout-'));
  folders.push(root);
  for (const name of ['scripts', 'bin', 'elsewhere']) await mkdir(path.join(root, name));
  await copyFile(script, path.join(root, 'scripts/ensure-installed.mjs'));
  await writeFile(path.join(root, 'package-lock.json'), '{}');
  await writeFile(path.join(root, 'bin/npm'), `#!/bin/sh\ntouch ${path.join(root, 'installed')}\n`);
  await chmod(path.join(root, 'bin/npm'), 0o755);
  const env = { PATH: `${path.join(root, 'bin')}:${process.env['PATH']}` };
  return {
    root,
    run: () => {
      const { status } = spawnSync(process.execPath, ['scripts/ensure-installed.mjs'], { cwd: root, env });
      return { status, installed: existsSync(path.join(root, 'installed')) };
    },
  };
}

/** Notes an installation that is older than the lock file. */
async function installedBefore(folder: string): Promise<void> {
  await writeFile(path.join(folder, '.package-lock.json'), '{}');
  await utimes(path.join(folder, '.package-lock.json'), 1, 1);
}

describe('the installation before a script', () => {
  it('is made where there is none, and where the lock file is newer', async () => {
    const { root, run } = await checkout();
    expect(run()).toEqual({ status: 0, installed: true });
    await rm(path.join(root, 'installed'));
    await mkdir(path.join(root, 'node_modules'));
    await installedBefore(path.join(root, 'node_modules'));
    expect(run()).toEqual({ status: 0, installed: true });
  });

  it('is left alone where node_modules is a link, whose target npm would empty', async () => {
    const { root, run } = await checkout();
    await symlink(path.join(root, 'elsewhere'), path.join(root, 'node_modules'));
    expect(run()).toEqual({ status: 1, installed: false });
    await installedBefore(path.join(root, 'elsewhere'));
    expect(run()).toEqual({ status: 0, installed: false });
  });
});
