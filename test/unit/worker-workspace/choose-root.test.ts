// Where the worker keeps the files of jobs when the folder that its owner named can't be used.
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { chooseWorkspaceRoot } from '../../../worker/workspace/index.ts';

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'comfy-runpod-root-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe('WORKSPACE_DIR', () => {
  it('is made with the folders above it, for the worker alone', async () => {
    const wanted = path.join(await emptyFolder(), 'a', 'b');
    expect(await chooseWorkspaceRoot(wanted)).toMatchObject({ root: wanted });
    expect((await stat(wanted)).mode & 0o777).toBe(0o700);
    expect(await chooseWorkspaceRoot(wanted)).toMatchObject({ root: wanted });
  });

  it('that can not be made is replaced by a folder on disk, with a warning, on every file system', async () => {
    const folder = await emptyFolder();
    await writeFile(path.join(folder, 'file'), '');
    // /proc refuses folders as if the one above were missing.
    for (const wanted of [path.join(folder, 'file', 'x'), '/proc/comfy-runpod/x']) {
      const chosen = await chooseWorkspaceRoot(wanted);
      expect(chosen).toMatchObject({ root: path.join(tmpdir(), 'comfy-runpod') });
      expect(chosen.warning).toContain('WORKSPACE_DIR can not be used');
    }
  });
});
