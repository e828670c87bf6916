/**
 * Keeps two workers from writing one part file where they share a disk. The one that comes second downloads under a name of its own; whoever
 * ends first gives the model its name, and the other's renaming changes nothing.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';

/** A held lock. */
export interface PartLock {
  /** What the part may be called. */
  readonly identity: string;
  /** False: somebody else has it, and the part under this identity is for this download only. */
  readonly held: boolean;
  /** Idempotent. */
  release(): Promise<void>;
}

/** A holder that has not given a sign for so long is gone. */
const staleMs = 60_000;
const signMs = 15_000;

/** Locks the part of a source. Never waits. */
export async function lockPart(folder: string, identity: string): Promise<PartLock> {
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, `${createHash('sha256').update(identity).digest('hex').slice(0, 32)}.lock`);
  if (await isAbandoned(file)) await rm(file, { force: true });
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(`${hostname()} ${process.pid} ${thisProcess}`).finally(() => handle.close());
  } catch {
    return { identity: `${identity} ${randomUUID()}`, held: false, release: () => Promise.resolve() };
  }
  const timer = setInterval(() => {
    const now = new Date();
    utimes(file, now, now).catch(() => undefined);
  }, signMs);
  timer.unref();
  let released: Promise<void> | undefined;
  const release = () => {
    clearInterval(timer);
    released ??= rm(file, { force: true });
    return released;
  };
  return { identity, held: true, release };
}

/** Tells this process from an earlier one with the same id: process ids begin anew with every start of a container. */
const thisProcess = randomUUID();

/** True for the lock of a holder that is gone. */
async function isAbandoned(file: string): Promise<boolean> {
  const held = await stat(file).catch(() => undefined);
  if (held === undefined) return false;
  if (Date.now() - held.mtimeMs > staleMs) return true;
  const [host, pid, token] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
  if (host !== hostname() || token === undefined) return false;
  return Number(pid) === process.pid ? token !== thisProcess : !isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
