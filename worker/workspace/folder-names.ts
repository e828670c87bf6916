/**
 * Names of the folders that the worker makes inside ComfyUI's: `cr-<pid>-<16 hex digits>`. Strict enough never to be taken for a
 * caller's folder, and telling whether the process that made it still lives.
 */
import { randomBytes } from 'node:crypto';

const pattern = /^cr-(\d{1,10})-[0-9a-f]{16}$/;

/** Folders that jobs of this process use now. Process-wide, because several workspaces may share one disk. */
const live = new Set<string>();

/** Makes a new name and marks it as in use. */
export function takeFolderName(): string {
  const name = `cr-${process.pid}-${randomBytes(8).toString('hex')}`;
  live.add(name);
  return name;
}

/** The folder is not in use any more. */
export function releaseFolderName(name: string): void {
  live.delete(name);
}

/** True for the name of a folder that some worker made. */
export function isWorkerFolder(name: string): boolean {
  return pattern.test(name);
}

/** True for a folder that a worker made and nobody uses any more. */
export function isLeftover(name: string): boolean {
  const pid = Number(pattern.exec(name)?.[1]);
  if (!Number.isSafeInteger(pid) || live.has(name)) return false;
  return pid === process.pid || !isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
