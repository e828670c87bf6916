// A connection that ComfyUI closes at the moment it is used again must not fail a paid job; what changes something is never sent twice.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { ComfyHttp } from '../../../worker/comfy/http.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';

/** A ComfyUI that drops the connection of its first `drops` requests. */
async function useDropping(drops: number) {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (seen.length <= drops) request.socket.resetAndDestroy();
    else response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const http = new ComfyHttp(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 5_000);
  afterThisTest(async () => {
    await http.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { http, seen };
}

it('a question is asked once more when its connection is dropped', async () => {
  const { http, seen } = await useDropping(1);
  expect(await http.json({ path: '/object_info' })).toEqual({});
  expect(seen).toEqual(['GET /object_info', 'GET /object_info']);
});

it('a server that drops every connection is told as it is', async () => {
  const { http, seen } = await useDropping(10);
  await expect(http.json({ path: '/queue' })).rejects.toMatchObject({
    code: 'COMFY_UNREACHABLE',
    details: { transport: 'reset' },
  });
  expect(seen).toHaveLength(2);
});

it('a prompt is never posted again by itself', async () => {
  const { http, seen } = await useDropping(1);
  await expect(http.send({ method: 'POST', path: '/prompt', json: {} })).rejects.toMatchObject({
    code: 'COMFY_UNREACHABLE',
  });
  expect(seen).toEqual(['POST /prompt']);
});
