/**
 * Where the client reads its environment: RUNPOD_* of the process, then of `.env` in the current folder. The only file of client/ that
 * touches process.env.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type ClientEnvironment, ComfyRunpodError, clientVariables, readEnvironment } from '../shared/index.ts';
import type { ClientOptions } from './client.ts';
import { userDataFolder } from './ledger/data-folder.ts';
import type { Profile } from './profiles/profile-file.ts';

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says: an endpoint, or nothing at all. */
export type ClientConfig =
  | {
      readonly kind: 'runpod';
      readonly options: ClientOptions;
      readonly endpointId: string;
      /** US dollars per second, where the environment says it. */
      readonly price?: number;
      /** Where profiles were chosen: each with the options of its client, the first being {@link options}. */
      readonly routes?: readonly { readonly profile: Profile; readonly options: ClientOptions }[];
    }
  | { readonly kind: 'unconfigured' };

/** The environment of this process. */
export function processEnvironment(): Environment {
  return process.env;
}

/** `environment` with the values of `.env` in `folder` under it: what the process has set (and is not empty) wins. */
export async function withDotEnv(environment: Environment, folder: string): Promise<Environment> {
  let text: string;
  try {
    text = await readFile(join(folder, '.env'), 'utf8');
  } catch {
    return environment;
  }
  const merged: Record<string, string | undefined> = { ...parseEnv(text) };
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && value.trim() !== '') merged[name] = value;
  }
  return merged;
}

/**
 * The configuration of named profiles: their endpoints, and the keys from the variables that they name. Throws `CONFIG_MISSING` for a key that
 * is not set and `CONFIG_INVALID` for malformed variables.
 */
export function readProfileConfig(environment: Environment, profiles: readonly Profile[]): ClientConfig {
  const values: ClientEnvironment = readEnvironment(clientVariables, environment);
  const routes = profiles.map((profile) => {
    const apiKey = environment[profile.key]?.trim();
    if (apiKey === undefined || apiKey === '') {
      throw new ComfyRunpodError('CONFIG_MISSING', `Profile ${profile.name} needs ${profile.key}, which is not set.`, {
        details: { variable: profile.key },
        nextStep: `Set ${profile.key} in the environment or in .env.`,
      });
    }
    const options: ClientOptions = {
      apiKey,
      endpointId: profile.endpoint,
      baseUrl: profile.baseUrl ?? values.RUNPOD_BASE_URL,
      requestTimeoutMs: values.RUNPOD_REQUEST_TIMEOUT,
      pollIntervalMs: values.RUNPOD_POLL_INTERVAL,
      maxPollDurationMs: values.RUNPOD_MAX_POLL_DURATION,
      ...sharedFolders(environment),
    };
    return { profile, options };
  });
  const [first] = routes;
  if (first === undefined) return readClientConfig(environment);
  return { kind: 'runpod', endpointId: first.profile.endpoint, options: first.options, routes };
}

/** What the processes of this machine share, beside the ledger. */
function sharedFolders(environment: Environment): Pick<ClientOptions, 'callsFolder' | 'resultsFolder'> {
  const callsFolder = userDataFolder(environment);
  return { callsFolder, resultsFolder: join(callsFolder, 'receiving') };
}

/**
 * Reads the configuration. Neither key nor endpoint: `unconfigured`. Only one of them: `CONFIG_MISSING` naming the other. Malformed values:
 * `CONFIG_INVALID`.
 */
export function readClientConfig(environment: Environment): ClientConfig {
  const values: ClientEnvironment = readEnvironment(clientVariables, environment);
  const { RUNPOD_API_KEY: apiKey, RUNPOD_ENDPOINT_ID: endpointId } = values;
  if (apiKey === undefined && endpointId === undefined) return { kind: 'unconfigured' };
  if (apiKey === undefined) throw missing('RUNPOD_API_KEY', 'RUNPOD_ENDPOINT_ID');
  if (endpointId === undefined) throw missing('RUNPOD_ENDPOINT_ID', 'RUNPOD_API_KEY');
  return {
    kind: 'runpod',
    endpointId,
    ...(values.COMFY_RUNPOD_PRICE !== undefined && { price: values.COMFY_RUNPOD_PRICE }),
    options: {
      apiKey,
      endpointId,
      baseUrl: values.RUNPOD_BASE_URL,
      requestTimeoutMs: values.RUNPOD_REQUEST_TIMEOUT,
      pollIntervalMs: values.RUNPOD_POLL_INTERVAL,
      maxPollDurationMs: values.RUNPOD_MAX_POLL_DURATION,
      ...sharedFolders(environment),
    },
  };
}

function missing(name: string, present: string): ComfyRunpodError {
  return new ComfyRunpodError('CONFIG_MISSING', `${present} is set but ${name} is not.`, {
    details: { variable: name },
    nextStep: `Set ${name}, or unset ${present} to use the sandbox.`,
  });
}
