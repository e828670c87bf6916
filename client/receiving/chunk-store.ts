/**
 * Pieces of one job's result as they come from /stream, each in a file of its own. Reading /stream drains it, so a piece is kept when it is there;
 * what it belongs to is known only from the envelope at the end.
 *
 * 1. A piece counts only with the SHA-256 that it names; a damaged one is as good as missing, and said to be.
 * 2. The same piece may come twice (a post that was repeated); pieces of an earlier attempt have another transfer and are ignored.
 * 3. Only whole files have a name: `TRANSFER-ARTIFACT-TOTAL.INDEX` a piece, `TRANSFER-ARTIFACT-TOTAL.whole` what pieces were joined to. So a process
 *    that is killed leaves nothing half, and another one that shares the folder goes on.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Artifact,
  ComfyRunpodError,
  type Delivery,
  type ResultChunk,
  readResultChunk,
} from '../../shared/index.ts';
import { ReceivedFile } from './received-file.ts';
import type { ResultSpool } from './result-spool.ts';

type Chunked = Extract<Delivery, { via: 'chunked' }>;

/** Keeps pieces of one job. */
export class ChunkStore {
  readonly #jobId: string;
  readonly #spool: ResultSpool;
  /** Names of files that are there, as far as this process knows. */
  #names = new Set<string>();
  readonly #joined = new Map<string, Promise<ReceivedFile>>();
  #damaged = 0;
  #interruptions = 0;

  constructor(jobId: string, spool: ResultSpool) {
    this.#jobId = jobId;
    this.#spool = spool;
  }

  /** True when this process has kept nothing. */
  get isEmpty(): boolean {
    return this.#names.size === 0 && this.#joined.size === 0;
  }

  /** How many files there are: another process may add some. */
  get count(): number {
    return this.#names.size;
  }

  /** Takes a value of /stream; values that are no piece of a result are ignored. Throws `RESULT_NOT_SAVED`. */
  async take(value: unknown): Promise<void> {
    const chunk = readResultChunk(value);
    if (!chunk || chunk.index >= chunk.total) return;
    const bytes = Buffer.from(chunk.data, 'base64');
    if (createHash('sha256').update(bytes).digest('hex') !== chunk.sha256) {
      this.#damaged += 1;
      return;
    }
    const name = `${partOf(chunk)}.${chunk.index}`;
    if (this.#names.has(name)) return;
    await this.#publish(name, (path) => writeFile(path, bytes, { flag: 'wx', mode: 0o600 }));
  }

  /** An answer of /stream broke off: what it held beyond the pieces that were taken is lost. */
  noteInterruption(): void {
    this.#interruptions += 1;
  }

  /** Looks what is there, and says whether it is every piece of every artifact that came in pieces. Throws `RESULT_NOT_SAVED`. */
  async has(artifacts: readonly Artifact[]): Promise<boolean> {
    const folder = await this.#spool.folderOf(this.#jobId);
    try {
      this.#names = new Set(await readdir(folder));
    } catch (error) {
      throw this.#spool.failure(error);
    }
    return artifacts.every(
      ({ delivery }, position) =>
        delivery.via !== 'chunked' || this.#firstMissing(partOf(delivery, position), delivery.chunks) === undefined,
    );
  }

  /** The artifact with its file behind it. `position`: of the artifact in the envelope. Throws `RESULT_CORRUPT` that says what is missing. */
  async assemble(artifact: Artifact, position: number, delivery: Chunked): Promise<Artifact> {
    const { chunks: total, reason } = delivery;
    const part = partOf(delivery, position);
    const missing = this.#firstMissing(part, total);
    if (missing !== undefined) throw this.#missing(artifact, missing, total, delivery.transfer);
    const joining = this.#joined.get(part) ?? this.#join(part, total, artifact);
    this.#joined.set(part, joining);
    try {
      return { ...artifact, delivery: (await joining).delivery(`in ${total} chunks: ${reason}`) };
    } catch (error) {
      this.#joined.delete(part);
      throw error;
    }
  }

  #firstMissing(part: string, total: number): number | undefined {
    if (this.#joined.has(part) || this.#names.has(`${part}.whole`)) return undefined;
    for (let index = 0; index < total; index++) if (!this.#names.has(`${part}.${index}`)) return index;
    return undefined;
  }

  /** Joins pieces to the file, checks it, and removes the pieces. Throws `RESULT_CORRUPT` when it is not what the envelope says. */
  async #join(part: string, total: number, artifact: Artifact): Promise<ReceivedFile> {
    const folder = await this.#spool.folderOf(this.#jobId);
    const path = join(folder, `${part}.whole`);
    const pieces = Array.from({ length: total }, (_, index) => join(folder, `${part}.${index}`));
    try {
      const whole = `${part}.whole`;
      if (!this.#names.has(whole)) {
        await this.#publish(whole, (temporary) => joinFiles(pieces, temporary)).catch(async (error: unknown) => {
          // Another process was faster, and has removed the pieces.
          if (!(await stat(path).catch(() => undefined))) throw error;
        });
      }
      await assertIs(path, artifact);
    } catch (error) {
      throw this.#spool.failure(error);
    }
    for (const [index, piece] of pieces.entries()) {
      await unlink(piece).catch(() => undefined);
      this.#names.delete(`${part}.${index}`);
    }
    return new ReceivedFile(path, artifact);
  }

  /** Writes a file under a name of its own, which it gets when it is whole. Throws `RESULT_NOT_SAVED`. */
  async #publish(name: string, write: (path: string) => Promise<void>): Promise<void> {
    const folder = await this.#spool.folderOf(this.#jobId);
    const temporary = join(folder, `${name}.${randomUUID()}.tmp`);
    try {
      await write(temporary);
      await rename(temporary, join(folder, name));
      this.#names.add(name);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw this.#spool.failure(error);
    }
  }

  #missing({ node, index: output }: Artifact, index: number, total: number, transfer: string): ComfyRunpodError {
    const none = ![...this.#names].some((name) => name.startsWith(transferName(transfer)));
    const readBefore = none && this.#damaged === 0 && this.#interruptions === 0;
    const broken =
      this.#interruptions > 0 ? ' An answer of /stream broke off, and RunPod hands each chunk out once.' : '';
    const message = readBefore
      ? 'The result was sent in chunks over /stream, and they were read before: RunPod hands each chunk out once.'
      : `Chunk ${index + 1} of ${total} of output ${output} of node ${node.slice(0, 60)} is missing or damaged.${broken}`;
    return new ComfyRunpodError('RESULT_CORRUPT', message, {
      details: {
        ...{ node: node.slice(0, 60), index: output, chunk: index, chunks: total },
        ...{ damaged: this.#damaged, interruptions: this.#interruptions },
      },
      nextStep: readBefore
        ? 'Take the result from the process that waited first, or submit again. A bucket or a network volume on the endpoint (destination bucket or volume) makes results readable more than once.'
        : 'Submit again; if it repeats, give the endpoint a bucket or a network volume (destination bucket or volume).',
    });
  }
}

/** Transfers are named by the worker: what stands in a file name is a hash of that. */
function transferName(transfer: string): string {
  return createHash('sha256').update(transfer).digest('hex').slice(0, 24);
}

function partOf(chunk: ResultChunk): string;
function partOf(delivery: Chunked, position: number): string;
function partOf(from: ResultChunk | Chunked, position?: number): string {
  const artifact = 'artifact' in from ? from.artifact : position;
  const total = 'total' in from ? from.total : from.chunks;
  return `${transferName(from.transfer)}-${artifact}-${total}`;
}

async function joinFiles(pieces: readonly string[], path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    for (const piece of pieces) await file.writeFile(createReadStream(piece));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Throws `RESULT_CORRUPT` when the file is not what the envelope says. */
async function assertIs(path: string, { node, index, size, sha256 }: Artifact): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const piece of createReadStream(path)) {
    hash.update(piece as Buffer);
    bytes += (piece as Buffer).length;
  }
  if (bytes === size && hash.digest('hex') === sha256) return;
  const why = bytes === size ? 'wrong SHA-256' : `${bytes} bytes instead of ${size}`;
  const name = node.slice(0, 60);
  throw new ComfyRunpodError('RESULT_CORRUPT', `Output ${index} of node ${name} arrived damaged: ${why}.`, {
    details: { node: name, index },
  });
}
