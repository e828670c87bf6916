/** Wipes a folder with everything in it, or single files, and keeps count of what was done and what was left. */
import { lstat, readdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { absentIsUndefined, wipeFile } from './wipe-file.ts';

/** A wipe takes many small steps, most of them waiting. */
const filesAtOnce = 8;

/** Counts over any number of wipes. */
export class WipeTally {
  files = 0;
  bytes = 0;
  readonly kept: string[] = [];

  /** Wipes one file; what fails is noted under `shownAs` and nothing is thrown. */
  async file(absolute: string, shownAs: string, createdAfter: number): Promise<void> {
    try {
      const outcome = await wipeFile(absolute, createdAfter);
      if (outcome.kind === 'absent') return;
      this.files++;
      this.bytes += outcome.bytes;
    } catch {
      this.kept.push(shownAs);
    }
  }

  /** Wipes a folder and what is in it. A link to a folder is unlinked, not entered. */
  async tree(absolute: string, shownAs: string, createdAfter: number): Promise<void> {
    const stats = await lstat(absolute).catch(absentIsUndefined);
    if (!stats) return;
    if (!stats.isDirectory()) return this.file(absolute, shownAs, createdAfter);
    const entries = await readdir(absolute, { withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory());
    const wipeOne = ({ name }: { readonly name: string }) =>
      this.file(path.join(absolute, name), `${shownAs}/${name}`, createdAfter);
    for (let start = 0; start < files.length; start += filesAtOnce) {
      await Promise.all(files.slice(start, start + filesAtOnce).map(wipeOne));
    }
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      await this.tree(path.join(absolute, name), `${shownAs}/${name}`, createdAfter);
    }
    // Something may still write into it; then it stays and is reported.
    await rmdir(absolute).catch(() => this.kept.push(`${shownAs}/`));
  }
}
