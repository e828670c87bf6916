/**
 * The input files of one job, wherever they come from: sent with it, fetched from an address, or held from an earlier job.
 *
 * 1. Files that are said to be held come first: a miss costs no download, and all misses are told at once.
 * 2. Everything leased here is given back by `release`, whatever failed before.
 * 3. Files that are sent and not to be held are not touched: staging them is the workspace's business.
 */
import { createHash } from 'node:crypto';
import { base64DecodedLength, ComfyRunpodError, type InputFile, limits, safeExtension } from '../../shared/index.ts';
import { type FetchedInput, type FetchPolicy, fetchInput } from './fetch-input.ts';
import type { HeldInputs, InputLease } from './held-inputs.ts';

/** What the inputs of a job are made with. */
export interface JobInputsOptions {
  /** Absent where the worker shares no disk with ComfyUI: then nothing can be held, and fetched files are read into memory. */
  readonly store?: HeldInputs | undefined;
  /** How addresses are fetched. Defaults: `limits`, public hosts only. */
  readonly fetch?: Partial<FetchPolicy>;
  /** How long the job wants its files held, seconds. */
  readonly holdSeconds?: number | undefined;
}

/** A file that lies where ComfyUI reads it. */
export interface PlacedInput {
  /** The caller's name. */
  readonly name: string;
  /** What a loader input must hold to read it. */
  readonly value: string;
  readonly size: number;
}

/** A file as base64, to be staged by the workspace. */
export interface InlineInput {
  readonly name: string;
  readonly data: string;
  readonly sha256?: string | undefined;
}

/** Where the files of a job are. */
export interface ResolvedInputs {
  readonly placed: readonly PlacedInput[];
  readonly inline: readonly InlineInput[];
  /** What was not done as asked; without user content. */
  readonly warnings: readonly string[];
}

/** What became of the job's leased files. */
export interface InputsReport {
  /** Wiped. */
  readonly files: number;
  readonly bytes: number;
  /** Left for later jobs, because this job or another one asked for it. */
  readonly held: number;
  /** Still there although they should not be, or because the job asked to keep its files: loader values. */
  readonly kept: readonly string[];
}

/** The inputs of one job. Its owner calls `release`. */
export class JobInputs {
  readonly #options: JobInputsOptions;
  readonly #leases: InputLease[] = [];
  #released: Promise<InputsReport> | undefined;

  constructor(options: JobInputsOptions) {
    this.#options = options;
  }

  /** Throws `INPUT_NOT_HELD` when a file that the job names by hash is not there now: no need to wait for ComfyUI to know that. */
  assertHeld(files: readonly InputFile[]): void {
    const { store } = this.#options;
    const missing = [...files.entries()].filter(([, file]) => 'held' in file && store?.has(file.sha256) !== true);
    if (missing.length > 0) throw notHeld(missing.map(([index]) => index));
  }

  /**
   * Gets the files whose names are in `used`. Throws `INPUT_NOT_HELD` with one issue per missing file, what {@link fetchInput} throws,
   * `FILE_EMPTY`, `FILE_HASH_MISMATCH`, `WORKSPACE_FULL`, `WORKSPACE_FAILED`, or the signal's reason.
   */
  async resolve(files: readonly InputFile[], used: ReadonlySet<string>, signal: AbortSignal): Promise<ResolvedInputs> {
    signal.throwIfAborted();
    const { store, holdSeconds } = this.#options;
    const placed = await this.#leaseHeld(files, used);
    const inline: InlineInput[] = [];
    const fetched: Extract<InputFile, { url: string }>[] = [];
    for (const file of files.filter(({ name }) => used.has(name))) {
      signal.throwIfAborted();
      if ('url' in file) fetched.push(file);
      else if ('data' in file && store && holdSeconds !== undefined) placed.push(await this.#store(store, file));
      else if ('data' in file) inline.push(file);
    }
    for (const result of await this.#fetchAll(fetched, signal)) {
      if ('value' in result) placed.push(result);
      else inline.push(result);
    }
    // Files that are held for later make room for those that the workspace is about to write.
    if (store && inline.length > 0 && store.stored.files > 0) {
      await store.makeRoom(inline.reduce((sum, file) => sum + base64DecodedLength(file.data), 0));
    }
    const warnings =
      store || holdSeconds === undefined ? [] : ['The worker shares no disk with ComfyUI, so it holds no input files.'];
    return { placed, inline, warnings };
  }

  /** Gives all files back; `keep` leaves them where they are until the worker ends. Never throws; twice is the same as once. */
  release(options: { readonly keep: boolean }): Promise<InputsReport> {
    this.#released ??= options.keep ? Promise.resolve(this.#keep()) : this.#release();
    return this.#released;
  }

  #keep(): InputsReport {
    return { files: 0, bytes: 0, held: 0, kept: this.#leases.map(({ value }) => `input/${value}`) };
  }

  async #release(): Promise<InputsReport> {
    let files = 0;
    let bytes = 0;
    let held = 0;
    const kept: string[] = [];
    for (const lease of this.#leases) {
      const end = await lease.release();
      if (end.kind === 'wiped' && end.bytes > 0) {
        files++;
        bytes += end.bytes;
      } else if (end.kind === 'held') held++;
      else if (end.kind === 'not-wiped') kept.push(`input/${lease.value}`);
    }
    return { files, bytes, held, kept };
  }

  async #leaseHeld(files: readonly InputFile[], used: ReadonlySet<string>): Promise<PlacedInput[]> {
    const placed: PlacedInput[] = [];
    const missing: number[] = [];
    for (const [index, file] of files.entries()) {
      if (!('held' in file) || !used.has(file.name)) continue;
      const lease = await this.#options.store?.lease(file.sha256, safeExtension(file.name));
      if (lease) placed.push(this.#place(file.name, lease));
      else missing.push(index);
    }
    if (missing.length > 0) throw notHeld(missing);
    return placed;
  }

  #place(name: string, lease: InputLease): PlacedInput {
    this.#leases.push(lease);
    const { holdSeconds } = this.#options;
    if (holdSeconds !== undefined) lease.keepFor(holdSeconds * 1_000);
    return { name, value: lease.value, size: lease.size };
  }

  async #store(store: HeldInputs, file: InlineInput): Promise<PlacedInput> {
    const bytes = Buffer.from(file.data, 'base64');
    if (bytes.length === 0) throw new ComfyRunpodError('FILE_EMPTY', 'A file of the job has no bytes.');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (file.sha256 !== undefined && file.sha256 !== sha256) {
      throw new ComfyRunpodError(
        'FILE_HASH_MISMATCH',
        'A file of the job does not have the SHA-256 that came with it.',
      );
    }
    return this.#place(file.name, await store.put(bytes, sha256, safeExtension(file.name)));
  }

  /** Fetches a few at a time. The first failure ends the others, and all of them have ended when this settles. */
  async #fetchAll(
    files: readonly Extract<InputFile, { url: string }>[],
    signal: AbortSignal,
  ): Promise<(PlacedInput | InlineInput)[]> {
    const first = new AbortController();
    const either = AbortSignal.any([signal, first.signal]);
    const results: (PlacedInput | InlineInput)[] = [];
    const waiting = files.values();
    const lane = async () => {
      try {
        for (const file of waiting) {
          either.throwIfAborted();
          results.push(await this.#fetch(file, either));
        }
      } catch (error) {
        first.abort(error);
      }
    };
    await Promise.all(Array.from({ length: limits.inputFetches }, lane));
    either.throwIfAborted();
    return results;
  }

  async #fetch(file: Extract<InputFile, { url: string }>, signal: AbortSignal): Promise<PlacedInput | InlineInput> {
    const { store } = this.#options;
    const { name, url, sha256 } = file;
    if (!store) return { name, ...(await this.#fetchToMemory(url, sha256, signal)) };
    const extension = safeExtension(name);
    const known = sha256 === undefined ? undefined : await store.lease(sha256, extension);
    if (known) return this.#place(name, known);
    const lease = await store.receive(extension, async (writer) => {
      let room = 0;
      return await this.#fetchTo(url, sha256, limits.inputFetchBytes, signal, async (chunk) => {
        // Asked for in steps, because the length that a server announces need not be there.
        if (room < chunk.byteLength) {
          await store.makeRoom(roomStepBytes);
          room += roomStepBytes;
        }
        room -= chunk.byteLength;
        await writer.write(chunk);
      });
    });
    return this.#place(name, lease);
  }

  async #fetchToMemory(
    url: string,
    expected: string | undefined,
    signal: AbortSignal,
  ): Promise<{ data: string; sha256: string }> {
    const pieces: Uint8Array[] = [];
    const onChunk = (chunk: Uint8Array) => void pieces.push(chunk);
    const { sha256 } = await this.#fetchTo(url, expected, limits.inputFetchMemoryBytes, signal, onChunk);
    return { data: Buffer.concat(pieces).toString('base64'), sha256 };
  }

  #fetchTo(
    url: string,
    sha256: string | undefined,
    maxBytes: number,
    signal: AbortSignal,
    onChunk: (chunk: Uint8Array) => void | Promise<void>,
  ): Promise<FetchedInput> {
    const policy = { maxBytes, timeoutMs: limits.inputFetchMs, ...this.#options.fetch };
    return fetchInput({ ...policy, url, sha256, signal, onChunk });
  }
}

const roomStepBytes = 8 * 1024 * 1024;

function notHeld(missing: readonly number[]): ComfyRunpodError {
  const count = missing.length;
  return new ComfyRunpodError(
    'INPUT_NOT_HELD',
    `The worker does not hold ${count} ${count === 1 ? 'file' : 'files'} that the job names by hash.`,
    {
      details: { missing: count },
      issues: missing.map((index) => ({ field: `files.${index}`, message: 'not held' })),
    },
  );
}
