/** Chooses the folder for the workspace of a ComfyUI that the worker starts: the RAM disk when it is big enough, else a private folder on disk. */
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { makeFolder } from './make-folder.ts';

/** Plain Docker gives a RAM disk of 64 MiB, which a few pictures fill. */
const minimumBytes = 256 * 1024 * 1024;

/** Folders inside a workspace root; `temp` is where the files are. */
export interface RootDirectories {
  readonly input: string;
  readonly output: string;
  readonly temp: string;
  readonly user: string;
}

/** A chosen root. `warning` says why it is not the preferred one. */
export interface WorkspaceRoot {
  readonly root: string;
  readonly freeBytes: number;
  readonly directories: RootDirectories;
  readonly warning?: string;
}

/** Folders of a root. */
export function rootDirectories(root: string): RootDirectories {
  const inside = (name: string) => path.join(root, name);
  return { input: inside('input'), output: inside('output'), temp: inside('temp'), user: inside('user') };
}

/** Makes and measures the root. Falls back to the system's temporary folder when `preferred` can't be used or is too small. */
export async function chooseWorkspaceRoot(preferred: string): Promise<WorkspaceRoot> {
  const first = await measure(preferred);
  if (first !== undefined && first >= minimumBytes) {
    return { root: preferred, freeBytes: first, directories: rootDirectories(preferred) };
  }
  const fallback = path.join(tmpdir(), 'comfy-runpod');
  const second = await measure(fallback);
  if (second === undefined || (first !== undefined && second <= first)) {
    const warning = 'The workspace is small; give the container more shared memory (--shm-size).';
    return { root: preferred, freeBytes: first ?? 0, directories: rootDirectories(preferred), warning };
  }
  const why = first === undefined ? 'can not be used' : `has only ${Math.floor(first / 2 ** 20)} MiB free`;
  return {
    root: fallback,
    freeBytes: second,
    directories: rootDirectories(fallback),
    warning: `WORKSPACE_DIR ${why}; files of jobs go to a disk folder instead.`,
  };
}

/** Free bytes of a folder that can be used, or undefined. */
async function measure(folder: string): Promise<number | undefined> {
  try {
    await makeFolder(folder, 0o700);
    const stats = await statfs(folder);
    return stats.bavail * stats.bsize;
  } catch {
    return undefined;
  }
}
