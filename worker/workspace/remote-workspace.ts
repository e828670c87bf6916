/**
 * Workspace of a ComfyUI elsewhere: files travel over HTTP, and nothing can be wiped, because ComfyUI has no way to delete a file (ComfyUI
 * protocol notes §5.4 rows 10 to 12). The report says so.
 */
import { ComfyRunpodError, delay, limits } from '../../shared/index.ts';
import { decodeSentFile } from './decode-sent-file.ts';
import { releaseFolderName, takeFolderName } from './folder-names.ts';
import { safeEntryPath } from './safe-entry.ts';
import type { JobFiles, LocatedFile, NamedFile, SentFile, StagedFile, WipeReport, Workspace } from './types.ts';

/** How files travel. A connection of worker/comfy fits. */
export interface RemoteTransfer {
  upload(file: { filename: string; subfolder: string; bytes: Buffer }, signal: AbortSignal): Promise<NamedFile>;
  size(file: NamedFile, signal: AbortSignal): Promise<number | undefined>;
  download(file: NamedFile, maxBytes: number, signal: AbortSignal): Promise<Buffer>;
}

/** A workspace over this transfer. */
export function createRemoteWorkspace(transfer: RemoteTransfer): Workspace {
  const inputFolder = takeFolderName();
  return {
    prepare: () => Promise.resolve(),
    openJob: () => new RemoteJobFiles(transfer, inputFolder),
    sweep: () => Promise.resolve(0),
    close: () => Promise.resolve(releaseFolderName(inputFolder)),
  };
}

class RemoteJobFiles implements JobFiles {
  folder = takeFolderName();
  readonly stagesAhead = false;
  readonly #transfer: RemoteTransfer;
  readonly #inputFolder: string;
  readonly #folders = [this.folder];
  readonly #uploaded: string[] = [];

  constructor(transfer: RemoteTransfer, inputFolder: string) {
    this.#transfer = transfer;
    this.#inputFolder = inputFolder;
  }

  renewFolder(): string {
    this.folder = takeFolderName();
    this.#folders.push(this.folder);
    return this.folder;
  }

  async stage(files: readonly SentFile[], signal: AbortSignal): Promise<readonly StagedFile[]> {
    const staged: StagedFile[] = [];
    for (const file of files) {
      const { bytes, contentName } = decodeSentFile(file);
      const upload = { filename: contentName, subfolder: this.#inputFolder, bytes };
      const put = await this.#transfer.upload(upload, signal);
      // ComfyUI may have chosen another name: its answer counts, not what was asked for (§1.8).
      const value = put.subfolder === '' ? put.filename : `${put.subfolder}/${put.filename}`;
      this.#uploaded.push(`input/${value}`);
      const size = await this.#transfer.size(put, signal);
      if (size !== bytes.length) {
        throw new ComfyRunpodError(
          'WORKSPACE_FAILED',
          `An uploaded file has ${size ?? 0} of ${bytes.length} bytes at ComfyUI.`,
        );
      }
      staged.push({ name: file.name, value, size: bytes.length });
    }
    return staged;
  }

  async locate(file: NamedFile, signal: AbortSignal): Promise<LocatedFile> {
    safeEntryPath(file);
    const giveUpAt = Date.now() + limits.outputSettleMs;
    for (;;) {
      const size = await this.#transfer.size(file, signal);
      if (size !== undefined && size > 0) {
        return { size, read: (readSignal) => this.#read(file, size, readSignal) };
      }
      if (Date.now() >= giveUpAt) {
        const what = size === 0 ? 'is empty' : 'does not exist';
        throw new ComfyRunpodError('OUTPUT_MISSING', `A file that ComfyUI named ${what}.`);
      }
      await delay(100, signal);
    }
  }

  wipe(named: readonly NamedFile[]): Promise<WipeReport> {
    for (const folder of this.#folders) releaseFolderName(folder);
    const outputs = named.map((file) => [file.type, file.subfolder, file.filename].filter(Boolean).join('/'));
    return Promise.resolve({ mode: 'remote', files: 0, bytes: 0, kept: [...new Set([...this.#uploaded, ...outputs])] });
  }

  async #read(file: NamedFile, size: number, signal: AbortSignal): Promise<Buffer> {
    const bytes = await this.#transfer.download(file, size, signal);
    if (bytes.length !== size) {
      throw new ComfyRunpodError('OUTPUT_MISSING', `A file arrived with ${bytes.length} of ${size} bytes.`);
    }
    return bytes;
  }
}
