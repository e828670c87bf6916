/** Wipes a folder with everything in it, or single files, and keeps count of what was done and what was left. */
import { lstat, readdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { absentIsUndefined, wipeFile } from './wipe-file.ts';

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
    for (const entry of await readdir(absolute, { withFileTypes: true })) {
      const child = path.join(absolute, entry.name);
      const shown = `${shownAs}/${entry.name}`;
      if (entry.isDirectory()) await this.tree(child, shown, createdAfter);
      else await this.file(child, shown, createdAfter);
    }
    // Something may still write into it; then it stays and is reported.
    await rmdir(absolute).catch(() => this.kept.push(`${shownAs}/`));
  }
}
