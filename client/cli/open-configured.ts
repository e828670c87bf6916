/** The client of a configuration: one endpoint, or a route over the endpoints of several profiles. */
import { type Client, type ClientOptions, createClient } from '../client.ts';
import type { ClientConfig } from '../config.ts';
import type { JobNeeds } from '../profiles/rank-endpoints.ts';
import { createRoutedTransport, type RouteMember } from '../profiles/routed-transport.ts';
import { createRunpodTransport } from '../transport/runpod/runpod-transport.ts';
import type { CommandContext } from './command-context.ts';

/** Opens it; the caller closes the client. Where a job goes is told on stderr when there was a choice. */
export function openConfigured(
  config: Extract<ClientConfig, { kind: 'runpod' }>,
  use: { readonly context: Pick<CommandContext, 'note'>; readonly needs?: JobNeeds | undefined },
): Client {
  const { routes = [] } = config;
  if (routes.length < 2) return createClient(config.options);
  const { needs } = use;
  const transport = createRoutedTransport({
    members: routes.map(({ profile, options }): RouteMember => {
      const { name, vram, tags, models, price } = profile;
      return { name, vram, tags, models, price, transport: transportOf(options) };
    }),
    ...(needs !== undefined && { needs: () => needs }),
    onRouted: ({ id, name, before }) =>
      use.context.note(
        before === undefined
          ? `endpoint  ${name}`
          : `Job ${before} waited without a worker: cancelled, and sent to ${name} as ${id}.`,
      ),
  });
  return createClient({ transport, ...waitOf(config.options) });
}

function waitOf({ maxPollDurationMs }: ClientOptions): Pick<ClientOptions, 'maxPollDurationMs'> {
  return maxPollDurationMs === undefined ? {} : { maxPollDurationMs };
}

function transportOf(options: ClientOptions) {
  const { apiKey = '', endpointId = '', baseUrl = '', requestTimeoutMs = 30_000, pollIntervalMs = 3_000 } = options;
  return createRunpodTransport({ apiKey, endpointId, baseUrl, requestTimeoutMs, pollIntervalMs });
}
