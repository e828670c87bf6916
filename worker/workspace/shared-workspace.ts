/**
 * Workspace on a disk that the worker shares with ComfyUI.
 *
 * 1. Inputs lie under names made from their content, in a folder of this workspace; outputs in a folder of the job.
 * 2. Nothing is wiped that a job did not make: its own folders, what ComfyUI named for it, and nothing older than the job.
 * 3. Links are neither followed when reading nor when wiping.
 */
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { base64DecodedLength, ComfyRunpodError, delay, limits } from '../../shared/index.ts';
import { decodeSentFile } from './decode-sent-file.ts';
import { isLeftover, releaseFolderName, takeFolderName } from './folder-names.ts';
import { InputStore } from './input-store.ts';
import { safeEntryPath } from './safe-entry.ts';
import { StrayFiles, type StrayLook } from './stray-files.ts';
import type { JobFiles, LocatedFile, NamedFile, SentFile, StagedFile, WipeReport, Workspace } from './types.ts';
import { absentIsUndefined } from './wipe-file.ts';
import { WipeTally } from './wipe-tree.ts';
import { workspaceError } from './write-durably.ts';

/** ComfyUI's folders as the worker sees them. */
export interface SharedDirectories {
  readonly input: string;
  readonly output: string;
  /** The one that holds the files, usually ending in `/temp`. */
  readonly temp: string;
}

/** Space kept free for ComfyUI's own files. */
const reserveBytes = 16 * 1024 * 1024;
/** Clocks of file systems tick coarsely. */
const clockSlackMs = 2_000;

/** A workspace on these folders. `exclusive`: nobody but this worker writes there, so stray files may be wiped. */
export function createSharedWorkspace(
  directories: SharedDirectories,
  options: { readonly exclusive?: boolean } = {},
): Workspace {
  const strays = new StrayFiles({ ...directories }, options.exclusive === true);
  const inputs = new InputStore(directories.input);
  return {
    async prepare() {
      try {
        for (const folder of Object.values(directories)) await mkdir(folder, { recursive: true });
      } catch (error) {
        throw workspaceError(error);
      }
    },
    openJob: () => new SharedJobFiles(directories, inputs, strays),
    sweep: () => sweep(directories),
    close: () => inputs.close(),
  };
}

async function sweep(directories: SharedDirectories): Promise<number> {
  const tally = new WipeTally();
  for (const type of ['input', 'output'] as const) {
    const names = await readdir(directories[type]).catch(() => []);
    for (const name of names.filter(isLeftover)) {
      await tally.tree(path.join(directories[type], name), `${type}/${name}`, 0).catch(() => undefined);
    }
  }
  return tally.files;
}

class SharedJobFiles implements JobFiles {
  folder = takeFolderName();
  readonly stagesAhead = true;
  readonly #directories: SharedDirectories;
  readonly #inputs: InputStore;
  readonly #openedAt = Date.now() - clockSlackMs;
  readonly #folders = [this.folder];
  readonly #staged: string[] = [];
  readonly #strays: StrayLook;
  #wiped: Promise<WipeReport> | undefined;

  constructor(directories: SharedDirectories, inputs: InputStore, strays: StrayFiles) {
    this.#strays = strays.begin(this.#openedAt);
    this.#directories = directories;
    this.#inputs = inputs;
  }

  renewFolder(): string {
    this.folder = takeFolderName();
    this.#folders.push(this.folder);
    return this.folder;
  }

  async stage(files: readonly SentFile[], signal: AbortSignal): Promise<readonly StagedFile[]> {
    if (files.length === 0) return [];
    const total = files.reduce((sum, file) => sum + base64DecodedLength(file.data), 0);
    await this.#inputs.assertSpace(total + reserveBytes);
    const staged: StagedFile[] = [];
    for (const file of files) {
      signal.throwIfAborted();
      const decoded = decodeSentFile(file);
      const value = await this.#inputs.hold(decoded);
      this.#staged.push(value);
      staged.push({ name: file.name, value, size: decoded.bytes.length });
    }
    return staged;
  }

  async locate(file: NamedFile, signal: AbortSignal): Promise<LocatedFile> {
    const absolute = await this.#resolve(file);
    const giveUpAt = Date.now() + limits.outputSettleMs;
    for (;;) {
      const size = await sizeOf(absolute);
      if (size !== undefined && size > 0) {
        return {
          size,
          read: (readSignal) => readPart(absolute, size, 0, size, readSignal),
          readRange: (position, length, readSignal) => readPart(absolute, size, position, length, readSignal),
        };
      }
      if (Date.now() >= giveUpAt) {
        const what = size === 0 ? 'is empty' : 'does not exist';
        throw new ComfyRunpodError('OUTPUT_MISSING', `A file that ComfyUI named ${what}.`);
      }
      await delay(50, signal);
    }
  }

  wipe(named: readonly NamedFile[], options: { readonly keep: boolean }): Promise<WipeReport> {
    this.#wiped ??= options.keep ? this.#keep(named) : this.#wipe(named);
    return this.#wiped;
  }

  async #wipe(named: readonly NamedFile[]): Promise<WipeReport> {
    const tally = new WipeTally();
    // Named files first: those outside the job's folders are wiped only when they were made during the job. Those inside go with the folders.
    for (const file of named) if (!this.#isInOwnFolder(file)) await this.#wipeNamed(file, tally);
    for (const folder of this.#folders) {
      const absolute = path.join(this.#directories.output, folder);
      await tally.tree(absolute, `output/${folder}`, this.#openedAt).catch(() => tally.kept.push(`output/${folder}/`));
      releaseFolderName(folder);
    }
    for (const value of this.#staged) await this.#inputs.release(value, tally);
    const unattributed = await this.#strays.end(tally, false).catch(() => 0);
    const { files, bytes, kept } = tally;
    const verified = kept.length === 0 && (await this.#isGone(named));
    return { mode: 'wiped', files, bytes, kept, verified, ...(unattributed > 0 && { unattributed }) };
  }

  #isInOwnFolder({ type, subfolder }: NamedFile): boolean {
    return type === 'output' && this.#folders.includes(subfolder);
  }

  /** Reads back: folders and named files of the job are not there any more. What was in a folder that is gone is gone, too. */
  async #isGone(named: readonly NamedFile[]): Promise<boolean> {
    const paths = this.#folders.map((folder) => path.join(this.#directories.output, folder));
    for (const file of named.filter((other) => other.type !== 'input' && !this.#isInOwnFolder(other))) {
      const absolute = await this.#resolve(file).catch(() => undefined);
      if (absolute !== undefined) paths.push(absolute);
    }
    for (const absolute of paths) {
      const stats = await lstat(absolute).catch(absentIsUndefined);
      // Older than the job: it was there before and is not the job's.
      if (stats && stats.ctimeMs >= this.#openedAt) return false;
    }
    return true;
  }

  async #wipeNamed(file: NamedFile, tally: WipeTally): Promise<void> {
    // Inputs that a node names are ours (released below) or somebody else's.
    if (file.type === 'input') return;
    let absolute: string;
    try {
      absolute = await this.#resolve(file);
      const stats = await lstat(absolute).catch(absentIsUndefined);
      if (!stats || stats.isDirectory() || stats.ctimeMs < this.#openedAt) return;
    } catch {
      return;
    }
    await tally.file(absolute, `${file.type}/${file.subfolder}/${file.filename}`, this.#openedAt);
  }

  /** Debugging: everything stays where it is until a later worker sweeps. */
  async #keep(named: readonly NamedFile[]): Promise<WipeReport> {
    const kept = [
      ...this.#staged.map((value) => `input/${value}`),
      ...named.map((file) => [file.type, file.subfolder, file.filename].filter(Boolean).join('/')),
    ];
    await this.#strays.end(new WipeTally(), true).catch(() => 0);
    return { mode: 'debug', files: 0, bytes: 0, kept: [...new Set(kept)] };
  }

  /** Absolute path of a named file, when no part of it is a link that leads elsewhere. */
  async #resolve(file: NamedFile): Promise<string> {
    const relative = safeEntryPath(file);
    const base = await realpath(this.#directories[file.type]).catch((error: unknown) => {
      throw workspaceError(error);
    });
    const absolute = path.join(base, relative);
    const parent = await realpath(path.dirname(absolute)).catch(absentIsUndefined);
    if (parent !== undefined && parent !== path.dirname(absolute)) {
      throw new ComfyRunpodError('OUTPUT_UNSAFE', 'A node named a file behind a symbolic link.');
    }
    return absolute;
  }
}

/** Size of a plain file, undefined when there is none. Throws `OUTPUT_UNSAFE` for a link or anything else. */
async function sizeOf(absolute: string): Promise<number | undefined> {
  const stats = await lstat(absolute).catch(absentIsUndefined);
  if (!stats) return undefined;
  if (!stats.isFile()) throw new ComfyRunpodError('OUTPUT_UNSAFE', 'A node named something that is not a plain file.');
  return stats.size;
}

/** Reads a part of a file that must still have `size` bytes. */
async function readPart(
  absolute: string,
  size: number,
  from: number,
  length: number,
  signal: AbortSignal,
): Promise<Buffer> {
  signal.throwIfAborted();
  const handle = await open(absolute, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw new ComfyRunpodError('OUTPUT_MISSING', 'A file that ComfyUI named can not be read.', { cause: error });
  });
  try {
    const bytes = Buffer.allocUnsafeSlow(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await handle.read(bytes, done, length - done, from + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    if (done !== length || (await handle.stat()).size !== size) {
      throw new ComfyRunpodError('OUTPUT_MISSING', 'A file that ComfyUI named changed while it was read.');
    }
    return bytes;
  } finally {
    await handle.close();
  }
}
