/** Whether a file entry of ComfyUI's stays inside its folder. Custom nodes write these entries, so they are untrusted (ComfyUI protocol notes §3.3). */
import { ComfyRunpodError } from '../../shared/index.ts';
import type { NamedFile } from './types.ts';

/** Path relative to the folder of its type. Throws `OUTPUT_UNSAFE`. */
export function safeEntryPath(file: NamedFile): string {
  const { filename, subfolder } = file;
  const folder = subfolder.replace(/\/+$/, '');
  const parts = folder === '' ? [] : folder.split('/');
  const bad =
    filename === '' ||
    /[/\\\0]/.test(filename) ||
    filename === '.' ||
    filename === '..' ||
    /[\\\0]/.test(folder) ||
    folder.startsWith('/') ||
    parts.some((part) => part === '..');
  if (bad) throw new ComfyRunpodError('OUTPUT_UNSAFE', "A node named a file outside ComfyUI's folders.");
  return [...parts.filter((part) => part !== '' && part !== '.'), filename].join('/');
}
