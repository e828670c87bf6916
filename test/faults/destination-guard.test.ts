// Addresses that a job brings (destinations, buckets, input files) lead to public hosts only, unless the worker's owner allows more.
import { request } from 'undici';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { completed, emptyPicture, failureOf, startDriverBench } from '../support/driver-bench.ts';
import { FileServers } from '../support/file-servers.ts';
import { stackForThisTest } from '../support/large-results.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import type { WholeStack } from '../support/whole-stack.ts';

const servers = new FileServers();
const secret = 'very-private-signature';
const workflow = emptyPicture();
const publicOnly = { environment: { ALLOW_PRIVATE_ADDRESSES: 'false' } };

afterEach(() => servers.closeAll());

async function bucket(): Promise<S3Server> {
  const s3 = await startS3Server();
  onTestFinished(() => s3.close());
  return s3;
}

const putTo = (url: string, more: object = {}) => ({ workflow, destination: { kind: 'put', urls: [url] }, ...more });

/** Runs a job whose own bucket is at `endpointUrl`. */
async function withOwnBucket(stack: WholeStack, s3: S3Server, endpointUrl: string) {
  const { accessKeyId: accessId, secretAccessKey: accessSecret } = s3;
  const answer = await request(`${stack.emulator.baseUrl}/ep1/run`, {
    method: 'POST',
    headers: { authorization: 'Bearer sandbox', 'content-type': 'application/json' },
    body: JSON.stringify({
      input: { contract: 1, workflow, destination: { kind: 'bucket' } },
      s3Config: { accessId, accessSecret, bucketName: 'own', endpointUrl },
    }),
  });
  const { id } = (await answer.body.json()) as { id: string };
  return stack.client.job(id).wait();
}

describe('a destination that leads into the network of the worker', () => {
  it.each([
    ['loopback', 'http://127.0.0.1:1/x'],
    ['loopback over https', 'https://127.0.0.1:1/x'],
    ['a private network', 'https://10.1.2.3/x'],
    ['IPv4 in IPv6', 'https://[::ffff:10.1.2.3]/x'],
    ["a cloud's metadata", 'https://169.254.169.254/latest'],
    ['an address with a password', 'https://user:pass@files.example/x'],
  ])('is refused before anything runs: %s', async (_what, url) => {
    const bench = await startDriverBench();
    const result = failureOf(await bench.run(putTo(`${url}?sign=${secret}`)));
    expect(result.code).toMatch(/DESTINATION_REFUSED|INPUT_INVALID/);
    expect(JSON.stringify([result, result.message, bench.logger.lines])).not.toContain(secret);
    expect(bench.standIn.inspect.accepted()).toEqual([]);
  });

  it('by its name is refused when the name is looked up, and nothing is connected to', async () => {
    const server = await servers.https(['files.example'], (_request, response) => response.end());
    const reach = { ca: server.ca, resolve: () => Promise.resolve(['93.184.216.34', '127.0.0.1']) };
    const bench = await startDriverBench({ delivery: { reach } });
    const result = failureOf(await bench.run(putTo(`https://files.example:${server.port}/a?sign=${secret}`)));
    expect(result.code).toBe('RESULT_UNDELIVERED');
    expect(result.message).toContain('not public (loopback)');
    expect(JSON.stringify([result, result.message, bench.logger.lines])).not.toContain(secret);
    expect(server.connections()).toBe(0);
  });

  it('is refused by an endpoint whose owner allows none, for files and buckets as well', async () => {
    const s3 = await bucket();
    const stack = await stackForThisTest(publicOnly);
    const put = await (
      await stack.client.submit({ workflow, destination: { kind: 'put', urls: [`${s3.url}/open/a`] } })
    ).wait();
    expect(put).toMatchObject({ kind: 'failed', error: { code: 'DESTINATION_REFUSED' } });
    const files = [{ name: 'in.png', url: `${s3.url}/open/in.png` }];
    const loading = { ...workflow, '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } } };
    const fetched = await (await stack.client.submit({ workflow: loading, files })).wait();
    expect(fetched).toMatchObject({ kind: 'failed', error: { code: 'INPUT_URL_REFUSED' } });
    const own = await withOwnBucket(stack, s3, s3.url);
    expect(own).toMatchObject({ kind: 'failed', error: { code: 'RESULT_UNDELIVERED' } });
    const byName = await withOwnBucket(stack, s3, s3.url.replace('http://127.0.0.1', 'https://localhost'));
    expect(byName).toMatchObject({
      kind: 'failed',
      error: { code: 'RESULT_UNDELIVERED', message: expect.stringContaining('not public (loopback)') },
    });
    expect(s3.requests).toEqual([]);
  });
});

describe('a destination that may be used', () => {
  it('is looked up once for all its files, and what was checked is connected to, whatever DNS says next (rebinding)', async () => {
    const taken: string[] = [];
    const server = await servers.https(['files.example'], (incoming, response) => {
      taken.push(`${incoming.method} ${incoming.url}`);
      incoming.resume().on('end', () => response.end());
    });
    let lookups = 0;
    const resolve = () => Promise.resolve([++lookups === 1 ? '127.0.0.1' : '10.0.0.1']);
    const bench = await startDriverBench({ delivery: { reach: { allowPrivate: 'loopback', ca: server.ca, resolve } } });
    const template = `https://files.example:${server.port}/{index}`;
    const job = { workflow: emptyPicture({ batch_size: 3 }), destination: { kind: 'put', template } };
    const { artifacts } = completed(await bench.run(job));
    expect(artifacts.map(({ delivery }) => delivery.via)).toEqual(['put', 'put', 'put']);
    expect(taken).toEqual(['PUT /0', 'PUT /1', 'PUT /2']);
    expect(lookups).toBe(1);
    await expect.poll(() => server.open.size).toBe(0);
  });

  it('is looked up and checked anew after a connection broke', async () => {
    const server = await servers.https(['files.example'], ({ socket }) => socket.destroy());
    let lookups = 0;
    const resolve = () => Promise.resolve([++lookups === 1 ? '127.0.0.1' : '10.0.0.1']);
    const bench = await startDriverBench({ delivery: { reach: { allowPrivate: 'loopback', ca: server.ca, resolve } } });
    const result = failureOf(await bench.run(putTo(`https://files.example:${server.port}/a`)));
    expect(result).toMatchObject({ code: 'RESULT_UNDELIVERED', details: { attempts: 2 } });
    expect(result.message).toContain('not public (private)');
    expect(server.connections()).toBe(1);
  });

  it('may be a bucket of the job on this machine, where the owner allows that', async () => {
    const s3 = await bucket();
    const stack = await stackForThisTest();
    const result = await withOwnBucket(stack, s3, s3.url.replace('127.0.0.1', 'localhost'));
    expect(result).toMatchObject({ kind: 'succeeded' });
    expect([...s3.objects.keys()]).toEqual([`/own/comfy-runpod/${result.jobId}/0000.png`]);
  });
});
