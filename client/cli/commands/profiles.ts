/** `profiles`: the endpoints of the file of profiles, and how they are just now. */
import { ComfyRunpodError, exitCodes, type HealthView, isComfyRunpodError } from '../../../shared/index.ts';
import { createClient } from '../../client.ts';
import { readProfileConfig } from '../../config.ts';
import { type Profile, profilePath, readProfiles } from '../../profiles/profile-file.ts';
import type { JobNeeds } from '../../profiles/rank-endpoints.ts';
import type { CommandContext } from '../command-context.ts';
import { queueText } from '../queue-watch.ts';
import { oneLine } from '../terminal-text.ts';

/** Milliseconds that an endpoint has to tell its counters. */
const answerWithinMs = 8_000;

/** Lists the profiles with their counters. A profile that can't be asked is listed with the reason. */
export async function profilesCommand(context: CommandContext): Promise<number> {
  const file = profilePath(context.environment);
  const profiles = await readProfiles(file);
  const rows = await Promise.all(
    [...profiles.all.values()].map(async (profile) => ({ profile, ...(await look(profile, context)) })),
  );
  const defaults = new Set(profiles.defaults);
  const lines = rows.map(({ profile, text }) => {
    const facts = [
      profile.endpoint,
      profile.gpu,
      profile.vram === undefined ? undefined : `${profile.vram} GiB`,
      profile.price === undefined ? undefined : `$${profile.price}/s`,
      ...profile.tags,
    ].filter((fact) => fact !== undefined);
    const mark = defaults.has(profile.name) ? '*' : ' ';
    return `${mark} ${oneLine(`${profile.name}: ${facts.join(', ')}; ${text}`, 500)}`;
  });
  const empty = rows.length === 0 ? ['no profiles yet; see docs/profiles.md'] : [];
  context.print([`file ${file}`, ...lines, ...empty, ''].join('\n'), {
    ok: true,
    file,
    default: profiles.defaults,
    profiles: rows.map(({ profile, health, error }) => ({
      ...profile,
      ...(health && { health }),
      ...(error && { error: { code: error.code, message: error.message } }),
    })),
  });
  return exitCodes.success;
}

async function look(
  profile: Profile,
  context: CommandContext,
): Promise<{ text: string; health?: HealthView; error?: ComfyRunpodError }> {
  try {
    const config = readProfileConfig(context.environment, [profile]);
    if (config.kind !== 'runpod') return { text: 'not configured' };
    const client = createClient({ ...config.options, attempts: 1 });
    try {
      const health = await client.health({ signal: AbortSignal.timeout(answerWithinMs) });
      return { health, text: queueText(health) };
    } finally {
      await client.close();
    }
  } catch (error) {
    if (isComfyRunpodError(error)) return { error, text: `${error.code}: ${error.message}` };
    return { text: 'no answer in time' };
  }
}

/** `--needs vram=24,tag=video` as needs. Throws `USAGE`. */
export function parseNeeds(text: string): JobNeeds {
  const tags: string[] = [];
  const models: string[] = [];
  let vram: number | undefined;
  for (const part of text
    .split(',')
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '')) {
    const [key = '', ...rest] = part.split('=');
    const value = rest.join('=').trim();
    if (key === 'vram' && /^\d+(\.\d+)?$/.test(value)) vram = Number(value);
    else if (key === 'tag' && value !== '') tags.push(value);
    else if (key === 'model' && value !== '') models.push(value);
    else throw new ComfyRunpodError('USAGE', '--needs takes vram=GIB, tag=WORD and model=FILE, separated by commas.');
  }
  return { tags, models, ...(vram !== undefined && { vram }) };
}
