/**
 * A finished job of the ledger in place of a new one: the same workflow, inputs and options at the same endpoint, rendered by the same worker, as far
 * as the receipts tell, and every file of it on disk as it was saved.
 */
import { constants } from 'node:fs';
import { copyFile, mkdir, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import * as z from 'zod';
import { ComfyRunpodError, type JobInputWire } from '../../shared/index.ts';
import { isIntact } from '../files/is-intact.ts';
import { numberedName } from '../saving/safe-result-path.ts';
import { jobHashes } from './content-hash.ts';
import type { Ledger } from './ledger.ts';
import type { LedgerFile, LedgerRow } from './ledger-row.ts';

const workerSchema = z.object({ workerVersion: z.string(), comfyVersion: z.string() });

/** The latest finished job that is as good as a new one, or undefined. The worker counts as the same when it has the versions of the endpoint's last receipt. */
export async function earlierResult(
  ledger: Ledger,
  input: JobInputWire,
  endpoints: readonly string[],
): Promise<LedgerRow | undefined> {
  const { workflowHash, inputHash } = jobHashes(input);
  for (const endpoint of endpoints) {
    const worker = workerOf(ledger.lastReceipt(endpoint));
    for (const row of ledger.sameContent(workflowHash, inputHash, endpoint)) {
      if (worker === undefined || workerOf(row.receipt) !== worker || row.files.length === 0) continue;
      const intact = await Promise.all(row.files.map(isIntact));
      if (intact.every(Boolean)) return row;
    }
  }
  return undefined;
}

function workerOf(receipt: unknown): string | undefined {
  const parsed = workerSchema.safeParse(receipt);
  return parsed.success ? `${parsed.data.workerVersion} ${parsed.data.comfyVersion}` : undefined;
}

/**
 * Puts the files of a finished job into `folder`, sub-folders kept. Nothing is overwritten; a file that is there already stays the one. Throws
 * `RESULT_NOT_SAVED`.
 */
export async function copyEarlier(row: LedgerRow, folder: string): Promise<LedgerFile[]> {
  try {
    await mkdir(folder, { recursive: true });
    const root = await realpath(folder);
    const from = row.outFolder === undefined ? undefined : await realpath(row.outFolder).catch(() => undefined);
    const copied: LedgerFile[] = [];
    for (const file of row.files) {
      const inner = from === undefined ? '' : relative(from, file.path);
      const inside = inner !== '' && !inner.startsWith('..') && !isAbsolute(inner);
      copied.push(await copyOne(file, join(root, inside ? inner : basename(file.path))));
    }
    return copied;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ComfyRunpodError('RESULT_NOT_SAVED', `The earlier result could not be copied (${code}).`, {
      cause: error,
    });
  }
}

async function copyOne(file: LedgerFile, wanted: string): Promise<LedgerFile> {
  await mkdir(dirname(wanted), { recursive: true });
  for (let count = 0; ; count++) {
    const path = join(dirname(wanted), numberedName(basename(wanted), count));
    if (await isIntact({ path, sha256: file.sha256 })) return { ...file, path };
    try {
      // Shares the blocks where the disk can; a link would let an edit of one change the other.
      await copyFile(file.path, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      return { ...file, path };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}
