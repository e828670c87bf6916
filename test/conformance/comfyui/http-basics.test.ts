// ComfyUI protocol notes §7.2, HTTP basics: E01 to E07.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call } from './support/http-client.ts';
import { SocketClient } from './support/socket-client.ts';

const SERVER_ERROR = '500 Internal Server Error\n\nServer got itself in trouble';

describe('HTTP basics of the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  let older: ComfyStandIn;
  let url = '';
  beforeAll(async () => {
    standIn = await startComfyStandIn();
    older = await startComfyStandIn({ dialect: 'aiohttp-3.8', maxUploadMegabytes: 0.001 });
    url = standIn.url;
  });
  afterAll(async () => {
    await standIn.close();
    await older.close();
  });

  it('E01 every route answers with and without /api, /internal only without', async () => {
    const paths = [
      '/prompt',
      '/queue',
      '/history',
      '/object_info/SaveImage',
      '/features',
      '/models',
      '/users',
      '/i18n',
    ];
    for (const path of paths) {
      const [plain, prefixed] = [await call(url, path), await call(url, `/api${path}`)];
      expect(plain.status, path).toBe(200);
      expect(prefixed.text, path).toBe(plain.text);
    }
    expect((await call(url, '/internal/logs')).status).toBe(200);
    expect((await call(url, '/api/internal/logs')).status).toBe(404);
    await using client = await SocketClient.open(`${url}/api`, 'prefixed');
    await client.until(() => client.messages.length === 1, 'status');
  });

  it('E02 unknown paths are 404, wrong methods 405, exceptions 500 with their text bodies', async () => {
    expect(await call(older.url, '/nope')).toMatchObject({ status: 404, text: '404: Not Found' });
    expect(await call(url, '/nope')).toMatchObject({ status: 404, text: '', contentType: 'application/octet-stream' });
    expect(await call(url, '/internal/nope')).toMatchObject({ status: 404, text: '404: Not Found' });
    expect((await call(url, '/models/')).contentType).toBe('application/octet-stream');
    expect((await call(url, '/nope', { body: {} })).headers['allow']).toBe('GET,HEAD');
    const wrong = await call(url, '/prompt', { method: 'DELETE' });
    expect(wrong).toMatchObject({ status: 405, text: '405: Method Not Allowed' });
    expect(wrong.headers['allow']).toBe('GET,HEAD,POST');
    const failed = await call(url, '/history?max_items=a');
    expect(failed).toMatchObject({ status: 500, text: SERVER_ERROR, contentType: 'text/plain; charset=utf-8' });
  });

  it('E03 invalid JSON is 500 on /prompt, /queue, /history and /free, but 200 on /interrupt', async () => {
    for (const path of ['/prompt', '/queue', '/history', '/free']) {
      expect((await call(url, path, { body: '{oops' })).text, path).toBe(SERVER_ERROR);
    }
    expect((await call(url, '/interrupt', { body: '{oops' })).status).toBe(200);
    expect((await call(url, '/interrupt', { body: [] })).status).toBe(500);
    expect((await call(url, '/free', { method: 'POST' })).status).toBe(500);
  });

  it('E04 a body above the limit is 413 with the limit in its text, on /prompt too', async () => {
    const body = JSON.stringify({ prompt: {}, filler: 'x'.repeat(2000) });
    const answer = await call(older.url, '/prompt', { body });
    expect(answer.status).toBe(413);
    expect(answer.text).toMatch(/^Maximum request body size 1049 exceeded, actual body size \d+$/);
    const form = [{ name: 'image', filename: 'a.png', value: Buffer.alloc(2000) }];
    expect((await call(older.url, '/upload/image', { form })).status).toBe(413);
  });

  it('E05 empty answers have no body, and octet-stream as type in the older dialect only', async () => {
    for (const [server, type] of [
      [older.url, 'application/octet-stream'],
      [url, null],
    ] as const) {
      expect(await call(server, '/queue', { body: {} })).toMatchObject({ status: 200, text: '', contentType: type });
      expect(await call(server, '/view?filename=..')).toMatchObject({ status: 400, text: '', contentType: type });
      expect(await call(server, '/view?filename=a')).toMatchObject({ status: 404, text: '', contentType: type });
    }
  });

  it('E06 an origin that does not match a loopback host is 403, on /ws too', async () => {
    const port = new URL(url).port;
    const from = async (origin: string, host?: string) =>
      (await call(url, '/prompt', { headers: { origin, ...(host === undefined ? {} : { host }) } })).status;
    expect(await from('http://evil.example')).toBe(403);
    expect(await from(`http://localhost:${port}`)).toBe(403);
    expect(await from(`http://127.0.0.1:${port}`)).toBe(200);
    expect(await from('http://127.0.0.1:1')).toBe(403);
    expect(await from('http://127.0.0.1')).toBe(200);
    expect(await from('null')).toBe(200);
    expect(await from('http://evil.example', '192.0.2.1:8188')).toBe(200);
    await expect(SocketClient.open(url, 'x', { origin: 'http://evil.example' })).rejects.toThrow('403');
  });

  it('E07 the newer profile refuses cross-site requests, the baseline does not look', async () => {
    await using modern = await startComfyStandIn({ profile: 'late-2026' });
    const headers = { 'sec-fetch-site': 'cross-site' };
    expect((await call(modern.url, '/prompt', { headers })).status).toBe(403);
    expect((await call(url, '/prompt', { headers })).status).toBe(200);
  });
});
