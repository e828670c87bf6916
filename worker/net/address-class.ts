/**
 * Which network addresses a worker may use for a job: fetch from, send results to. Only addresses of the public Internet pass; everything that IANA lists for special use
 * (IPv4 and IPv6 Special-Purpose Address Registries) does not, nor do the metadata services of clouds. An IPv6 address that carries an IPv4
 * address is judged by what it carries. Pure.
 */
import { isIP } from 'node:net';

/** What an address is for. Without permission only `public` may be used. */
export type AddressClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'shared'
  | 'metadata'
  | 'multicast'
  | 'reserved'
  | 'transition'
  | 'invalid';

/** Which addresses may be used besides public ones: none, this machine's own, or any valid one. */
export type AllowPrivate = boolean | 'loopback';

interface Range {
  readonly base: bigint;
  readonly bits: number;
  readonly is: AddressClass;
}

function range(cidr: string, is: AddressClass): Range {
  const [address = '', bits = ''] = cidr.split('/');
  return { base: isIP(address) === 4 ? ipv4Number(address) : ipv6Number(address), bits: Number(bits), is };
}

/** First match wins. Metadata first: most of these addresses lie in ranges that are refused anyway, 168.63.129.16 (Azure) does not. */
const ipv4Ranges: readonly Range[] = [
  range('169.254.169.254/32', 'metadata'),
  range('169.254.170.2/32', 'metadata'),
  range('168.63.129.16/32', 'metadata'),
  range('100.100.100.200/32', 'metadata'),
  range('192.0.0.192/32', 'metadata'),
  range('0.0.0.0/8', 'reserved'),
  range('10.0.0.0/8', 'private'),
  range('100.64.0.0/10', 'shared'),
  range('127.0.0.0/8', 'loopback'),
  range('169.254.0.0/16', 'link-local'),
  range('172.16.0.0/12', 'private'),
  range('192.0.0.0/24', 'reserved'),
  range('192.0.2.0/24', 'reserved'),
  range('192.88.99.0/24', 'transition'),
  range('192.168.0.0/16', 'private'),
  range('198.18.0.0/15', 'reserved'),
  range('198.51.100.0/24', 'reserved'),
  range('203.0.113.0/24', 'reserved'),
  range('224.0.0.0/4', 'multicast'),
  range('240.0.0.0/4', 'reserved'),
];

/** Named for the message's sake; what is in none of them is public inside 2000::/3 and reserved outside. */
const ipv6Ranges: readonly Range[] = [
  range('fd00:ec2::254/128', 'metadata'),
  range('fd20:ce::254/128', 'metadata'),
  range('::1/128', 'loopback'),
  range('fe80::/10', 'link-local'),
  range('fc00::/7', 'private'),
  range('fec0::/10', 'private'),
  range('ff00::/8', 'multicast'),
  // Teredo, ORCHID, benchmarking and what else IETF protocols were given.
  range('2001::/23', 'reserved'),
  range('2001:db8::/32', 'reserved'),
  range('3fff::/20', 'reserved'),
  // 6to4 is retired (RFC 7526): whatever it carries, nobody serves files there.
  range('2002::/16', 'transition'),
];

const globalUnicast = range('2000::/3', 'public');
const mapped = range('::ffff:0:0/96', 'transition');
const nat64 = range('64:ff9b::/96', 'transition');

/** The class of an IPv4 or IPv6 address in text. A zone (`%eth0`) makes it link-local by meaning and invalid here. */
export function classifyAddress(address: string): AddressClass {
  const version = address.includes('%') ? 0 : isIP(address);
  if (version === 4) return classifyIpv4(ipv4Number(address));
  if (version === 6) return classifyIpv6(ipv6Number(address));
  return 'invalid';
}

/** True when an address of this class may be used. */
export function mayUse(kind: AddressClass, allowPrivate: AllowPrivate): boolean {
  if (kind === 'public') return true;
  return allowPrivate === 'loopback' ? kind === 'loopback' : allowPrivate && kind !== 'invalid';
}

function classifyIpv4(value: bigint): AddressClass {
  return ipv4Ranges.find((entry) => within(value, entry, 32))?.is ?? 'public';
}

function classifyIpv6(value: bigint): AddressClass {
  const low = value & 0xffff_ffffn;
  // NAT64 is how a host without IPv4 reaches public IPv4 addresses, so it is as good as what it carries.
  if (within(value, mapped, 128) || within(value, nat64, 128)) return classifyIpv4(low);
  const known = ipv6Ranges.find((entry) => within(value, entry, 128));
  return known?.is ?? (within(value, globalUnicast, 128) ? 'public' : 'reserved');
}

function within(value: bigint, { base, bits }: Range, width: number): boolean {
  const shift = BigInt(width - bits);
  return value >> shift === base >> shift;
}

function ipv4Number(address: string): bigint {
  return address.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

/** `address` is valid IPv6 without a zone. */
function ipv6Number(address: string): bigint {
  const dotted = /(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  const tail = dotted === undefined ? 0n : ipv4Number(dotted);
  const text =
    dotted === undefined
      ? address
      : `${address.slice(0, -dotted.length)}${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}`;
  const [head = '', rest] = text.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':'));
  const left = words(head);
  const right = words(rest ?? '');
  const gap = Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...gap, ...right].reduce((value, word) => (value << 16n) | BigInt(`0x${word}`), 0n);
}
