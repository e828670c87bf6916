/**
 * Looks for one model in the order of docs/models.md: already there, RunPod's host cache, network volume. A file of the cache is linked, so
 * that it takes no space; a link that points nowhere, or to another snapshot than the revision means now, is replaced.
 */
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import { type ModelSpec, modelLabel } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { type CachedFile, findInHostCache } from './host-cache.ts';
import type { ModelIndex } from './model-index.ts';
import { type ModelPlaces, ownPath, possiblePaths } from './model-places.ts';

/** Where a model was found. */
export interface FoundModel {
  readonly where: 'present' | 'host-cache' | 'volume';
  readonly path: string;
  readonly size: number;
}

/** Finds a model, linking it from the cache if need be. Undefined: it has to be downloaded. */
export async function findModel(
  spec: ModelSpec,
  places: ModelPlaces,
  index: ModelIndex,
  logger: Logger,
): Promise<FoundModel | undefined> {
  const cached = await inCache(spec, places, logger);
  await repairLink(spec, places, cached);
  const roots = [...new Set([places.own, ...(places.image === undefined ? [] : [places.image])])];
  for (const root of roots) {
    const found = await findBelow(root, spec, root === places.own ? index : undefined, logger);
    if (found !== undefined) return { where: isIn(found.path, cached) ? 'host-cache' : 'present', ...found };
  }
  if (cached !== undefined) {
    const link = path.join(places.own, ownPath(spec));
    await replaceLink(cached.path, link);
    return { where: 'host-cache', path: link, size: cached.size };
  }
  for (const root of places.volume) {
    const found = await findBelow(root, spec, undefined, logger);
    if (found !== undefined) return { where: 'volume', ...found };
  }
  return undefined;
}

async function inCache(spec: ModelSpec, places: ModelPlaces, logger: Logger): Promise<CachedFile | undefined> {
  if (spec.source.kind !== 'huggingface') return undefined;
  const cached = await findInHostCache(places.hostCache, spec.source);
  if (cached === undefined) return undefined;
  const wrongSize = spec.size !== undefined && spec.size !== cached.size;
  const wrongHash = spec.sha256 !== undefined && cached.sha256 !== undefined && spec.sha256 !== cached.sha256;
  if (!wrongSize && !wrongHash) return cached;
  logger.warn({ model: modelLabel(spec) }, 'The host cache has another version of the model; it is not used.');
  return undefined;
}

function isIn(file: string, cached: CachedFile | undefined): boolean {
  return cached !== undefined && file === cached.path;
}

/** Removes a link of ours that points nowhere, or into the cache at another file than `cached`. */
async function repairLink(spec: ModelSpec, places: ModelPlaces, cached: CachedFile | undefined): Promise<void> {
  for (const candidate of possiblePaths(spec)) {
    const file = path.join(places.own, candidate);
    const target = await readlink(file).catch(() => undefined);
    if (target === undefined) continue;
    const absolute = path.resolve(path.dirname(file), target);
    const intoCache = absolute.startsWith(`${places.hostCache}${path.sep}`);
    const dangling = (await stat(file).catch(() => undefined)) === undefined;
    if (dangling || (intoCache && cached !== undefined && absolute !== cached.path)) await rm(file, { force: true });
  }
}

async function replaceLink(target: string, link: string): Promise<void> {
  await mkdir(path.dirname(link), { recursive: true });
  const fresh = `${link}.${randomUUID().slice(0, 8)}.link`;
  await symlink(target, fresh);
  await rename(fresh, link);
}

/** A file with the right size and, where it was downloaded by us, the right hash. Another one is not this model. */
async function findBelow(
  root: string,
  spec: ModelSpec,
  index: ModelIndex | undefined,
  logger: Logger,
): Promise<{ readonly path: string; readonly size: number } | undefined> {
  for (const candidate of possiblePaths(spec)) {
    const file = path.join(root, candidate);
    const found = await stat(file).catch(() => undefined);
    if (!found?.isFile()) continue;
    const record = await index?.find(candidate);
    const wrongSize = spec.size === undefined ? found.size === 0 : found.size !== spec.size;
    const wrongHash = spec.sha256 !== undefined && record?.sha256 !== undefined && record.sha256 !== spec.sha256;
    if (wrongSize || wrongHash) {
      logger.warn({ model: modelLabel(spec), bytes: found.size }, 'A file of that name is there but is not the model.');
      continue;
    }
    const linked = (await lstat(file)).isSymbolicLink() ? await readlink(file) : undefined;
    return { path: linked !== undefined && path.isAbsolute(linked) ? linked : file, size: found.size };
  }
  return undefined;
}
