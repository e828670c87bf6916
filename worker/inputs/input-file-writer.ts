/** Writes an input file under a name that did not exist, in pieces, and makes sure that all of it is there. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { diskError } from './input-errors.ts';

const exclusive = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;

/** A file that is being written, readable by the owner only. */
export class InputFileWriter implements AsyncDisposable {
  readonly #handle: FileHandle;
  #written = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Creates the file. Throws `WORKSPACE_FAILED`. */
  static async create(path: string): Promise<InputFileWriter> {
    return new InputFileWriter(
      await open(path, exclusive, 0o600).catch((error: unknown) => Promise.reject(diskError(error))),
    );
  }

  /** Appends. Throws `WORKSPACE_FULL` or `WORKSPACE_FAILED`. */
  async write(chunk: Uint8Array): Promise<void> {
    try {
      for (let position = 0; position < chunk.byteLength; ) {
        const { bytesWritten } = await this.#handle.write(chunk, position, chunk.byteLength - position, this.#written);
        position += bytesWritten;
        this.#written += bytesWritten;
      }
    } catch (error) {
      throw diskError(error);
    }
  }

  /** Flushes and answers the size. Throws when it is not what was written. */
  async finish(): Promise<number> {
    try {
      await this.#handle.sync();
      const { size } = await this.#handle.stat();
      if (size !== this.#written) throw new Error('short file');
      return size;
    } catch (error) {
      throw diskError(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
