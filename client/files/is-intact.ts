/** Whether a file that was saved is still what was saved. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** True when the file is there with this SHA-256 (lower-case hex). Never throws. */
export async function isIntact({ path, sha256 }: { readonly path: string; readonly sha256: string }): Promise<boolean> {
  const hash = createHash('sha256');
  try {
    for await (const piece of createReadStream(path)) hash.update(piece);
  } catch {
    return false;
  }
  return hash.digest('hex') === sha256;
}
