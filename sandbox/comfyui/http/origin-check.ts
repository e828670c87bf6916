// Which requests a browser's page from elsewhere may not make (ComfyUI protocol notes §5.2).
import { lookup } from 'node:dns/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

function isLoopbackAddress(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Whether a host name stands for this machine: all its addresses are loopback ones. */
export async function isLoopback(host: string): Promise<boolean> {
  if (isIP(host) !== 0) return isLoopbackAddress(host);
  if (host === 'localhost') return true;
  try {
    const found = await lookup(host, { all: true });
    return found.length > 0 && found.every((entry) => isLoopbackAddress(entry.address));
  } catch {
    return false;
  }
}

interface HostAndPort {
  readonly host: string;
  readonly port: string | undefined;
}

function splitHost(text: string): HostAndPort {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(text);
  return { host: (match?.[1] ?? match?.[2] ?? '').toLowerCase(), port: match?.[3] };
}

/** True when host and origin contradict each other on loopback; the answer is an empty 403. */
export async function isForeignOrigin(headers: IncomingHttpHeaders): Promise<boolean> {
  const { host, origin } = headers;
  if (host === undefined || origin === undefined) return false;
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(origin)?.[1]?.split('@').at(-1);
  const [ours, theirs] = [splitHost(host), splitHost(authority ?? '')];
  if (theirs.host === '' || ours.host === '' || !(await isLoopback(ours.host))) return false;
  const comparePorts = ours.port !== undefined && theirs.port !== undefined;
  return ours.host !== theirs.host || (comparePorts && ours.port !== theirs.port);
}
