/**
 * What a ComfyUI says about itself, for `describe` jobs: `/system_stats`, `/object_info` as text, models by folder. Only reads. What a
 * version does not know is left out and noted; a ComfyUI that does not answer at all is an error.
 */
import { type ComfyHttp, transportFailure } from './http.ts';
import { isRecord, listOf, recordOf, textOf } from './value-guards.ts';

/** A model file, by its path below its folder. */
export interface ModelFile {
  readonly name: string;
  readonly size?: number;
}

/** A device as ComfyUI lists it; bytes. */
export interface ComfyDevice {
  readonly name: string;
  readonly type: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** Everything that was found out. */
export interface ComfyInspection {
  readonly python?: string;
  readonly torch?: string;
  readonly memory?: { readonly totalBytes: number; readonly freeBytes: number };
  readonly devices: readonly ComfyDevice[];
  /** Names of the node classes and their declarations as JSON; undefined when ComfyUI can't declare one of them (§1.10). */
  readonly nodes?: { readonly names: readonly string[]; readonly json: string };
  readonly models: Readonly<Record<string, readonly ModelFile[]>>;
  readonly warnings: readonly string[];
}

/** Asks for everything. Throws `COMFY_UNREACHABLE` when ComfyUI does not answer, or the signal's reason. */
export async function inspectServer(http: ComfyHttp, signal: AbortSignal): Promise<ComfyInspection> {
  const warnings: string[] = [];
  const tolerate = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (transportFailure(error) === 'refused') throw error;
      warnings.push(`ComfyUI did not tell its ${what}.`);
      return undefined;
    }
  };
  const stats = recordOf(await tolerate('system figures', () => http.json({ path: '/system_stats', signal })));
  const nodes = await tolerate('node classes', () => readNodes(http, signal));
  const models = await tolerate('models', () => readModels(http, signal, warnings));
  return { ...readStats(stats), ...(nodes && { nodes }), models: models ?? {}, warnings };
}

function readStats(stats: Readonly<Record<string, unknown>>): Omit<ComfyInspection, 'nodes' | 'models' | 'warnings'> {
  const system = recordOf(stats['system']);
  const { ram_total: totalBytes, ram_free: freeBytes } = system;
  // "3.13.5 (main, ...) [GCC ...]": the first word is the version.
  const python = textOf(system['python_version'])?.split(' ')[0];
  const torch = textOf(system['pytorch_version']);
  return {
    ...(python !== undefined && { python }),
    ...(torch !== undefined && { torch }),
    ...(typeof totalBytes === 'number' && typeof freeBytes === 'number' && { memory: { totalBytes, freeBytes } }),
    devices: listOf(stats['devices']).map(readDevice),
  };
}

function readDevice(value: unknown): ComfyDevice {
  const { name, type, vram_total: total, vram_free: free } = recordOf(value);
  return {
    name: textOf(name) ?? 'unknown',
    type: textOf(type) ?? 'unknown',
    totalBytes: typeof total === 'number' ? total : 0,
    freeBytes: typeof free === 'number' ? free : 0,
  };
}

/** Parsed and written again, so that NaN and Infinity, which JSON does not have, are null. */
async function readNodes(http: ComfyHttp, signal: AbortSignal): Promise<NonNullable<ComfyInspection['nodes']>> {
  const classes = recordOf(await http.json({ path: '/object_info', signal }));
  return { names: Object.keys(classes), json: JSON.stringify(classes) };
}

/** Code and metadata of nodes are no models. */
const notModels = new Set(['custom_nodes', 'configs']);

async function readModels(
  http: ComfyHttp,
  signal: AbortSignal,
  warnings: string[],
): Promise<Record<string, ModelFile[]>> {
  const folders = listOf(await http.json({ path: '/models', signal }))
    .filter((name) => typeof name === 'string')
    .filter((name) => !notModels.has(name));
  const models: Record<string, ModelFile[]> = {};
  for (const folder of folders) {
    const files = await readFolder(http, folder, signal);
    if (files === undefined) warnings.push(`ComfyUI did not tell the models in ${folder.slice(0, 60)}.`);
    else if (files.length > 0) models[folder] = files;
  }
  return models;
}

/** With sizes where the version has the route for them (§1.11), else by name. */
async function readFolder(http: ComfyHttp, folder: string, signal: AbortSignal): Promise<ModelFile[] | undefined> {
  for (const route of ['/experiment/models', '/models']) {
    const path = `${route}/${encodeURIComponent(folder)}`;
    try {
      return listOf(await http.json({ path, signal })).flatMap(readModel);
    } catch (error) {
      signal.throwIfAborted();
      if (transportFailure(error) === 'refused') throw error;
    }
  }
  return undefined;
}

function readModel(value: unknown): ModelFile[] {
  if (typeof value === 'string') return [{ name: value }];
  if (!isRecord(value) || typeof value['name'] !== 'string') return [];
  const size = value['size'];
  return [{ name: value['name'], ...(typeof size === 'number' && { size }) }];
}
