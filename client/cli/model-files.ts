/** Fetching models on this machine: the worker's own way of getting them, used by `models pull`. With the local stack one of the places that cross. */
import { readEnvironment, workerVariables } from '../../shared/index.ts';
import { type ModelState, type ModelStoreOptions, pinModels, provideModels } from '../../worker/models/index.ts';
import type { Environment } from '../config.ts';

/** Where to, and how. */
export interface PullOptions {
  /** A models folder, absolute: `loras`, `vae` and the others are in it. */
  readonly into: string;
  readonly allowPickle: boolean;
  readonly environment: Environment;
  readonly note: (text: string) => void;
  readonly signal: AbortSignal;
}

/** Fetches what is not there. Answers what became of each. Throws `CONFIG_INVALID` for a wrong HF_TOKEN or HF_ENDPOINT. */
export async function pullModels(
  specs: Parameters<typeof provideModels>[0],
  { into, allowPickle, environment, note, signal }: PullOptions,
): Promise<ModelState[]> {
  const { HF_HUB_OFFLINE } = workerVariables;
  const values = readEnvironment({ HF_HUB_OFFLINE }, environment);
  const say = (fields: object, message: string) => note(describe(message, fields));
  const logger: ModelStoreOptions['logger'] = {
    debug: () => undefined,
    info: say,
    warn: say,
    // Told once, at the end, with the next step.
    error: () => undefined,
    child: () => logger,
  };
  const options: ModelStoreOptions = {
    places: { own: into, volume: [], hostCache: `${into}/.comfy-runpod/none` },
    hub: hubAccess(environment),
    offline: values.HF_HUB_OFFLINE,
    allowPickle,
    logger,
  };
  return provideModels(specs, options, signal);
}

/** Completes models of the hub with the size and the hash that they have now. Throws what `pinModels` throws. */
export function lockModels(
  specs: Parameters<typeof pinModels>[0],
  environment: Environment,
  signal: AbortSignal,
): ReturnType<typeof pinModels> {
  return pinModels(specs, hubAccess(environment), signal);
}

function hubAccess(environment: Environment): ModelStoreOptions['hub'] {
  const { HF_TOKEN, HF_ENDPOINT } = workerVariables;
  const values = readEnvironment({ HF_TOKEN, HF_ENDPOINT }, environment);
  return { hubUrl: values.HF_ENDPOINT, ...(values.HF_TOKEN !== undefined && { token: values.HF_TOKEN }) };
}

function describe(message: string, fields: object): string {
  const facts = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${String(value)}`],
  );
  return `${message}: ${facts.join(', ')}`;
}
