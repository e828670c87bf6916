/**
 * A model on its way: `<id>.part` holds the bytes at their places, `<id>.json` says which of them are there and of which version of the
 * source. Both outlive the process, so that the next start goes on where this one stopped. Owned by one download at a time.
 *
 * The note is written after the bytes it tells of have reached the file, so it never claims too much.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/** Bytes from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const noteSchema = z.object({
  version: z.literal(1),
  identity: z.string(),
  etag: z.string().optional(),
  size: z.int().min(0).optional(),
  done: z.array(z.tuple([z.int().min(0), z.int().min(0)])),
});

/** What tells two versions of a source apart. */
export interface SourceVersion {
  /** As the server sent it, when it was a strong one. */
  readonly etag?: string | undefined;
  readonly size?: number | undefined;
}

/** Pause between two notes, milliseconds. */
const noteEveryMs = 1_000;

/** Adds a span to a sorted list without overlaps; neighbours grow together. */
export function addSpan(spans: readonly Span[], added: Span): Span[] {
  if (added.end <= added.start) return [...spans];
  const result: Span[] = [];
  let { start, end } = added;
  for (const span of spans) {
    if (span.end < start || span.start > end) result.push(span);
    else {
      start = Math.min(start, span.start);
      end = Math.max(end, span.end);
    }
  }
  return [...result, { start, end }].toSorted((a, b) => a.start - b.start);
}

/** What of `0..size` is not in `spans`, cut into pieces of at most `pieceBytes`. */
export function missingSpans(spans: readonly Span[], size: number, pieceBytes: number): Span[] {
  const gaps: Span[] = [];
  let at = 0;
  for (const span of [...spans, { start: size, end: size }]) {
    for (let start = at; start < Math.min(span.start, size); start += pieceBytes) {
      gaps.push({ start, end: Math.min(start + pieceBytes, span.start, size) });
    }
    at = Math.max(at, span.end);
  }
  return gaps;
}

/** See the banner. Close it; `finish` and `discard` do so, too. */
export class PartFile {
  readonly path: string;
  readonly #notePath: string;
  readonly #identity: string;
  readonly #handle: FileHandle;
  #version: SourceVersion;
  #done: Span[];
  #notedAt = 0;
  #noting: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(
    file: string,
    notePath: string,
    identity: string,
    handle: FileHandle,
    version: SourceVersion,
    done: Span[],
  ) {
    this.path = file;
    this.#notePath = notePath;
    this.#identity = identity;
    this.#handle = handle;
    this.#version = version;
    this.#done = done;
  }

  /** Opens the part of a source in `folder`, with what an earlier process left of it. `identity` names the source; it may not be secret. */
  static async open(folder: string, identity: string): Promise<PartFile> {
    await mkdir(folder, { recursive: true });
    const base = path.join(folder, createHash('sha256').update(identity).digest('hex').slice(0, 32));
    const [file, notePath] = [`${base}.part`, `${base}.json`];
    const note = await readNote(notePath, identity);
    const handle = await open(file, note === undefined ? 'w+' : 'r+').catch(() => open(file, 'w+'));
    const { size: onDisk } = await handle.stat();
    const done = (note?.done ?? []).map(([start, end]) => ({ start, end })).filter(({ end }) => end <= onDisk);
    return new PartFile(file, notePath, identity, handle, { etag: note?.etag, size: note?.size }, done);
  }

  get version(): SourceVersion {
    return this.#version;
  }

  get done(): readonly Span[] {
    return this.#done;
  }

  get doneBytes(): number {
    return this.#done.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Notes which version of the source the bytes are of. */
  setVersion(version: SourceVersion): void {
    this.#version = version;
  }

  /** Forgets all bytes: the source has another version now. */
  async reset(): Promise<void> {
    this.#done = [];
    this.#version = {};
    await this.#handle.truncate(0);
    await this.#note();
  }

  /** Writes bytes at their place. */
  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (const chunk of chunks) {
      for (let from = 0; from < chunk.byteLength; ) {
        const { bytesWritten } = await this.#handle.write(chunk, from, chunk.byteLength - from, at);
        from += bytesWritten;
        at += bytesWritten;
      }
    }
    this.#done = addSpan(this.#done, { start: position, end: at });
    if (performance.now() - this.#notedAt >= noteEveryMs) {
      this.#notedAt = performance.now();
      await this.#note();
    }
  }

  /** SHA-256 of everything, lower-case hex. */
  async sha256(signal: AbortSignal): Promise<string> {
    return hashHandle(this.#handle, signal);
  }

  /** The first bytes, at most `count`. */
  async head(count: number): Promise<Buffer> {
    const buffer = Buffer.alloc(count);
    const { bytesRead } = await this.#handle.read(buffer, 0, count, 0);
    return buffer.subarray(0, bytesRead);
  }

  /** Cuts it to `size`, flushes it and gives it its final name; the note goes. */
  async finish(target: string, size: number): Promise<void> {
    await this.#handle.truncate(size);
    await this.#handle.sync();
    await this.#close();
    await mkdir(path.dirname(target), { recursive: true });
    await rename(this.path, target);
    await rm(this.#notePath, { force: true });
  }

  /** Removes it. */
  async discard(): Promise<void> {
    await this.#close();
    await rm(this.path, { force: true });
    await rm(this.#notePath, { force: true });
  }

  /** Keeps it for a later attempt. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#note().catch(() => undefined);
    await this.#close();
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#noting.catch(() => undefined);
    await this.#handle.close();
  }

  /** One at a time: two writers of one name would mix their texts. */
  #note(): Promise<void> {
    const write = async () => {
      const { etag, size } = this.#version;
      const done = this.#done.map(({ start, end }) => [start, end]);
      const text = JSON.stringify({ version: 1, identity: this.#identity, etag, size, done });
      await this.#handle.datasync();
      await writeFile(`${this.#notePath}.new`, text);
      await rename(`${this.#notePath}.new`, this.#notePath);
    };
    this.#noting = this.#noting.catch(() => undefined).then(write);
    return this.#noting;
  }
}

async function readNote(file: string, identity: string): Promise<z.output<typeof noteSchema> | undefined> {
  try {
    const note = noteSchema.parse(JSON.parse(await readFile(file, 'utf8')));
    return note.identity === identity ? note : undefined;
  } catch {
    return undefined;
  }
}

const hashPieceBytes = 4 * 1024 * 1024;

/** SHA-256 of an open file, in constant memory. */
export async function hashHandle(handle: FileHandle, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(hashPieceBytes);
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
