/**
 * RunPod's host cache of Hugging Face models: `<hub>/models--owner--name/snapshots/<commit>/<file>`, with `refs/<revision>` holding the commit
 * (RunPod protocol notes §1.15). Read only: nothing in it is ever written, repaired or removed.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ModelSource } from '../../shared/index.ts';

/** A file that the cache holds. */
export interface CachedFile {
  /** In the snapshot; a link to it stays right when the cache moves its blobs. */
  readonly path: string;
  readonly commit: string;
  readonly size: number;
  /** From the blob's name, where that is one. */
  readonly sha256?: string;
}

/** Looks a file up. Undefined when the cache has no such repository, revision or file, or only a dangling link to it. */
export async function findInHostCache(
  hub: string,
  source: Extract<ModelSource, { kind: 'huggingface' }>,
): Promise<CachedFile | undefined> {
  const folder = await repositoryFolder(hub, source.repo);
  if (folder === undefined) return undefined;
  for (const commit of await commitsOf(folder, source.revision)) {
    const file = path.join(folder, 'snapshots', commit, source.file);
    const found = await stat(file).catch(() => undefined);
    if (!found?.isFile()) continue;
    const blob = path.basename(await realpath(file).catch(() => file));
    return { path: file, commit, size: found.size, ...(/^[0-9a-f]{64}$/.test(blob) && { sha256: blob }) };
  }
  return undefined;
}

/** The hub takes names in any case, and so may have whoever filled the cache. */
async function repositoryFolder(hub: string, repo: string): Promise<string | undefined> {
  const wanted = `models--${repo.replaceAll('/', '--')}`;
  const names = await readdir(hub).catch((): string[] => []);
  const found =
    names.find((name) => name === wanted) ?? names.find((name) => name.toLowerCase() === wanted.toLowerCase());
  return found === undefined ? undefined : path.join(hub, found);
}

/** Commits to look into, best first. What `refs/` says counts; without it a lone snapshot is what was meant. */
async function commitsOf(folder: string, revision: string): Promise<string[]> {
  const snapshots = await readdir(path.join(folder, 'snapshots')).catch((): string[] => []);
  if (/^[0-9a-f]{40}$/.test(revision)) return snapshots.includes(revision) ? [revision] : [];
  const text = await readFile(path.join(folder, 'refs', revision), 'utf8').catch(() => undefined);
  const commit = text?.trim();
  if (commit !== undefined) return snapshots.includes(commit) ? [commit] : [];
  return revision === 'main' && snapshots.length === 1 ? snapshots : [];
}
