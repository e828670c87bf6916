/**
 * Connections to one host whose addresses were looked up once, checked, and are then the only ones used: what DNS says a moment later
 * (rebinding) has no say. Proxies of the environment are not used, because a proxy would look the host up again.
 */
import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { Agent } from 'undici';
import { limits, raceSignal } from '../../shared/index.ts';
import { type AllowPrivate, classifyAddress, mayUse } from './address-class.ts';
import { bareHost, notPublic } from './guard-url.ts';

/** Looks a host name up: every address that it has. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

/** What a worker may reach for a job, and how. */
export interface Reach {
  /** Default: public addresses only. */
  readonly allowPrivate?: AllowPrivate | undefined;
  /** Default: the system's resolver. */
  readonly resolve?: ResolveHost | undefined;
  /** Certificates (PEM) that are trusted instead of the system's. */
  readonly ca?: string | undefined;
}

/** Why a host is not connected to. `why` follows its name in a sentence. */
export type Unreachable =
  | { readonly kind: 'refused'; readonly why: string }
  /** Another try may find it. */
  | { readonly kind: 'not-found'; readonly why: string; readonly reason: string; readonly cause?: unknown };

/** A way to look up one host that finds only the addresses that were checked. */
export interface PinnedHost {
  readonly kind: 'pinned';
  readonly lookup: LookupFunction;
}

const systemResolve: ResolveHost = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/** Looks the host of `url` up and refuses it when one of its addresses may not be used. Throws the signal's reason and nothing else. */
export async function pinHost(url: URL, reach: Reach, signal: AbortSignal): Promise<PinnedHost | Unreachable> {
  const host = bareHost(url);
  const found = isIP(host) === 0 ? await resolveHost(host, reach.resolve ?? systemResolve, signal) : [host];
  if ('kind' in found) return found;
  for (const address of found) {
    const kind = classifyAddress(address);
    if (!mayUse(kind, reach.allowPrivate ?? false)) return { kind: 'refused', why: notPublic(kind) };
  }
  return { kind: 'pinned', lookup: pinnedLookup(host, found) };
}

/** An agent that connects to checked addresses of the host of `url` only, one connection at a time. Destroy it. */
export async function createPinnedAgent(
  url: URL,
  reach: Reach,
  signal: AbortSignal,
): Promise<{ readonly kind: 'agent'; readonly agent: Agent } | Unreachable> {
  const pinned = await pinHost(url, reach, signal);
  if (pinned.kind !== 'pinned') return pinned;
  const agent = new Agent({
    connections: 1,
    pipelining: 1,
    allowH2: false,
    // The deadline and the idle watch of the transfer are the only clocks.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: limits.inputConnectMs,
      lookup: pinned.lookup,
      ...(reach.ca !== undefined && { ca: reach.ca }),
    },
  });
  return { kind: 'agent', agent };
}

async function resolveHost(
  host: string,
  resolve: ResolveHost,
  signal: AbortSignal,
): Promise<readonly string[] | Unreachable> {
  try {
    const addresses = await raceSignal(resolve(host), signal);
    if (addresses.length > 0) return addresses;
    return { kind: 'not-found', why: 'has no network address', reason: 'ENODATA' };
  } catch (cause) {
    signal.throwIfAborted();
    return { kind: 'not-found', why: 'could not be looked up', reason: codeOf(cause), cause };
  }
}

function pinnedLookup(host: string, addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (asked, { all }, callback) => {
    const first = found[0];
    if (asked !== host || first === undefined) callback(new Error('asked for another host'), '', 0);
    else if (all === true) callback(null, found);
    else callback(null, first.address, first.family);
  };
}

/** The code of a system or undici error, or its class. Never its text, which may hold an address. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  return error.cause === undefined ? error.name : codeOf(error.cause);
}
