/** Clients for the endpoints that the ledger names: those of the settings and of every profile. */
import { ComfyRunpodError } from '../../shared/index.ts';
import { type Client, type ClientOptions, createClient } from '../client.ts';
import { readClientConfig, readProfileConfig } from '../config.ts';
import { profilePath, readProfiles } from '../profiles/profile-file.ts';
import type { CommandContext } from './command-context.ts';
import { endpointAddress, profilePrice } from './open-configured.ts';

interface Known {
  readonly options: ClientOptions;
  readonly price?: number | undefined;
}

/** Opens clients by the address of their endpoint, each once. Closed with the command that uses it. */
export class LedgerEndpoints implements AsyncDisposable {
  readonly #known: ReadonlyMap<string, Known>;
  readonly #clients = new Map<string, Client>();

  private constructor(known: ReadonlyMap<string, Known>) {
    this.#known = known;
  }

  /** Reads settings and profiles. A profile whose key is not set is left out: its jobs are named when they are met. */
  static async open(context: CommandContext): Promise<LedgerEndpoints> {
    const known = new Map<string, Known>();
    const { all } = await readProfiles(profilePath(context.environment));
    for (const profile of all.values()) {
      try {
        const config = readProfileConfig(context.environment, [profile]);
        if (config.kind === 'runpod') {
          known.set(endpointAddress(config.options), { options: config.options, price: profilePrice(profile) });
        }
      } catch (error) {
        if (!(error instanceof ComfyRunpodError) || error.code !== 'CONFIG_MISSING') throw error;
      }
    }
    try {
      const config = readClientConfig(context.environment);
      if (config.kind === 'runpod' && !known.has(endpointAddress(config.options))) {
        known.set(endpointAddress(config.options), { options: config.options, price: config.price });
      }
    } catch (error) {
      if (!(error instanceof ComfyRunpodError) || error.code !== 'CONFIG_MISSING') throw error;
    }
    return new LedgerEndpoints(known);
  }

  /** The client of an endpoint. Throws `CONFIG_MISSING` for one that is not configured here. */
  client(endpoint: string): Client {
    const known = this.#known.get(endpoint);
    if (known === undefined) {
      throw new ComfyRunpodError('CONFIG_MISSING', `The endpoint ${endpoint.slice(0, 200)} is not configured here.`, {
        nextStep: 'Set RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY for it, or write it into the file of profiles.',
      });
    }
    const client = this.#clients.get(endpoint) ?? createClient(known.options);
    this.#clients.set(endpoint, client);
    return client;
  }

  priceOf(endpoint: string): number | undefined {
    return this.#known.get(endpoint)?.price;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
  }
}
