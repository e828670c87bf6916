/** Turns a file as it travels into bytes and checks what can be checked without knowing what it is. */
import { createHash } from 'node:crypto';
import { ComfyRunpodError, safeExtension } from '../../shared/index.ts';
import type { SentFile } from './types.ts';

/** Bytes with a name made from them: equal files get equal names, so ComfyUI's cache still helps, and no name of the caller's is on disk. */
export interface DecodedFile {
  readonly bytes: Buffer;
  readonly contentName: string;
}

/** Decodes one file. Throws `FILE_EMPTY` or `FILE_HASH_MISMATCH`. */
export function decodeSentFile(file: SentFile): DecodedFile {
  const bytes = Buffer.from(file.data, 'base64');
  if (bytes.length === 0) throw new ComfyRunpodError('FILE_EMPTY', 'A file of the job has no bytes.');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (file.sha256 !== undefined && file.sha256 !== sha256) {
    throw new ComfyRunpodError('FILE_HASH_MISMATCH', 'A file of the job does not have the SHA-256 that came with it.');
  }
  return { bytes, contentName: `${sha256.slice(0, 32)}${safeExtension(file.name)}` };
}
