/**
 * Writes the files of a result. Invariants: S1 every byte is verified before a file gets its name. S2 nothing is ever overwritten. S3 all or
 * nothing: a failure leaves neither files nor folders that this call made. S4 no path leaves the folder, also through links in it. S5 files
 * are readable by their owner only.
 */
import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readdir, realpath, rename, rmdir, stat, unlink } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { type Artifact, ComfyRunpodError, isComfyRunpodError, ResourceStack } from '../../shared/index.ts';
import { isIntact } from '../files/is-intact.ts';
import { isProcessAlive } from '../ledger/process-alive.ts';
import { downloadArtifact } from '../receiving/download-artifact.ts';
import { type ReceivedFile, receivedFileOf } from '../receiving/received-file.ts';
import { decodeArtifact } from './decode-artifact.ts';
import { numberedName, safeResultPath } from './safe-result-path.ts';

/** A file that was written. */
export interface SavedFile {
  /** Absolute path. */
  readonly path: string;
  readonly artifact: Artifact;
}

/** Options of {@link saveArtifacts}. */
export interface SaveOptions {
  /** Absolute path; made when missing. */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  /**
   * The same result may have been saved before, by a process that was killed: a file with the same name and bytes is taken for it instead of
   * being written a second time, and what such a process left half written is removed.
   */
  readonly again?: SavedBefore | undefined;
}

/** Which files may be taken for the result's own. */
export interface SavedBefore {
  /** Only those written before this moment, milliseconds since 1970: nothing that is being saved just now. */
  readonly before: number;
  /** Not these: they belong to other jobs. */
  readonly taken: ReadonlySet<string>;
}

const highestNumber = 10_000;

interface Staged {
  readonly artifact: Artifact;
  readonly temporary: string;
  readonly folder: string;
  readonly name: string;
}

/**
 * True for an artifact that {@link saveArtifacts} can fetch; others lie on the endpoint's network volume or where the job sent them.
 */
export function isFetchable({ delivery }: Artifact): boolean {
  return delivery.via === 'inline' || delivery.via === 'url';
}

/** Saves every artifact that can be fetched from here ({@link isFetchable}). Throws `RESULT_CORRUPT` or `RESULT_NOT_SAVED`, or the signal's reason; then nothing was saved. */
export async function saveArtifacts(artifacts: readonly Artifact[], options: SaveOptions): Promise<SavedFile[]> {
  if (artifacts.length === 0) return [];
  const undo = new ResourceStack();
  try {
    const root = await makeFolder(resolve(options.folder), undo);
    const staged: Staged[] = [];
    for (const artifact of artifacts.filter(isFetchable)) {
      options.signal?.throwIfAborted();
      staged.push(await stage(artifact, root, undo, options.signal));
    }
    const saved: SavedFile[] = [];
    const mine = new Set<string>();
    for (const file of staged) {
      const there = options.again ? await findSaved(file, mine, options.again) : undefined;
      const path = there ?? (await publish(file));
      mine.add(path);
      if (there === undefined) undo.defer(() => ignoreMissing(unlink(path)));
      saved.push({ path, artifact: file.artifact });
    }
    if (options.again) await Promise.all([...new Set(staged.map(({ folder }) => folder))].map(removeLeftovers));
    await Promise.all(staged.map((file) => ignoreMissing(unlink(file.temporary))));
    for (const { path, artifact } of saved) await receivedFileOf(artifact.delivery)?.savedAt(path);
    return saved;
  } catch (error) {
    // What can't be removed is not worth hiding the first error for.
    await undo.close().catch(() => undefined);
    if (options.signal?.aborted || isComfyRunpodError(error)) throw error;
    throw notSaved(error);
  }
}

function notSaved(error: unknown): ComfyRunpodError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const reasons: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
    EACCES: 'the folder may not be written to',
    EPERM: 'the folder may not be written to',
    EROFS: 'the disk is read-only',
    ENOTDIR: 'the output folder, or a part of its path, is a file',
    EEXIST: 'the output folder, or a part of its path, is a file',
  };
  return new ComfyRunpodError('RESULT_NOT_SAVED', `The result could not be saved: ${reasons[code] ?? code}.`, {
    cause: error,
    details: { cause: code },
  });
}

/** Makes the folder and answers its real path; folders that were made are removed again by `undo`, deepest first, while empty. */
async function makeFolder(folder: string, undo: ResourceStack): Promise<string> {
  const first = await mkdir(folder, { recursive: true });
  if (first !== undefined) {
    const made: string[] = [];
    for (let at = folder; at.length >= first.length; at = dirname(at)) made.unshift(at);
    for (const path of made) undo.defer(() => ignoreMissing(rmdir(path)));
  }
  return realpath(folder);
}

/** Verifies one artifact and writes it under a temporary name beside its final place. */
async function stage(
  artifact: Artifact,
  root: string,
  undo: ResourceStack,
  signal: AbortSignal | undefined,
): Promise<Staged> {
  const { delivery } = artifact;
  const received = receivedFileOf(delivery);
  const bytes = received || delivery.via === 'url' ? undefined : decodeArtifact(artifact);
  const safe = safeResultPath(artifact.subfolder, artifact.name, `output-${artifact.index}.bin`);
  const folder = await makeFolder(join(root, ...safe.folders), undo);
  if (folder !== root && !folder.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new ComfyRunpodError('RESULT_NOT_SAVED', 'A sub-folder of the output folder is a link that leads out of it.');
  }
  const temporary = join(folder, `.comfy-runpod-${process.pid}-${randomUUID()}.tmp`);
  undo.defer(() => ignoreMissing(unlink(temporary)));
  if (received) await placeReceived(received, artifact, temporary);
  const file = await open(temporary, received ? 'r+' : 'wx', 0o600);
  try {
    if (bytes) await file.writeFile(bytes);
    else if (delivery.via === 'url') await downloadArtifact(artifact, delivery.url, file, signal);
    await file.sync();
  } finally {
    await file.close();
  }
  return { artifact, temporary, folder, name: safe.name };
}

/** Puts a file that came in chunks at `temporary`, without its bytes going through memory at once. Throws `RESULT_CORRUPT`. */
async function placeReceived(
  received: ReceivedFile,
  { node, index, sha256 }: Artifact,
  temporary: string,
): Promise<void> {
  await received.placeAt(temporary);
  await chmod(temporary, 0o600);
  if (await isIntact({ path: temporary, sha256 })) return;
  const name = node.slice(0, 60);
  throw new ComfyRunpodError('RESULT_CORRUPT', `Output ${index} of node ${name} was changed after it arrived.`, {
    details: { node: name, index },
  });
}

/** Gives a staged file its name without ever replacing another: the first free of `a.png`, `a (1).png`, ... */
async function publish({ temporary, folder, name }: Staged): Promise<string> {
  for (let count = 0; count < highestNumber; count++) {
    const path = join(folder, numberedName(name, count));
    try {
      await link(temporary, path);
      return path;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EEXIST') continue;
      if (await claimAndRename(temporary, path, code)) return path;
    }
  }
  throw new ComfyRunpodError(
    'RESULT_NOT_SAVED',
    'Every numbered name for a result is taken; choose another output folder.',
  );
}

/** The path under which the same bytes lie already, by the names that {@link publish} gives. `mine`: files of this result. */
async function findSaved(
  { artifact, folder, name }: Staged,
  mine: ReadonlySet<string>,
  { before, taken }: SavedBefore,
): Promise<string | undefined> {
  for (let count = 0; count < highestNumber; count++) {
    const path = join(folder, numberedName(name, count));
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) return undefined;
    if (mine.has(path) || taken.has(path) || found.mtimeMs >= before || found.size !== artifact.size) continue;
    if (await isIntact({ path, sha256: artifact.sha256 })) return path;
  }
  return undefined;
}

/** Removes the temporary files of processes that are gone. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    const owner = /^\.comfy-runpod-(\d+)-[0-9a-f-]{36}\.tmp$/.exec(entry)?.[1];
    if (owner !== undefined && !isProcessAlive(Number(owner))) await ignoreMissing(unlink(join(folder, entry)));
  }
}

/** For disks without hard links: takes the name with an empty file of ours, then renames over it. False when the name is taken. */
async function claimAndRename(temporary: string, path: string, code: unknown): Promise<boolean> {
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS') throw Object.assign(new Error('no room'), { code });
  try {
    await (await open(path, 'wx', 0o600)).close();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
  try {
    await rename(temporary, path);
  } catch (error) {
    await ignoreMissing(unlink(path));
    throw error;
  }
  return true;
}

async function ignoreMissing(step: Promise<void>): Promise<void> {
  try {
    await step;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    // Another job may have put a file into a folder that we made.
    if (code !== 'ENOENT' && code !== 'ENOTEMPTY') throw error;
  }
}
