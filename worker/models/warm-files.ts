/**
 * Reads model files once, so that they are in the page cache when ComfyUI loads them: a cold network volume is slow, and the first job would
 * pay for it. Several at once, in constant memory, and no more than the machine can keep.
 */
import { open } from 'node:fs/promises';
import { freemem } from 'node:os';
import { mapLimited } from './map-limited.ts';

const pieceBytes = 8 * 1024 * 1024;
/** Files at once. */
const readers = 4;

/** Reads the files, in order of the list, until all are read or half of the free memory is used. Answers the bytes. Skips what can't be read. */
export async function warmFiles(
  files: readonly string[],
  signal: AbortSignal,
  budget = freemem() / 2,
): Promise<number> {
  let total = 0;
  await mapLimited(files, readers, async (file) => {
    const handle = await open(file).catch(() => undefined);
    if (handle === undefined) return;
    const buffer = Buffer.allocUnsafe(pieceBytes);
    try {
      while (!signal.aborted && total < budget) {
        const { bytesRead } = await handle.read(buffer, 0, pieceBytes, null);
        if (bytesRead === 0) return;
        total += bytesRead;
      }
    } catch {
      // A warm-up that fails costs time only; ComfyUI will say what is wrong with the file.
    } finally {
      await handle.close();
    }
  });
  return total;
}
