/** Decides whether an address may be fetched at all, before its host is looked up. Pure. */
import { isLoopbackUrl, limits } from '../../shared/index.ts';
import { urlRefused } from './input-errors.ts';
import type { AllowPrivate } from './pinned-agent.ts';

/**
 * Parses an address. Throws `INPUT_URL_REFUSED` unless it is https without credentials. `allowPrivate` also lets http to a loopback host
 * through, but never when `from` (the address that redirected here) was https.
 */
export function guardUrl(text: string, options: { readonly allowPrivate: AllowPrivate; readonly from?: URL }): URL {
  const { allowPrivate, from } = options;
  const url = text.length > limits.inputUrlChars ? null : URL.parse(text, from?.href);
  const verb = from === undefined ? 'is' : 'redirects to';
  if (url === null)
    throw urlRefused(`${verb === 'is' ? 'is' : 'redirects to what is'} not a valid address`, from?.hostname);
  const plain =
    url.protocol === 'http:' && allowPrivate !== false && from?.protocol !== 'https:' && isLoopbackUrl(url.href);
  if (url.protocol !== 'https:' && !plain) {
    throw urlRefused(
      `${verb} ${url.protocol.slice(0, 10)} where only https: may be used`,
      from?.hostname ?? url.hostname,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw urlRefused(
      `${verb === 'is' ? 'holds' : 'redirects to one that holds'} a user name or password`,
      url.hostname,
    );
  }
  url.hash = '';
  return url;
}
