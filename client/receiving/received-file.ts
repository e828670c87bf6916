/**
 * A file of a result that came in pieces and lies on this machine. In the envelope it looks like one that came in the answer: whoever reads its
 * `data` gets the bytes as base64 then and not before; saving takes the file itself, so that large results never are in memory.
 */
import { readFileSync } from 'node:fs';
import { copyFile, link, rmdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Artifact, ComfyRunpodError, type Delivery } from '../../shared/index.ts';

const received = new WeakMap<Delivery, ReceivedFile>();

/** The file behind a delivery, when it is one that was received. */
export function receivedFileOf(delivery: Delivery): ReceivedFile | undefined {
  return received.get(delivery);
}

/** Bytes on disk, verified when they came. */
export class ReceivedFile {
  readonly #node: string;
  readonly #index: number;
  #path: string;
  #saved = false;

  constructor(path: string, { node, index }: Artifact) {
    this.#path = path;
    this.#node = node.slice(0, 60);
    this.#index = index;
  }

  /** How the artifact came, with its bytes to be read on demand. */
  delivery(reason: string): Delivery {
    const read = () => this.read().toString('base64');
    const delivery: Delivery = {
      via: 'inline',
      get data() {
        return read();
      },
      reason,
    };
    received.set(delivery, this);
    return delivery;
  }

  /** All bytes at once. Throws `RESULT_NOT_SAVED` when the file is gone. */
  read(): Buffer {
    try {
      return readFileSync(this.#path);
    } catch (error) {
      throw this.#gone(error);
    }
  }

  /** Puts the file at `path`, where none may be. Throws `RESULT_NOT_SAVED` when it is gone, or the system's error. */
  async placeAt(path: string): Promise<void> {
    // A saved file is its owner's: a link to it would change with it.
    if (!this.#saved && (await link(this.#path, path).then(succeeded, failed))) return;
    try {
      await copyFile(this.#path, path);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw this.#gone(error);
      throw error;
    }
  }

  /** The bytes are at `path` for good: the temporary file is removed. Never throws. */
  async savedAt(path: string): Promise<void> {
    if (this.#saved) return;
    const temporary = this.#path;
    this.#path = path;
    this.#saved = true;
    await unlink(temporary).catch(() => undefined);
    // The folder of its job, where this was the last file in it.
    await rmdir(dirname(temporary)).catch(() => undefined);
  }

  #gone(cause: unknown): ComfyRunpodError {
    const where = this.#saved ? 'where it was saved' : 'among the temporary files';
    return new ComfyRunpodError(
      'RESULT_NOT_SAVED',
      `Output ${this.#index} of node ${this.#node} is no longer ${where}.`,
      { cause, nextStep: 'Save or read results before the client is closed, and before saved files are moved.' },
    );
  }
}

const succeeded = () => true;
const failed = () => false;
