/**
 * The models of a worker while it starts: reads the manifest, provides what it and MODELS name, keeps what is missing. Loaded by
 * worker/compose.ts only where there is something to provide, or folders that ComfyUI has to be told of.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ComfyRunpodError, type MissingModel, type ModelSpec } from '../shared/index.ts';
import type { ModelsConfig } from './boot-config.ts';
import { firstWritable, type ModelPlaces, type ModelState, provideModels, writeExtraPaths } from './models/index.ts';
import type { Logger } from './types.ts';

/** Models of one worker. */
export interface WorkerModels {
  readonly places: ModelPlaces | undefined;
  /** What became of them so far. */
  readonly states: readonly ModelState[];
  /** Those that are missing and that the worker may start without, or could not. */
  missing(): MissingModel[];
  /** Provides everything that is wanted. Throws the error of the first required model that can't be had. */
  provide(signal: AbortSignal): Promise<string>;
}

/** Finds the folders. Throws `CONFIG_MISSING` when models are wanted and there is no folder for them. */
export async function openModels(config: ModelsConfig, logger: Logger): Promise<WorkerModels> {
  const wanted = config.specs.length > 0 || config.manifest !== undefined;
  const own = await firstWritable(wanted ? config.own : config.own.slice(0, 1));
  if (own === undefined && wanted) throw noFolder(config.own.length > 0);
  const places = own === undefined ? undefined : { ...config.elsewhere, own };
  const states: ModelState[] = [];
  return {
    places,
    states,
    missing: () => states.flatMap(missingOf),
    provide: async (signal) => {
      const specs = await wantedModels(config);
      if (specs.length === 0 || places === undefined) return 'none are wanted';
      const { hub, offline, allowPickle, required, spaceLimitBytes } = config;
      const options = { places, hub, offline, allowPickle, required, logger };
      const limited = { ...options, ...(spaceLimitBytes !== undefined && { spaceLimitBytes }) };
      const found = await provideModels(specs, limited, signal, (state) => void states.push(state));
      assertRequired(found);
      return summary(found);
    },
  };
}

/** Writes the file that tells a ComfyUI of ours the folders. Undefined when it knows them all. */
export function tellFolders(config: ModelsConfig, models: WorkerModels, folder: string): Promise<string | undefined> {
  const volume = config.elsewhere.volume.filter((root) => existsSync(path.dirname(root)));
  const image = config.elsewhere.image;
  const own = models.places?.own ?? image;
  if (own === undefined) return Promise.resolve(undefined);
  const places: ModelPlaces = { ...config.elsewhere, own, volume };
  return writeExtraPaths(places, [], path.join(folder, 'extra_model_paths.yaml'));
}

async function wantedModels({ specs, manifest }: ModelsConfig): Promise<ModelSpec[]> {
  if (manifest === undefined) return [...specs];
  let text: string;
  try {
    text = await readFile(manifest, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ComfyRunpodError(
      'CONFIG_INVALID',
      `Wrong environment: MODELS_MANIFEST: the file can't be read (${code}).`,
      {
        cause: error,
        issues: [{ field: 'MODELS_MANIFEST', message: "can't be read" }],
      },
    );
  }
  const { parseManifest } = await import('../shared/models/manifest-text.ts');
  return [...specs, ...parseManifest(text, `The manifest ${path.basename(manifest)}`)];
}

function missingOf({ where, name, error }: ModelState): MissingModel[] {
  if (where !== 'missing') return [];
  return [{ name, code: error?.code ?? 'INTERNAL', reason: error?.message ?? 'unknown' }];
}

/** One error for all of them: whoever mends the list wants to see it whole. */
function assertRequired(states: readonly ModelState[]): void {
  const missing = states.filter(({ where, required }) => where === 'missing' && required);
  const first = missing[0]?.error;
  if (first === undefined) return;
  const more = missing.slice(1).map(({ error }) => error?.message ?? '');
  throw new ComfyRunpodError(first.code, [first.message, ...more.slice(0, 9)].join(' '), {
    cause: first,
    nextStep: first.nextStep,
    details: { ...first.details, missing: missing.length },
  });
}

function summary(states: readonly ModelState[]): string {
  const counts = new Map<string, number>();
  for (const { where } of states) counts.set(where, (counts.get(where) ?? 0) + 1);
  return [...counts].map(([where, count]) => `${count} ${where}`).join(', ');
}

function noFolder(tried: boolean): ComfyRunpodError {
  if (!tried) {
    return new ComfyRunpodError(
      'CONFIG_MISSING',
      'Models are wanted and there is no folder for them: set MODELS_DIR.',
      {
        issues: [{ field: 'MODELS_DIR', message: 'not set' }],
      },
    );
  }
  return new ComfyRunpodError('CONFIG_INVALID', 'Wrong environment: MODELS_DIR: the folder can not be written to.', {
    issues: [{ field: 'MODELS_DIR', message: 'can not be written to' }],
    nextStep: 'Name a folder that the worker may write to; with a read-only root, one on a tmpfs or a volume.',
  });
}
