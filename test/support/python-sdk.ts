// Runs programs with RunPod's official Python SDK, and always ends them: by their own pid, with everything they started.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterThisTest } from './runpod-emulator.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A Python that has the SDK, or why there is none. */
export type PythonSdk = { readonly python: string; readonly version: string } | { readonly missing: string };

/** Looks at $COMFY_RUNPOD_PYTHON, else at .venv. Does not install anything: scripts/python-sdk.sh does. */
export function findPythonSdk(): PythonSdk {
  const missing = 'no Python with runpod>=1.12, run scripts/python-sdk.sh';
  const python = process.env['COMFY_RUNPOD_PYTHON'] ?? `${ROOT}.venv/bin/python`;
  if (!existsSync(python)) return { missing };
  const probe = spawnSync(python, ['-c', 'from importlib.metadata import version; print(version("runpod"))'], {
    encoding: 'utf8',
  });
  const version = probe.stdout?.trim() ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return probe.status === 0 && major === 1 && minor >= 12 ? { python, version } : { missing };
}

/** A Python program under way. */
export interface PythonProgram {
  readonly child: ChildProcess;
  /** Everything it wrote so far, both streams. */
  readonly output: () => string;
  /** Standard output only. */
  readonly stdout: () => string;
  /** Resolves with the exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** Starts `test/fixtures/runpod-python/<name>`; it is killed after the test if it still runs. */
export function startPython(
  python: string,
  name: string,
  args: readonly string[],
  env: Record<string, string>,
): PythonProgram {
  const child = spawn(python, ['-u', `${ROOT}test/fixtures/runpod-python/${name}`, ...args], {
    // A group of its own: the SDK's heartbeat is a second process that outlives the first when that is killed.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: `${ROOT}test/fixtures`, PYTHONDONTWRITEBYTECODE: '1', ...env },
  });
  let [stdout, output] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = once(child, 'close').then(() => child.exitCode);
  afterThisTest(async () => {
    endGroup(child.pid);
    await ended;
  });
  return { child, output: () => output, stdout: () => stdout, ended };
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
