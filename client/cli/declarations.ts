/**
 * Which node classes a command goes by, in this order: --object-info, the ComfyUI of --comfy-url or of the sandbox, what the endpoint's worker told
 * when it was last asked, the classes that ship. Nobody is asked before somebody needs to know, and no paid worker is started for it.
 */
import type { ClientOptions } from '../client.ts';
import {
  type Declarations,
  declarationsOf,
  readDeclarationsFile,
  shippedDeclarations,
} from '../introspection/declarations.ts';
import { keptDescription, userCacheFolder } from '../introspection/describe-cached.ts';
import { fetchDeclarations } from '../introspection/fetch-declarations.ts';
import type { CommandContext } from './command-context.ts';

/** What decides. */
export interface DeclarationFlags {
  /** A file or an address. */
  readonly objectInfo?: string | undefined;
  readonly comfyUrl?: string | undefined;
}

/** What a function of this module may take of a command. */
type Place = Pick<CommandContext, 'io' | 'environment' | 'config'>;

/** By run of the command line, then by flags: a batch prepares many jobs, and asks once. */
const found = new WeakMap<CommandContext['io'], Map<string, Promise<Declarations>>>();

/** Finds declarations at the first call and keeps them for the run of the command. */
export function declarationsFor(flags: DeclarationFlags, context: Place): () => Promise<Declarations> {
  return () => {
    const byFlags = found.get(context.io) ?? new Map<string, Promise<Declarations>>();
    found.set(context.io, byFlags);
    const key = JSON.stringify([flags.objectInfo, flags.comfyUrl]);
    const known = byFlags.get(key) ?? find(flags, context);
    byFlags.set(key, known);
    return known;
  };
}

async function find(flags: DeclarationFlags, context: Place): Promise<Declarations> {
  const { objectInfo, comfyUrl } = flags;
  if (objectInfo !== undefined) {
    return /^https?:\/\//i.test(objectInfo)
      ? fetchDeclarations(objectInfo, { option: '--object-info' })
      : readDeclarationsFile(objectInfo, context.io.folder);
  }
  if (comfyUrl !== undefined) return fetchDeclarations(comfyUrl, { option: '--comfy-url' });
  return (await keptOf(context)) ?? (await shippedDeclarations());
}

/** How the kept descriptions call an endpoint. */
export function endpointKey(options: ClientOptions): string {
  return `${options.baseUrl ?? ''} ${options.endpointId ?? ''}`;
}

/** Of the configured endpoint; of several, the first that is known, which is not exact then: any of them may take the job. */
async function keptOf(context: Place): Promise<Declarations | undefined> {
  const config = context.config();
  if (config.kind !== 'runpod') return undefined;
  const { routes = [] } = config;
  const endpoints = routes.length > 0 ? routes.map((route) => route.options) : [config.options];
  const folder = userCacheFolder(context.environment);
  for (const options of endpoints) {
    const description = await keptDescription({ folder, endpoint: endpointKey(options) });
    if (description === undefined) continue;
    const declared = await declarationsOf(description, `endpoint ${options.endpointId ?? ''} as it was last described`);
    return endpoints.length > 1 ? { ...declared, exact: false } : declared;
  }
  return undefined;
}
