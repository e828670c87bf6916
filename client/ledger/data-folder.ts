/** Where the ledger lies: the folder that the system has for the data of programs, or the one that is named. */
import { homedir } from 'node:os';
import path from 'node:path';
import type { Environment } from '../config.ts';

/** `COMFY_RUNPOD_DATA_DIR`, else `comfy-runpod` in the user's data folder (XDG_DATA_HOME, Application Support, LOCALAPPDATA). */
export function userDataFolder(environment: Environment): string {
  const named = environment['COMFY_RUNPOD_DATA_DIR']?.trim();
  if (named !== undefined && named !== '') return path.resolve(named);
  const home = environment['HOME'] || homedir();
  const base =
    environment['XDG_DATA_HOME'] ||
    (process.platform === 'win32' ? environment['LOCALAPPDATA'] : undefined) ||
    path.join(home, process.platform === 'darwin' ? 'Library/Application Support' : '.local/share');
  return path.join(base, 'comfy-runpod');
}
