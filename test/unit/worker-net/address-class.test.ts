// Which network addresses are public. The oracle of the property tests is Node's own BlockList, filled from IANA's registries.
import { BlockList } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyAddress } from '../../../worker/net/address-class.ts';

const special4 = new BlockList();
for (const cidr of [
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24',
  '192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32',
].flatMap((line) => line.split(' '))) {
  const [address = '', bits] = cidr.split('/');
  special4.addSubnet(address, Number(bits), 'ipv4');
}

const text4 = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
/** Any address, and often one beside the edge of a range. */
const ipv4 = fc
  .oneof(
    fc.nat(0xffff_ffff),
    fc
      .tuple(
        fc.constantFrom(10, 100, 127, 169, 172, 192, 198, 203, 223, 224, 240, 255, 0, 168),
        fc.constantFrom(0, 1, 15, 16, 18, 19, 20, 31, 32, 51, 63, 64, 88, 127, 128, 168, 254, 255),
        fc.nat(255),
        fc.nat(255),
      )
      .map(([a, b, c, d]) => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0),
  )
  .map(text4);

const word = fc.nat(0xffff).map((value) => value.toString(16));

describe('the class of a network address', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['172.15.255.255', 'public'],
    ['172.32.0.0', 'public'],
    ['100.128.0.0', 'public'],
    ['223.255.255.255', 'public'],
    ['127.0.0.1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['100.127.255.255', 'shared'],
    ['169.254.169.254', 'metadata'],
    ['169.254.1.1', 'link-local'],
    ['100.100.100.200', 'metadata'],
    ['239.255.255.250', 'multicast'],
    ['255.255.255.255', 'reserved'],
    ['2606:4700:4700::1111', 'public'],
    ['2a00:1450:4001:81b::200e', 'public'],
    ['::1', 'loopback'],
    ['::', 'reserved'],
    ['::127.0.0.1', 'reserved'],
    ['::ffff:0:127.0.0.1', 'reserved'],
    ['::ffff:8.8.8.8', 'public'],
    ['::ffff:10.0.0.1', 'private'],
    ['::ffff:a9fe:a9fe', 'metadata'],
    ['64:ff9b::8.8.8.8', 'public'],
    ['64:ff9b::a9fe:a9fe', 'metadata'],
    ['64:ff9b:1::808:808', 'reserved'],
    ['2002:808:808::1', 'transition'],
    ['2001:0:4136:e378:8000:63bf:3fff:fdd2', 'reserved'],
    ['2001:db8::1', 'reserved'],
    ['fe80::1', 'link-local'],
    ['fe80::1%eth0', 'invalid'],
    ['fd12:3456::1', 'private'],
    ['fd00:ec2::254', 'metadata'],
    ['fec0::1', 'private'],
    ['ff02::1', 'multicast'],
    ['100::1', 'reserved'],
    ['localhost', 'invalid'],
    ['127.1', 'invalid'],
    ['0177.0.0.1', 'invalid'],
    ['', 'invalid'],
  ])('of %s is %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected);
  });

  it('is public for exactly those IPv4 addresses that no registry entry covers', () => {
    fc.assert(
      fc.property(ipv4, (address) => (classifyAddress(address) === 'public') === !special4.check(address, 'ipv4')),
      { numRuns: 20_000 },
    );
  });

  it('of an IPv4 address is the same when IPv6 carries it, mapped or through NAT64, dotted or in hex', () => {
    fc.assert(
      fc.property(ipv4, (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        const expected = classifyAddress(address);
        for (const carried of [
          `::ffff:${address}`,
          `::FFFF:${hex}`,
          `64:ff9b::${address}`,
          `64:ff9b::${hex}`,
          `0:0:0:0:0:ffff:${hex}`,
        ])
          expect(classifyAddress(carried)).toBe(expected);
      }),
      { numRuns: 5_000 },
    );
  });

  it('is never public outside of global unicast, nor for what 6to4 carries', () => {
    const outside = fc.nat(0xffff).filter((first) => first >> 13 !== 1);
    fc.assert(
      fc.property(outside, fc.array(word, { minLength: 7, maxLength: 7 }), (first, rest) => {
        if (first === 0 || first === 0x64) return true;
        return classifyAddress([first.toString(16), ...rest].join(':')) !== 'public';
      }),
      { numRuns: 5_000 },
    );
    fc.assert(fc.property(word, word, word, (a, b, c) => classifyAddress(`2002:${a}:${b}::${c}`) !== 'public'));
  });

  it('is the same however an IPv6 address is written', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.constant('0')), { minLength: 8, maxLength: 8 }), (words) => {
        const long = words.join(':');
        const short = new URL(`http://[${long}]`).hostname.slice(1, -1);
        expect(classifyAddress(short)).toBe(classifyAddress(long));
        expect(classifyAddress(long.toUpperCase())).toBe(classifyAddress(long));
      }),
      { numRuns: 5_000 },
    );
  });
});
