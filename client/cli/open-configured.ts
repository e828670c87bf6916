/** The client of a configuration: one endpoint, or a route over the endpoints of several profiles. */
import { type Client, type ClientOptions, createClient } from '../client.ts';
import type { ClientConfig } from '../config.ts';
import { gpuPrice } from '../data/prices.ts';
import { contentHash } from '../ledger/content-hash.ts';
import type { LedgerRow } from '../ledger/ledger-row.ts';
import { recordSubmits, type SubmitFacts } from '../ledger/record-submits.ts';
import type { Profile } from '../profiles/profile-file.ts';
import type { JobNeeds } from '../profiles/rank-endpoints.ts';
import { createRoutedTransport, type RouteMember } from '../profiles/routed-transport.ts';
import { clearAbandonedResults } from '../receiving/result-spool.ts';
import { createRunpodTransport } from '../transport/runpod/runpod-transport.ts';
import type { CommandContext } from './command-context.ts';

/** What a client is opened for. */
export interface OpenUse {
  readonly context: Pick<CommandContext, 'note' | 'book'>;
  readonly needs?: JobNeeds | undefined;
  /** Written into the ledger with every job that is submitted. */
  readonly facts: Pick<SubmitFacts, 'command' | 'outFolder' | 'batch' | 'item' | 'seeds'>;
}

/** An endpoint that a job may go to. */
export interface PricedEndpoint {
  /** As the ledger names it. */
  readonly address: string;
  /** US dollars per second, where that is known. */
  readonly price?: number | undefined;
}

/** An opened client, and what its jobs cost. */
export interface OpenedClient {
  readonly client: Client;
  /** Where its jobs may go. */
  readonly endpoints: readonly PricedEndpoint[];
  /** US dollars per second of the endpoint that has the job, where that is known. */
  readonly priceOf: (jobId: string) => number | undefined;
  /** True where every endpoint has a price. */
  readonly priced: boolean;
}

/** Opens it; the caller closes the client. Every submit is in the ledger. Where a job goes is told on stderr when there was a choice. */
export async function openConfigured(
  config: Extract<ClientConfig, { kind: 'runpod' }>,
  { context, needs, facts }: OpenUse,
): Promise<OpenedClient> {
  const book = await context.book();
  if (config.options.resultsFolder !== undefined) await clearAbandonedResults(config.options.resultsFolder);
  const { routes = [] } = config;
  const [only] = routes;
  if (routes.length < 2) {
    const endpoint = endpointAddress(config.options);
    const profile = only?.profile.name;
    const client = createClient(config.options);
    const price = config.price ?? (only && profilePrice(only.profile));
    return {
      client: recordSubmits(client, book, {
        facts: () => ({ ...facts, endpoint, ...(profile !== undefined && { profile }) }),
        onRepeat: (earlier) => context.note(repeatText(earlier)),
      }),
      endpoints: [{ address: endpoint, price }],
      priceOf: () => price,
      priced: price !== undefined,
    };
  }
  const named = new Map(routes.map((route) => [route.profile.name, route]));
  const placed = new Map<string, Profile>();
  /** Profiles that may have a job already, by its key. */
  const pinned = new Map<unknown, string>();
  const transport = createRoutedTransport({
    members: routes.map(({ profile, options }): RouteMember => {
      const { name, vram, tags, models } = profile;
      const endpoint = endpointAddress(options);
      return {
        name,
        vram,
        tags,
        models,
        price: profilePrice(profile),
        transport: transportOf(options),
        pastMs: ({ input }) =>
          book.attempt((ledger) => ledger.pastRun(contentHash(input['workflow']), endpoint))?.executionMs,
      };
    }),
    ...(needs !== undefined && { needs: () => needs }),
    only: ({ input }) => pinned.get(input['key']),
    onTrying: ({ input }, name) => {
      const route = named.get(name);
      const { key } = input;
      if (route && typeof key === 'string') {
        book.attempt((ledger) => ledger.sendingTo(key, endpointAddress(route.options)));
      }
    },
    onRouted: ({ id, name, before }) => {
      const route = named.get(name);
      if (route) placed.set(id, route.profile);
      if (before === undefined) return context.note(`endpoint  ${name}`);
      if (route) book.known(before).submitted(id, endpointAddress(route.options));
      context.note(`Job ${before} waited without a worker: cancelled, and sent to ${name} as ${id}.`);
    },
  });
  const client = createClient({ transport, ...waitOf(config.options) });
  // Which endpoint it will be is known when it is tried; until then all of them stand in the ledger.
  const endpoint = routes.map(({ options }) => endpointAddress(options)).join(' ');
  return {
    client: recordSubmits(client, book, {
      facts: () => ({ ...facts, endpoint }),
      endpointOf: (id) => {
        const profile = placed.get(id);
        const route = profile && named.get(profile.name);
        return route && endpointAddress(route.options);
      },
      onRepeat: (earlier) => {
        context.note(repeatText(earlier));
        const route = routes.find(({ options }) => endpointAddress(options) === earlier.endpoint);
        if (route) pinned.set(earlier.key, route.profile.name);
      },
    }),
    endpoints: routes.map(({ profile, options }) => ({
      address: endpointAddress(options),
      price: profilePrice(profile),
    })),
    priced: routes.every(({ profile }) => profilePrice(profile) !== undefined),
    priceOf: (id) => {
      const profile = placed.get(id);
      return profile && profilePrice(profile);
    },
  };
}

function repeatText({ createdAt }: LedgerRow): string {
  const when = new Date(createdAt).toISOString().slice(0, 19).replace('T', ' ');
  return `This was sent at ${when} UTC, and nobody knows whether it arrived: it is sent under the same key, which a worker renders once.`;
}

/** Address and id of an endpoint, as the ledger names it. */
export function endpointAddress({ baseUrl, endpointId }: ClientOptions): string {
  return `${baseUrl ?? ''}/${endpointId ?? ''}`;
}

/** US dollars per second of a profile: its own price, or that of its GPU. */
export function profilePrice({ price, gpu }: Profile): number | undefined {
  return price ?? (gpu === undefined ? undefined : gpuPrice(gpu));
}

function waitOf({
  maxPollDurationMs,
  resultsFolder,
}: ClientOptions): Pick<ClientOptions, 'maxPollDurationMs' | 'resultsFolder'> {
  return { ...(maxPollDurationMs !== undefined && { maxPollDurationMs }), ...(resultsFolder && { resultsFolder }) };
}

function transportOf(options: ClientOptions) {
  const { apiKey = '', endpointId = '', baseUrl = '', requestTimeoutMs = 30_000, pollIntervalMs = 3_000 } = options;
  const { callsFolder } = options;
  return createRunpodTransport({ apiKey, endpointId, baseUrl, requestTimeoutMs, pollIntervalMs, callsFolder });
}
