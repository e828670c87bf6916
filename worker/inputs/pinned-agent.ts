/**
 * Connections to one host whose addresses were looked up once, checked, and are then the only ones used: what DNS says a moment later
 * (rebinding) has no say. Proxies of the environment are not used, because a proxy would look the host up again.
 */
import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { Agent } from 'undici';
import { limits, raceSignal } from '../../shared/index.ts';
import { type AddressClass, classifyAddress } from './address-class.ts';
import { fetchFailed, urlRefused } from './input-errors.ts';

/** Looks a host name up: every address that it has. */
export type ResolveHost = (host: string) => Promise<readonly string[]>;

/** Which addresses may be fetched from besides public ones: none, this machine's own, or any valid one. */
export type AllowPrivate = boolean | 'loopback';

/** How a host is reached. */
export interface PinOptions {
  readonly allowPrivate: AllowPrivate;
  /** Default: the system's resolver. */
  readonly resolve?: ResolveHost | undefined;
  /** Certificates (PEM) that are trusted instead of the system's. */
  readonly ca?: string | undefined;
  readonly signal: AbortSignal;
}

const systemResolve: ResolveHost = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address);

/**
 * Looks the host of `url` up and opens an agent that connects to the found addresses only. Throws `INPUT_URL_REFUSED` when one of them is not
 * public, `INPUT_FETCH_FAILED` when there are none. Destroy the agent.
 */
export async function createPinnedAgent(url: URL, options: PinOptions): Promise<Agent> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const addresses = isIP(host) === 0 ? await resolveHost(host, options) : [host];
  for (const address of addresses) {
    const kind = classifyAddress(address);
    if (!mayUse(kind, options.allowPrivate)) {
      throw urlRefused(`leads to a network address that is not public (${kind})`, url.hostname);
    }
  }
  return new Agent({
    connections: 1,
    pipelining: 1,
    allowH2: false,
    // The deadline and the idle watch of the fetch are the only clocks.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: limits.inputConnectMs,
      lookup: pinnedLookup(host, addresses),
      ...(options.ca !== undefined && { ca: options.ca }),
    },
  });
}

function mayUse(kind: AddressClass, allowPrivate: AllowPrivate): boolean {
  if (kind === 'public') return true;
  return allowPrivate === 'loopback' ? kind === 'loopback' : allowPrivate && kind !== 'invalid';
}

async function resolveHost(host: string, { resolve = systemResolve, signal }: PinOptions): Promise<readonly string[]> {
  let addresses: readonly string[];
  try {
    addresses = await raceSignal(resolve(host), signal);
  } catch (error) {
    signal.throwIfAborted();
    throw fetchFailed(host, 'could not be looked up', codeOf(error), error);
  }
  if (addresses.length === 0) throw fetchFailed(host, 'has no network address', 'ENODATA');
  return addresses;
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
