/**
 * Named profiles: the endpoints that a person uses, in one file of theirs. Keys are never in it; a profile names the variable that holds one.
 *
 *     default: [cheap, fast]
 *     profiles:
 *       cheap: { endpoint: abc123, price: 0.00019, vram: 24 }
 *       fast:  { endpoint: def456, price: 0.00076, vram: 80, key: TEAM_RUNPOD_KEY, tags: [video] }
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { ComfyRunpodError, isLoopbackUrl } from '../../shared/index.ts';

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'is not a name: letters, digits, dot, dash, underscore');

const profileSchema = z.strictObject({
  /** Id of the endpoint. */
  endpoint: z.string().min(1),
  /** Name of the variable that holds the key. Default `RUNPOD_API_KEY`. */
  key: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is the name of a variable, never a key itself')
    .default('RUNPOD_API_KEY'),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .refine((url) => url.startsWith('https:') || isLoopbackUrl(url), 'must be https, or http to loopback only')
    .optional(),
  /** US dollars per second of a running worker. */
  price: z.number().min(0).optional(),
  /** Its GPU, as the price table names it; for people and for the price. */
  gpu: z.string().optional(),
  /** Memory of its GPU, GiB. */
  vram: z.number().positive().optional(),
  /** Model files that it has; a job that needs another one is not sent there. Absent: not known, anything may be sent. */
  models: z.array(z.string()).optional(),
  /** Words that `--needs tag=WORD` asks for. */
  tags: z.array(z.string()).default([]),
});

const fileSchema = z.strictObject({
  /** What is used where nothing else is said: one name, or several to choose from. */
  default: z.union([name, z.array(name).min(1)]).optional(),
  profiles: z.record(name, profileSchema).default({}),
  /** US dollars per second by GPU, in place of the built-in table's. */
  prices: z.record(z.string(), z.number().min(0)).default({}),
});

/** One endpoint of the file, with its name. */
export type Profile = z.output<typeof profileSchema> & { readonly name: string };

/** The file as it was read; no file is the same as an empty one. */
export interface Profiles {
  readonly path: string;
  readonly defaults: readonly string[];
  readonly all: ReadonlyMap<string, Profile>;
}

/** Where the file lies: `COMFY_RUNPOD_CONFIG`, else `comfy-runpod/config.yaml` in the folder that the system has for such files. */
export function profilePath(environment: Readonly<Record<string, string | undefined>>): string {
  const named = environment['COMFY_RUNPOD_CONFIG']?.trim();
  if (named !== undefined && named !== '') return path.resolve(named);
  const home = environment['HOME'] || homedir();
  const base =
    environment['XDG_CONFIG_HOME'] ||
    (process.platform === 'win32' ? environment['APPDATA'] : undefined) ||
    path.join(home, process.platform === 'darwin' ? 'Library/Application Support' : '.config');
  return path.join(base, 'comfy-runpod', 'config.yaml');
}

/** Reads the file. Throws `CONFIG_INVALID` that names line and field, never a value. */
export async function readProfiles(file: string): Promise<Profiles> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return { path: file, defaults: [], all: new Map() };
    }
    throw invalid('can not be read', [], error);
  }
  const document = parseDocument(text, { prettyErrors: false });
  const fault = document.errors[0];
  if (fault !== undefined) throw invalid(`is not YAML: ${fault.code} in line ${lineOf(text, fault.pos[0])}`);
  const parsed = fileSchema.safeParse(document.toJS({ maxAliasCount: 100 }) ?? {});
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), message: issue.message }));
    throw invalid(`is wrong: ${issues.map((issue) => `${issue.field}: ${issue.message}`).join('; ')}`, issues);
  }
  const all = new Map(
    Object.entries(parsed.data.profiles).map(([key, value]) => [
      key,
      priced({ ...value, name: key }, parsed.data.prices),
    ]),
  );
  const { default: chosen = [] } = parsed.data;
  const profiles = { path: file, defaults: typeof chosen === 'string' ? [chosen] : chosen, all };
  chooseProfiles(profiles, profiles.defaults);
  return profiles;
}

/** The file's own price of its GPU, where the profile has none. */
function priced(profile: Profile, prices: Readonly<Record<string, number>>): Profile {
  const plain = (text: string) =>
    text
      .toLowerCase()
      .replaceAll(/[\s_-]+/g, ' ')
      .trim();
  const { gpu, price } = profile;
  const own = Object.entries(prices).find(([key]) => gpu !== undefined && plain(key) === plain(gpu))?.[1];
  return price === undefined && own !== undefined ? { ...profile, price: own } : profile;
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

function invalid(what: string, issues: { field: string; message: string }[] = [], cause?: unknown): ComfyRunpodError {
  return new ComfyRunpodError('CONFIG_INVALID', `The file of profiles ${what}.`, {
    issues,
    ...(cause !== undefined && { cause }),
    nextStep: 'Correct it; `comfy-runpod profiles` prints where it is.',
  });
}

/** The named profiles in that order; `auto` stands for all of them. Throws `CONFIG_MISSING` with the names that there are. */
export function chooseProfiles(profiles: Profiles, names: readonly string[]): Profile[] {
  if (names.length === 1 && names[0] === 'auto' && !profiles.all.has('auto')) {
    if (profiles.all.size > 0) return [...profiles.all.values()];
    throw new ComfyRunpodError('CONFIG_MISSING', 'There are no profiles to choose from.', {
      nextStep: 'Write them into the file that `comfy-runpod profiles` names.',
    });
  }
  return names.map((wanted) => {
    const profile = profiles.all.get(wanted);
    if (profile !== undefined) return profile;
    const known = [...profiles.all.keys()].join(', ');
    throw new ComfyRunpodError('CONFIG_MISSING', `There is no profile ${JSON.stringify(wanted.slice(0, 64))}.`, {
      nextStep: known === '' ? 'Write it into the file that `comfy-runpod profiles` names.' : `There are: ${known}.`,
    });
  });
}
