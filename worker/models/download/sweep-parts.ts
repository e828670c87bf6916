/** Removes downloads that were given up: nothing else ever would, where their model is no longer wanted or comes from another address now. */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** Removes the parts in `folder`, with their notes and locks, that nobody has written to for `idleMs`. A holder's lock is touched all the time. */
export async function sweepParts(folder: string, idleMs: number): Promise<void> {
  const names = await readdir(folder).catch((): string[] => []);
  const groups = Map.groupBy(
    names.filter((name) => /^[0-9a-f]{32}\.(part|json|json\.new|lock)$/.test(name)),
    (name) => name.slice(0, 32),
  );
  for (const group of groups.values()) {
    const files = group.map((name) => path.join(folder, name));
    const touched = await Promise.all(
      files.map((file) =>
        stat(file).then(
          ({ mtimeMs }) => mtimeMs,
          () => 0,
        ),
      ),
    );
    if (Date.now() - Math.max(...touched) < idleMs) continue;
    await Promise.all(files.map((file) => rm(file, { force: true })));
  }
}
