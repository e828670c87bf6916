/** Decides whether an address that a caller gave may be used at all, before its host is looked up. Pure. */
import { isIP } from 'node:net';
import { isLoopbackUrl, limits } from '../../shared/index.ts';
import { type AllowPrivate, classifyAddress, mayUse } from './address-class.ts';

/** An address as it may be used, or why it may not. */
export type GuardedUrl =
  | { readonly kind: 'url'; readonly url: URL }
  /** `why` follows the name of the host in a sentence and repeats nothing of the address. */
  | { readonly kind: 'refused'; readonly why: string; readonly host: string | undefined };

/**
 * Parses an address and refuses it unless it is https without credentials. `allowPrivate` also lets http to a loopback host through, but never
 * when `from` (the address that redirected here) was https. A host that is a network address is judged here, a name when it is looked up.
 */
export function guardUrl(
  text: string,
  options: { readonly allowPrivate: AllowPrivate; readonly from?: URL | undefined },
): GuardedUrl {
  const { allowPrivate, from } = options;
  const [is, holds] = from === undefined ? ['is', 'holds'] : ['redirects to', 'redirects to one that holds'];
  const url = text.length > limits.inputUrlChars ? null : URL.parse(text, from?.href);
  if (url === null) {
    return refused(from === undefined ? 'is not a valid address' : `${is} what is not a valid address`, from?.hostname);
  }
  const plain =
    url.protocol === 'http:' && allowPrivate !== false && from?.protocol !== 'https:' && isLoopbackUrl(url.href);
  if (url.protocol !== 'https:' && !plain) {
    return refused(`${is} ${url.protocol.slice(0, 10)} where only https: may be used`, from?.hostname ?? url.hostname);
  }
  if (url.username !== '' || url.password !== '') return refused(`${holds} a user name or password`, url.hostname);
  const host = bareHost(url);
  const kind = isIP(host) === 0 ? 'public' : classifyAddress(host);
  if (!mayUse(kind, allowPrivate)) return refused(notPublic(kind), url.hostname);
  url.hash = '';
  return { kind: 'url', url };
}

/** The host without the brackets of an IPv6 address. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

/** Why an address of this class is refused. */
export function notPublic(kind: ReturnType<typeof classifyAddress>): string {
  return `leads to a network address that is not public (${kind})`;
}

function refused(why: string, host: string | undefined): GuardedUrl {
  return { kind: 'refused', why, host };
}
