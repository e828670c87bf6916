// Addresses that a worker must never fetch from, whoever asks and however it is hidden.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { get, here, plain, png, refusal, secret, sendPng, servers } from '../../support/fetch-bench.ts';

afterEach(() => servers.closeAll());

describe('an address that must not be fetched', () => {
  it.each([
    'https://127.0.0.1/x',
    'https://127.1/x',
    'https://2130706433/x',
    'https://0x7f.0.0.1/x',
    'https://[::1]/x',
    'https://[::ffff:127.0.0.1]/x',
    'https://[::ffff:7f00:1]/x',
    'https://[64:ff9b::7f00:1]/x',
    'https://[2002:7f00:1::]/x',
    'https://169.254.169.254/latest/meta-data',
    'https://168.63.129.16/x',
    'https://10.0.0.1/x',
    'https://172.20.1.1/x',
    'https://192.168.1.1/x',
    'https://100.64.0.1/x',
    'https://0.0.0.0/x',
    'https://224.0.0.1/x',
    'https://255.255.255.255/x',
    'https://[fe80::1]/x',
    'https://[fd00:ec2::254]/x',
    'https://[::]/x',
  ])('%s leads to no public network', async (url) => {
    const error = await refusal(`${url}?sign=${secret}`);
    expect(error.code).toBe('INPUT_URL_REFUSED');
    expect(error.message).toContain('not public');
  });

  it.each([
    ['http', `http://files.example/a.png?${secret}`],
    ['a file', `file:///etc/passwd?${secret}`],
    ['ftp', `ftp://files.example/${secret}`],
    ['data', `data:image/png;base64,${secret}`],
    ['credentials', `https://${secret}:x@files.example/`],
    ['no address', `//${secret}`],
    ['an endless address', `https://files.example/${secret.repeat(1_000)}`],
  ])('%s is refused before anything is looked up', async (_what, url) => {
    const resolve = vi.fn(() => Promise.resolve(['93.184.216.34']));
    expect((await refusal(url, { resolve })).code).toBe('INPUT_URL_REFUSED');
    expect(resolve).not.toHaveBeenCalled();
  });

  it('http to loopback is refused unless it is allowed', async () => {
    const { url, server } = await plain(sendPng);
    expect((await refusal(url)).code).toBe('INPUT_URL_REFUSED');
    expect(server.connections()).toBe(0);
  });

  it('a host is refused when one of its addresses is private, whatever the others are', async () => {
    const server = await servers.https(['files.example'], sendPng);
    const error = await refusal(`https://files.example:${server.port}/${secret}`, {
      ca: server.ca,
      resolve: () => Promise.resolve(['93.184.216.34', '127.0.0.1']),
    });
    expect(error.code).toBe('INPUT_URL_REFUSED');
    expect(error.message).toContain('files.example');
    expect(server.connections()).toBe(0);
  });

  it('a host that changes its address after the check (rebinding) is looked up once, and what was checked is connected to', async () => {
    const server = await servers.https(['files.example'], sendPng);
    let lookups = 0;
    const resolve = () => Promise.resolve([++lookups === 1 ? '127.0.0.1' : '192.0.2.1']);
    const fetched = await get(`https://files.example:${server.port}/`, { ...here, ca: server.ca, resolve });
    expect(fetched.size).toBe(png.length);
    expect(lookups).toBe(1);
  });

  it('a redirect is looked up and checked again, so a host that turns private in between is refused', async () => {
    const server = await servers.https(['files.example'], (_request, response) => {
      response.writeHead(302, { location: `/again?${secret}` }).end();
    });
    let lookups = 0;
    const resolve = () => Promise.resolve([++lookups === 1 ? '127.0.0.1' : '10.0.0.1']);
    const error = await refusal(`https://files.example:${server.port}/`, { ...here, ca: server.ca, resolve });
    expect(error.code).toBe('INPUT_URL_REFUSED');
    expect(lookups).toBe(2);
    expect(server.connections()).toBe(1);
  });

  it.each(['https://10.0.0.1/', 'https://169.254.169.254/latest/', 'https://[fd00::1]/', 'https://[::ffff:10.0.0.1]/'])(
    'a redirect to %s is refused',
    async (location) => {
      const { url, server } = await plain((_request, response) => {
        response.writeHead(308, { location: `${location}?${secret}` }).end();
      });
      const error = await refusal(url, here);
      expect(error.code).toBe('INPUT_URL_REFUSED');
      expect(error.message).toContain('not public');
      await expect.poll(() => server.open.size).toBe(0);
    },
  );

  it.each([
    ['to http', 'http://127.0.0.1:1/', 'http:'],
    ['to a file', 'file:///etc/passwd', 'file:'],
    ['to an address with credentials', 'https://user:pass@files.example/', 'user name'],
    ['to no address', 'https://', 'not a valid address'],
  ])('a redirect from https %s is refused', async (_what, location, said) => {
    const server = await servers.https(['files.example'], (_request, response) => {
      response.writeHead(301, { location }).end();
    });
    const resolve = () => Promise.resolve(['127.0.0.1']);
    const error = await refusal(`https://files.example:${server.port}/${secret}`, { ...here, ca: server.ca, resolve });
    expect(error.code).toBe('INPUT_URL_REFUSED');
    expect(error.message).toContain(said);
    await expect.poll(() => server.open.size).toBe(0);
  });

  it('a redirect in a circle ends after five', async () => {
    const { url, server } = await plain((request, response) => {
      response.writeHead(302, { location: request.url }).end();
    });
    expect((await refusal(url, here)).message).toContain('more than 5 times');
    expect(server.connections()).toBe(6);
  });

  it('a certificate that nobody vouches for is refused', async () => {
    const server = await servers.https(['files.example'], sendPng);
    const error = await refusal(`https://files.example:${server.port}/${secret}`, {
      ...here,
      resolve: () => Promise.resolve(['127.0.0.1']),
    });
    expect(error).toMatchObject({ code: 'INPUT_FETCH_FAILED' });
    expect(String(error.details['reason'])).toMatch(/SELF_SIGNED/);
  });
});
