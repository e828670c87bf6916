/**
 * A description is megabytes and changes with the image only: it is kept in the user's cache folder, readable by the user only, by endpoint,
 * image and worker version. A ping tells which those are. A worker that does not know its image is asked every time.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { type Description, type Pong, type ResultCounts, readDescription } from '../../shared/index.ts';
import type { Client } from '../client.ts';
import type { Environment } from '../config.ts';

/** Where to keep descriptions and of which endpoint they are. */
export interface DescribeCacheOptions {
  /** Folder for the files; made when missing. */
  readonly folder: string;
  /** Keeps endpoints apart: address and id. */
  readonly endpoint: string;
  /** Asks the worker whatever is kept. */
  readonly fresh?: boolean;
  readonly signal?: AbortSignal;
}

/** A description and whether it was kept from an earlier call. Space and memory of a kept one are those of that call. */
export interface CachedDescription {
  readonly description: Description;
  readonly cached: boolean;
  /** Of the worker that answered now. */
  readonly results?: ResultCounts;
}

/** Tags such as `latest` move: a kept description older than this is asked for again. */
const maxAgeMs = 86_400_000;

/** Describes, from the cache when the endpoint still runs the same image and worker version. Throws what `ping` and `describe` throw. */
export async function describeCached(client: Client, options: DescribeCacheOptions): Promise<CachedDescription> {
  const waiting = options.signal ? { signal: options.signal } : {};
  if (options.fresh !== true) {
    const pong = await client.ping(waiting);
    const file = pong.image === undefined ? undefined : fileOf(options, pong);
    const kept = await readKept(file);
    const { results } = pong;
    if (file !== undefined && kept !== undefined) {
      await point(options, file).catch(() => undefined);
      return { description: kept, cached: true, ...(results && { results }) };
    }
  }
  // Counts are of one worker and one moment; what is kept is of the image.
  const { results, ...description } = await client.describe(waiting);
  const { image, versions } = description;
  const file = fileOf(options, { workerVersion: versions.worker, ...(image !== undefined && { image }) });
  await keep(file, JSON.stringify(description))
    .then(() => point(options, file))
    .catch(() => undefined);
  return { description, cached: false, ...(results && { results }) };
}

/** The cache folder of this program for the user, by the habits of the system. */
export function userCacheFolder(environment: Environment): string {
  const base =
    environment['XDG_CACHE_HOME'] ||
    (process.platform === 'win32' ? environment['LOCALAPPDATA'] : undefined) ||
    path.join(homedir(), process.platform === 'darwin' ? 'Library/Caches' : '.cache');
  return path.join(base, 'comfy-runpod');
}

/**
 * What the endpoint's worker was when it was last asked, without asking anybody: a question to an endpoint that is scaled to zero starts a paid
 * worker. Undefined when nothing was kept within a day.
 */
export async function keptDescription(
  options: Pick<DescribeCacheOptions, 'folder' | 'endpoint'>,
): Promise<Description | undefined> {
  try {
    const name = (await readFile(pointerOf(options), 'utf8')).trim();
    return /^describe-[0-9a-f]+\.json$/.test(name) ? await readKept(path.join(options.folder, name)) : undefined;
  } catch {
    return undefined;
  }
}

function hash(...parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/** A worker that does not know its image has a file of its own, which only {@link keptDescription} reads. */
function fileOf(options: DescribeCacheOptions, worker: Pick<Pong, 'workerVersion' | 'image'>): string {
  const key = hash(options.endpoint, worker.image ?? null, worker.workerVersion);
  return path.join(options.folder, `describe-${key}.json`);
}

/** Holds the name of the file that was kept or used last for an endpoint. */
function pointerOf({ folder, endpoint }: Pick<DescribeCacheOptions, 'folder' | 'endpoint'>): string {
  return path.join(folder, `endpoint-${hash(endpoint)}`);
}

async function point(options: DescribeCacheOptions, file: string): Promise<void> {
  await keep(pointerOf(options), path.basename(file));
}

async function readKept(file: string | undefined): Promise<Description | undefined> {
  if (file === undefined) return undefined;
  try {
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs > maxAgeMs) return undefined;
    return readDescription(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return undefined;
  }
}

/** Written aside and renamed, so that nobody reads half of it. */
async function keep(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${randomBytes(6).toString('hex')}.part`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx' });
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}
