/**
 * What is known of a batch, in `batch.jsonl` in its folder: a line for every change, appended and flushed before the next step is taken. The same
 * command on the same folder goes on where this file ends. It holds names, numbers, ids, paths and hashes, never prompts or pictures.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { ComfyRunpodError } from '../../shared/index.ts';

const lineSchema = z.object({
  item: z.string(),
  /** Hash of everything that the item renders, seeds aside; a changed item is a new one. */
  key: z.string(),
  state: z.enum(['submitting', 'submitted', 'done', 'failed']),
  jobId: z.string().optional(),
  /** Seeds that were chosen, so that a resumed item keeps them. */
  seeds: z.record(z.string(), z.number()).optional(),
  files: z.array(z.object({ path: z.string(), sha256: z.string() })).optional(),
  executionMs: z.number().optional(),
  cost: z.number().optional(),
  code: z.string().optional(),
});

/** One line of the file. */
export type BatchLine = z.output<typeof lineSchema>;

/** File name inside the folder of the batch. */
export const batchFile = 'batch.jsonl';

/** Appends to the file of one batch and knows the last line of every item. */
export class BatchState implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #last: Map<string, BatchLine>;
  #tail: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle, last: Map<string, BatchLine>) {
    this.#file = file;
    this.#last = last;
  }

  /** Opens the file of the batch in `folder`, both made when missing, readable by the user only. Throws `RESULT_NOT_SAVED`. */
  static async open(folder: string): Promise<BatchState> {
    try {
      await mkdir(folder, { recursive: true });
      const path = join(folder, batchFile);
      const text = await readFile(path, 'utf8').catch(() => '');
      const file = await open(path, 'a', 0o600);
      // A process that was killed while it wrote leaves half a line: it is ended here, and read as nothing.
      if (text !== '' && !text.endsWith('\n')) await file.write('\n');
      return new BatchState(file, readLines(text));
    } catch (error) {
      throw new ComfyRunpodError('RESULT_NOT_SAVED', 'The state of the batch can not be written to its folder.', {
        cause: error,
        nextStep: 'Name a folder of yours with --out.',
      });
    }
  }

  /** The last line of an item that has not changed since. */
  known(item: string, key: string): BatchLine | undefined {
    const line = this.#last.get(item);
    return line?.key === key ? line : undefined;
  }

  /** Appends a line; resolves when it is on disk. */
  note(line: BatchLine): Promise<void> {
    this.#last.set(line.item, line);
    this.#tail = this.#tail.then(async () => {
      await this.#file.appendFile(`${JSON.stringify(line)}\n`);
      await this.#file.datasync();
    });
    return this.#tail;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tail.catch(() => undefined);
    await this.#file.close();
  }
}

function readLines(text: string): Map<string, BatchLine> {
  const last = new Map<string, BatchLine>();
  for (const line of text.split('\n')) {
    try {
      const parsed = lineSchema.safeParse(JSON.parse(line));
      if (parsed.success) last.set(parsed.data.item, parsed.data);
    } catch {
      // Half a line of a killed process.
    }
  }
  return last;
}

/** A key for {@link BatchLine.key} of anything that can be written as JSON. */
export function batchKey(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
