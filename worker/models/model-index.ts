/**
 * What this product has put into a models folder, beside the files: `<folder>/.comfy-runpod/index.json`. Only files that are named there are
 * ever removed to make room; what a person or an image put there is nobody's to remove. Workers may share the folder: each writes its own changes
 * on top of what is there.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

const recordSchema = z.object({
  size: z.int().min(0),
  /** As it was after the download: another one means that somebody changed the file since. */
  mtimeMs: z.number(),
  sha256: z.string().optional(),
  /** Milliseconds since 1970. */
  usedAt: z.number(),
});

const indexSchema = z.object({ version: z.literal(1), files: z.record(z.string(), recordSchema) });

/** A downloaded file. */
export type IndexRecord = z.output<typeof recordSchema>;

/** Name of the folder for things of ours inside a models folder. ComfyUI does not look into it. */
export const stateFolder = '.comfy-runpod';

/** The index of one models folder. Paths are relative to it. */
export class ModelIndex {
  readonly #root: string;
  readonly #files: Map<string, IndexRecord>;
  /** Since it was opened; undefined: removed. */
  readonly #changes = new Map<string, IndexRecord | undefined>();
  #saving: Promise<void> = Promise.resolve();

  private constructor(root: string, files: Map<string, IndexRecord>) {
    this.#root = root;
    this.#files = files;
  }

  /** Reads it. Files that are gone, or that somebody has changed since, are not ours any more and take none of our space. */
  static async open(root: string): Promise<ModelIndex> {
    const index = new ModelIndex(root, await readIndex(root));
    for (const file of [...index.#files.keys()]) {
      if ((await index.find(file)) === undefined) index.#files.delete(file);
    }
    return index;
  }

  /** The record of a file, when the file is still what it was. */
  async find(file: string): Promise<IndexRecord | undefined> {
    const record = this.#files.get(file);
    if (record === undefined) return undefined;
    const found = await stat(path.join(this.#root, file)).catch(() => undefined);
    return found?.size === record.size && found.mtimeMs === record.mtimeMs ? record : undefined;
  }

  /** Notes a file that was just downloaded. */
  async add(file: string, sha256: string | undefined): Promise<void> {
    const { size, mtimeMs } = await stat(path.join(this.#root, file));
    this.#change(file, { size, mtimeMs, usedAt: Date.now(), ...(sha256 !== undefined && { sha256 }) });
    await this.#save();
  }

  /** Notes that a file is wanted now. */
  async touch(files: readonly string[]): Promise<void> {
    for (const file of files) {
      const record = this.#files.get(file);
      if (record) this.#change(file, { ...record, usedAt: Date.now() });
    }
    if (this.#changes.size > 0) await this.#save();
  }

  /** Bytes of every file in it; a copy. */
  sizes(): Map<string, number> {
    return new Map([...this.#files].map(([file, { size }]) => [file, size]));
  }

  /** Removes least recently used files, none of `keep`, until `bytes` are gone. Answers the bytes that were freed and the files. */
  async evict(bytes: number, keep: ReadonlySet<string>): Promise<{ bytes: number; files: string[] }> {
    const candidates = [...this.#files]
      .filter(([file]) => !keep.has(file))
      .toSorted(([, a], [, b]) => a.usedAt - b.usedAt);
    let freed = 0;
    const files: string[] = [];
    for (const [file, { size }] of candidates) {
      if (freed >= bytes) break;
      // A file that was replaced since is no longer ours.
      const ours = (await this.find(file)) !== undefined;
      this.#change(file, undefined);
      if (!ours) continue;
      await rm(path.join(this.#root, file), { force: true });
      freed += size;
      files.push(file);
    }
    if (candidates.length > 0) await this.#save();
    return { bytes: freed, files };
  }

  #change(file: string, record: IndexRecord | undefined): void {
    this.#changes.set(file, record);
    if (record === undefined) this.#files.delete(file);
    else this.#files.set(file, record);
  }

  #save(): Promise<void> {
    this.#saving = this.#saving
      .catch(() => undefined)
      .then(async () => {
        const folder = path.join(this.#root, stateFolder);
        const file = path.join(folder, 'index.json');
        await mkdir(folder, { recursive: true });
        const files = await readIndex(this.#root);
        for (const [name, record] of this.#changes) {
          if (record === undefined) files.delete(name);
          else files.set(name, record);
        }
        const fresh = `${file}.${randomUUID().slice(0, 8)}`;
        await writeFile(fresh, `${JSON.stringify({ version: 1, files: Object.fromEntries(files) })}\n`);
        await rename(fresh, file);
      });
    return this.#saving;
  }
}

/** One that is not there or not readable is empty. */
async function readIndex(root: string): Promise<Map<string, IndexRecord>> {
  try {
    const text = await readFile(path.join(root, stateFolder, 'index.json'), 'utf8');
    return new Map(Object.entries(indexSchema.parse(JSON.parse(text)).files));
  } catch {
    return new Map();
  }
}
