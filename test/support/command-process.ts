// The command line as a process of its own, which a test can kill, and the ledger that it leaves.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Ledger, type LedgerRow, ledgerFile } from '../../client/index.ts';
import { afterThisTest } from './runpod-emulator.ts';

/** A started command. */
export interface CommandProcess {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Exit code, or null after a signal. */
  readonly ended: Promise<number | null>;
  /** Ends it at once, as a crash or a reboot does. */
  kill(): Promise<void>;
}

/** Starts `comfy-runpod ARGV`. Its standard input stays open. Killed after the test. */
export function spawnCommand(
  argv: readonly string[],
  world: { readonly folder: string; readonly environment: Readonly<Record<string, string>> },
): CommandProcess {
  const launcher = join(import.meta.dirname, '../../bin/comfy-runpod.js');
  const child = spawn(process.execPath, [launcher, ...argv], {
    cwd: world.folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: world.folder, ...world.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (piece: Buffer) => {
    stdout += piece.toString();
  });
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece.toString();
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  afterThisTest(kill);
  return { child, stdout: () => stdout, stderr: () => stderr, ended, kill };
}

/** The entries of the ledger in `folder`, oldest first; none where there is no ledger yet. */
export async function readLedger(folder: string): Promise<LedgerRow[]> {
  if (!existsSync(join(folder, ledgerFile))) return [];
  using ledger = await Ledger.open(folder);
  return ledger.list().toReversed();
}
