/**
 * Room for downloads. What counts against MODELS_SPACE_LIMIT is what was downloaded and what is on its way, each with its whole size; what counts
 * against the disk is what has yet to be written. Parts that nobody goes on with leave first, then the models that were used least lately.
 */
import { ComfyRunpodError } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { sweepParts } from './download/sweep-parts.ts';
import type { ModelIndex } from './model-index.ts';
import { freeBytes } from './model-places.ts';

/** A download that needs room. */
export interface SpaceClaim {
  /** Below the models folder. */
  readonly file: string;
  readonly label: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes that have yet to be written, as it is now. */
  readonly missing: () => number;
}

/** Where and how room is made. */
export interface RoomOptions {
  /** The models folder. */
  readonly folder: string;
  /** Folder of files on their way. */
  readonly partFolder: string;
  readonly limitBytes: number | undefined;
  /** Files, below the models folder, that have to stay. */
  readonly keep: ReadonlySet<string>;
  readonly logger: Logger;
}

/** Bytes that a download leaves free on its disk. */
const reserveBytes = 64 * 1024 * 1024;

/** Parts that nobody has touched for so long go when the disk is full; a download never pauses that long. */
const idlePartMs = 60 * 60 * 1_000;

/** See the banner. */
export class ModelRoom {
  readonly #options: RoomOptions;
  readonly #index: ModelIndex;
  readonly #claims = new Map<string, SpaceClaim>();
  #turn: Promise<void> = Promise.resolve();

  constructor(options: RoomOptions, index: ModelIndex) {
    this.#options = options;
    this.#index = index;
  }

  /** Makes room for a download, which counts until it is released; one after the other. Throws `MODEL_SPACE`. */
  claim(claim: SpaceClaim): Promise<void> {
    const mine = this.#turn.then(() => this.#make(claim));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** The download of that file has ended, either way. */
  release(file: string): void {
    this.#claims.delete(file);
  }

  async #make(claim: SpaceClaim): Promise<void> {
    const { partFolder, keep, logger } = this.#options;
    // One that is begun anew claims again.
    this.#claims.set(claim.file, claim);
    try {
      if ((await this.#overDisk()) > 0) await sweepParts(partFolder, idlePartMs);
      const [overDisk, overLimit] = [await this.#overDisk(), this.#overLimit()];
      const needed = Math.max(overDisk, overLimit);
      if (needed <= 0) return;
      const evicted = await this.#index.evict(needed, keep);
      if (evicted.files.length > 0) {
        logger.info(
          { count: evicted.files.length, bytes: evicted.bytes },
          'Models that were not used lately make room',
        );
      }
      if (evicted.bytes < needed) throw noSpace(claim, overLimit > overDisk);
    } catch (error) {
      this.#claims.delete(claim.file);
      throw error;
    }
  }

  async #overDisk(): Promise<number> {
    const missing = [...this.#claims.values()].reduce((sum, claim) => sum + claim.missing(), 0);
    return missing + reserveBytes - (await freeBytes(this.#options.folder));
  }

  #overLimit(): number {
    const { limitBytes } = this.#options;
    if (limitBytes === undefined) return 0;
    // A file that is on its way anew takes the place of the one that is there.
    const sizes = this.#index.sizes();
    for (const { file, size } of this.#claims.values()) sizes.set(file, size);
    return [...sizes.values()].reduce((sum, size) => sum + size, 0) - limitBytes;
  }
}

function noSpace({ label, missing }: SpaceClaim, limited: boolean): ComfyRunpodError {
  const why = limited ? 'MODELS_SPACE_LIMIT leaves no room for it' : 'the disk has no room for it';
  const bytes = missing();
  return new ComfyRunpodError('MODEL_SPACE', `Model ${label} takes ${bytes} more bytes: ${why}.`, {
    details: { model: label, bytes },
  });
}
