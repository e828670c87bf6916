// RunPod protocol notes §5, statement E103: webhooks, received by a real HTTP server on loopback.
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { afterThisTest, startBench, until } from '../../support/runpod-emulator.ts';

interface Received {
  readonly body: Record<string, unknown>;
  readonly headers: IncomingHttpHeaders;
}

/** A receiver that answers with `statuses` in turn, then 200; `null` closes the connection. */
async function startReceiver(...statuses: (number | null)[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({
        body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>,
        headers: request.headers,
      });
      const status = statuses.length > 0 ? statuses.shift() : 200;
      if (status === null) request.socket.destroy();
      else response.writeHead(status ?? 200, status === 302 ? { location: '/elsewhere' } : {}).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterThisTest(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?x=1`, received };
}

describe('webhooks', () => {
  it('E103 the webhook body has id, status, input, webhook, delayTime, executionTime and output', async () => {
    const receiver = await startReceiver();
    const bench = await startBench();
    const id = await bench.run({ input: { k: 1 }, webhook: receiver.url });
    bench.clock.advance(40);
    expect(await bench.worker().takeJob()).toEqual({ id, input: { k: 1 }, webhook: receiver.url });
    bench.clock.advance(157);
    await bench.worker().done(id, { output: { r: 2 } });
    await until(() => receiver.received.length === 1);
    expect(receiver.received[0]?.body).toEqual({
      delayTime: 40,
      executionTime: 157,
      id,
      input: { k: 1 },
      output: { r: 2 },
      status: 'COMPLETED',
      webhook: receiver.url,
    });
    expect(receiver.received[0]?.headers).toMatchObject({ 'content-type': 'application/json' });
    expect(receiver.received[0]?.headers).not.toHaveProperty('authorization');
    await bench.emulator.webhooksSettled();
    bench.clock.advance(60_000);
    expect(receiver.received).toHaveLength(1);
  });

  it('E103 it fires for FAILED with error, and for CANCELLED and TIMED_OUT too', async () => {
    const receiver = await startReceiver();
    const bench = await startBench();
    const body = { input: {}, webhook: receiver.url, policy: { ttl: 10_000 } };
    const failed = await bench.run(body);
    await bench.worker().takeJob();
    await bench.worker().done(failed, { error: 'boom' });
    const cancelled = await bench.run(body);
    await bench.send(`cancel/${cancelled}`, { method: 'POST' });
    const timedOut = await bench.run(body);
    bench.clock.advance(10_000);
    await until(() => receiver.received.length === 3);
    const byId = new Map(receiver.received.map((hook) => [hook.body['id'], hook.body]));
    expect(byId.get(failed)).toMatchObject({ status: 'FAILED', error: 'boom' });
    expect(byId.get(failed)).not.toHaveProperty('output');
    expect(byId.get(cancelled)).toMatchObject({ status: 'CANCELLED', executionTime: 0 });
    expect(byId.get(timedOut)).toMatchObject({ status: 'TIMED_OUT' });
  });

  it.each([
    ['answers 500', 500],
    ['answers 302', 302],
    ['closes the connection', null],
  ])(
    'E103 a receiver that %s is tried twice more, 10 s apart, with the same body, then left alone',
    async (_name, status) => {
      const receiver = await startReceiver(status, status, status);
      const bench = await startBench();
      const id = await bench.run({ input: {}, webhook: receiver.url });
      await bench.send(`cancel/${id}`, { method: 'POST' });
      for (const attempt of [1, 2]) {
        await bench.waiting('webhook-retry');
        expect(receiver.received).toHaveLength(attempt);
        bench.clock.advance(9999);
        expect(bench.clock.pending('webhook-retry')).toBe(1);
        bench.clock.advance(1);
      }
      await bench.emulator.webhooksSettled();
      expect(receiver.received.map((hook) => hook.body)).toEqual(Array(3).fill(receiver.received[0]?.body));
      bench.clock.advance(3600_000);
      await bench.emulator.webhooksSettled();
      expect(receiver.received).toHaveLength(3);
    },
  );

  it('E103 attempts end with the first 2xx', async () => {
    const receiver = await startReceiver(503, 204);
    const bench = await startBench();
    const id = await bench.run({ input: {}, webhook: receiver.url });
    await bench.send(`cancel/${id}`, { method: 'POST' });
    await bench.waiting('webhook-retry');
    bench.clock.advance(10_000);
    await bench.emulator.webhooksSettled();
    expect(receiver.received).toHaveLength(2);
  });

  it('a webhook that is no absolute http URL answers 400', async () => {
    const bench = await startBench();
    for (const webhook of ['/hook', 'ftp://127.0.0.1/x', 5]) {
      expect((await bench.send('run', { body: { input: {}, webhook } })).status).toBe(400);
    }
  });
});
