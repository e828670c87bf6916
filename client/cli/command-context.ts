/** What every command is given: the world, the flags they share, and the one way to print a result. */
import { ComfyRunpodError, toComfyRunpodError } from '../../shared/index.ts';
import { type ClientConfig, type Environment, readClientConfig, readProfileConfig, withDotEnv } from '../config.ts';
import { userDataFolder } from '../ledger/data-folder.ts';
import { JobBook } from '../ledger/job-book.ts';
import { chooseProfiles, profilePath, readProfiles } from '../profiles/profile-file.ts';
import type { CliIo } from './io.ts';
import { type Palette, palette } from './terminal-text.ts';

/** What a command prints, by its flags. */
export interface OutputFlags {
  readonly json?: boolean;
  readonly jsonl?: boolean;
  readonly quiet?: boolean;
  /** Names of profiles, separated by commas. */
  readonly profile?: string;
}

/** One run of one command. */
export interface CommandContext {
  readonly io: CliIo;
  /** JSON on stdout, also on failure: one document, or with {@link jsonl} the last of its lines. */
  readonly json: boolean;
  /** A line of JSON on stdout for everything that happens, the result being the last. */
  readonly jsonl: boolean;
  /** Nothing on stderr but errors. */
  readonly quiet: boolean;
  readonly paint: Palette;
  /** The process environment over `.env`. */
  readonly environment: Environment;
  readonly config: () => ClientConfig;
  /** The ledger of the user, opened when it is first asked for and closed with the command. */
  readonly book: () => Promise<JobBook>;
  /** Prints the result of a command: `document` with --json, else `text`. */
  readonly print: (text: string, document: object) => void;
  /** With --jsonl: a line of its own on stdout. Otherwise nothing. */
  readonly emit: (event: object) => void;
  /** A line on stderr. */
  readonly note: (text: string) => void;
}

/** Reads `.env` and makes the context. */
export async function createContext(io: CliIo, flags: OutputFlags): Promise<CommandContext & AsyncDisposable> {
  const environment = await withDotEnv(io.environment, io.folder);
  const jsonl = flags.jsonl === true;
  const json = flags.json === true || jsonl;
  const quiet = flags.quiet === true;
  const config = await configReader(environment, flags.profile);
  let book: Promise<JobBook> | undefined;
  const note = (text: string) => void (quiet || io.stderr.write(`${text}\n`));
  return {
    io,
    json,
    jsonl,
    quiet,
    environment,
    paint: palette(io.interactive, environment),
    config,
    print: (text, document) =>
      io.stdout.write(json ? `${JSON.stringify(jsonl ? { type: 'result', ...document } : document)}\n` : text),
    emit: (event) => void (jsonl && io.stdout.write(`${JSON.stringify(event)}\n`)),
    note,
    book: () => {
      book ??= JobBook.open(userDataFolder(environment), (error) =>
        note(`warning: ${error.code}: ${error.message} ${error.nextStep}`),
      );
      return book;
    },
    [Symbol.asyncDispose]: async () => (await book)?.close(),
  };
}

/**
 * Which endpoint is meant: --profile, else COMFY_RUNPOD_PROFILE, else RUNPOD_ENDPOINT_ID, else the default of the file of profiles. Errors are
 * thrown by the returned function, so that commands without an endpoint don't meet them.
 */
async function configReader(environment: Environment, flag: string | undefined): Promise<() => ClientConfig> {
  const wish = (flag ?? environment['COMFY_RUNPOD_PROFILE'] ?? '').trim();
  const named = wish
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const direct = (environment['RUNPOD_ENDPOINT_ID'] ?? '').trim() !== '';
  if (named.length === 0 && direct) return () => readClientConfig(environment);
  const read = await readProfiles(profilePath(environment)).catch((error: unknown) => toComfyRunpodError(error));
  return () => {
    if (read instanceof ComfyRunpodError) throw read;
    const chosen = chooseProfiles(read, named.length > 0 ? named : read.defaults);
    return chosen.length > 0 ? readProfileConfig(environment, chosen) : readClientConfig(environment);
  };
}

/** The configuration of a command that needs a real endpoint (or a `comfy-runpod dev` elsewhere). Throws `CONFIG_MISSING`. */
export function configuredEndpoint(context: CommandContext): Extract<ClientConfig, { kind: 'runpod' }> {
  const config = context.config();
  if (config.kind === 'runpod') return config;
  throw new ComfyRunpodError('CONFIG_MISSING', 'Neither RUNPOD_API_KEY nor RUNPOD_ENDPOINT_ID is set.', {
    nextStep:
      'Set both in the environment or in .env; or start `comfy-runpod dev` and set what it prints; `comfy-runpod run` alone needs neither.',
  });
}

/** A number of seconds from an option, as milliseconds. Throws `USAGE`. */
export function secondsOption(text: string, name: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value < min || value > max) {
    throw new ComfyRunpodError('USAGE', `${name} takes a number of seconds from ${min} to ${max}.`);
  }
  return Math.round(value * 1000);
}
