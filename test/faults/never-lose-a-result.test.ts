/** A result that exists arrives, whatever RunPod and the network do, or the caller is told exactly what to configure. */
import { readFile } from 'node:fs/promises';
import { request } from 'undici';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createClient, type JobResult, saveArtifacts } from '../../client/index.ts';
import type { FaultRuleInput } from '../../sandbox/runpod/index.ts';
import type { Artifact, ResultEnvelope } from '../../shared/index.ts';
import {
  folderForThisTest,
  noiseJob,
  pixelHash,
  sentPixels,
  stackForThisTest,
  ways,
} from '../support/large-results.ts';
import { until } from '../support/runpod-emulator.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { filesBelow, type WholeStack } from '../support/whole-stack.ts';

/** 1 300 pixels square: 5 MB of file, 6.8 MB of base64. Two of them are over the limit of /run. */
const side = 1_300;
const timeout = 60_000;

function envelopeOf(result: JobResult): ResultEnvelope {
  if (result.kind !== 'succeeded') throw new Error(`ended as ${JSON.stringify('error' in result && result.error)}`);
  return result.envelope;
}

async function savedPixels(artifacts: readonly Artifact[]): Promise<readonly string[]> {
  const saved = await saveArtifacts(artifacts, { folder: await folderForThisTest() });
  return Promise.all(saved.map(async (file) => pixelHash(await readFile(file.path))));
}

async function expectNothingLeft(stack: WholeStack): Promise<void> {
  await until(async () => (await filesBelow(stack.comfy[0]?.directories.output ?? '')).length === 0);
}

async function bucketForThisTest(): Promise<{ s3: S3Server; environment: Record<string, string> }> {
  const s3 = await startS3Server();
  onTestFinished(() => s3.close());
  const environment = {
    BUCKET_ENDPOINT_URL: s3.url,
    BUCKET_ACCESS_KEY_ID: s3.accessKeyId,
    BUCKET_SECRET_ACCESS_KEY: s3.secretAccessKey,
    BUCKET_NAME: 'results',
  };
  return { s3, environment };
}

describe('a result that does not fit into the answer', () => {
  const chunkFaults: readonly (readonly [string, readonly FaultRuleInput[]])[] = [
    ['nothing goes wrong', []],
    [
      'RunPod answers 500 and 429',
      [
        { route: 'job-stream', when: { every: 3 }, do: { kind: 'answer', status: 500 } },
        {
          route: 'job-stream',
          when: { every: 5 },
          do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
        },
      ],
    ],
    [
      'connections are reset, before and after a chunk was taken',
      [
        { route: 'job-stream', when: { every: 4 }, do: { kind: 'reset' } },
        { route: 'job-stream', when: { every: 3 }, do: { kind: 'drop', at: 'after' } },
      ],
    ],
    ['chunks are slow', [{ route: 'job-stream', when: { every: 2 }, do: { kind: 'delay', ms: 50 } }]],
    [
      'job-done fails afterwards',
      [
        { route: 'job-done/result', when: { nth: 1 }, do: { kind: 'answer', status: 503 } },
        { route: 'job-done/result', when: { nth: 2 }, do: { kind: 'reset' } },
      ],
    ],
  ];

  it.each(chunkFaults)(
    'arrives in ordered chunks below 1 MB when %s',
    async (_name, platformFaults) => {
      const stack = await stackForThisTest({ platformFaults });
      const job = await noiseJob(side, 2);
      const handle = await stack.client.submit(job);
      const { artifacts, receipt } = envelopeOf(await handle.wait());
      expect(artifacts.map(({ delivery }) => delivery)).toEqual(
        Array(2).fill(
          expect.objectContaining({ reason: expect.stringMatching(/^in \d+ chunks: too large for the answer/) }),
        ),
      );
      const pixels = await sentPixels(job);
      expect(await savedPixels(artifacts)).toEqual([pixels, pixels]);
      expect(receipt.wipe).toMatchObject({ mode: 'wiped', kept: [] });
      const posts = stack.emulator.inspect.requestsSeen('job-stream');
      expect(posts.length).toBeGreaterThanOrEqual(14);
      expect(Math.max(...posts.map((post) => post.bodyBytes))).toBeLessThan(1_000_000);
      const done = stack.emulator.inspect
        .requestsSeen('job-done')
        .filter(({ target }) => target.includes('isStream=true'));
      expect(done.length).toBeGreaterThan(0);
      await expectNothingLeft(stack);
    },
    timeout,
  );

  it(
    'whose chunks another process has read is told to be gone, and what helps',
    async () => {
      const stack = await stackForThisTest();
      const handle = await stack.client.submit(await noiseJob(side, 2));
      envelopeOf(await handle.wait());
      const another = createClient({ apiKey: 'sandbox', endpointId: 'ep1', baseUrl: stack.emulator.baseUrl });
      onTestFinished(() => another.close());
      const later = await another.job(handle.id).wait();
      expect(later).toMatchObject({ kind: 'failed', error: { code: 'RESULT_CORRUPT' } });
      if (later.kind !== 'failed') return;
      expect(later.error.message).toContain('read before');
      expect(later.error.nextStep).toContain('bucket');
      // The process that read them has them still.
      envelopeOf(await handle.wait());
    },
    timeout,
  );

  it(
    'goes to the bucket when RunPod refuses its chunks',
    async () => {
      const { s3, environment } = await bucketForThisTest();
      const platformFaults: FaultRuleInput[] = [
        { route: 'job-stream', when: { from: 3 }, do: { kind: 'answer', status: 400 } },
      ];
      const stack = await stackForThisTest({ platformFaults, environment });
      s3.failNext(503, 500);
      const job = await noiseJob(side, 2);
      const { artifacts } = envelopeOf(await (await stack.client.submit(job)).wait());
      expect(ways(artifacts)).toEqual(['url', 'url']);
      expect(artifacts[0]?.delivery).toMatchObject({ reason: 'too large for the answer; stream failed' });
      const pixels = await sentPixels(job);
      expect(await savedPixels(artifacts)).toEqual([pixels, pixels]);
      expect(stack.log.join('')).not.toContain('X-Amz-Signature');
      expect(stack.log.join('')).not.toContain(s3.secretAccessKey);
      await expectNothingLeft(stack);
    },
    timeout,
  );

  it(
    'goes to a network volume when that is all there is',
    async () => {
      const volume = await folderForThisTest();
      const stack = await stackForThisTest({ environment: { RESULT_VOLUME_DIR: volume } });
      const job = await noiseJob(side, 2, { destination: { kind: 'volume' } });
      const { artifacts } = envelopeOf(await (await stack.client.submit(job)).wait());
      const pixels = await sentPixels(job);
      for (const { delivery } of artifacts) {
        if (delivery.via !== 'volume') throw new Error(`travelled by ${delivery.via}`);
        expect(delivery.path.startsWith(volume)).toBe(true);
        expect(await pixelHash(await readFile(delivery.path))).toBe(pixels);
      }
      expect(await saveArtifacts(artifacts, { folder: await folderForThisTest() })).toEqual([]);
    },
    timeout,
  );

  it(
    'that must travel in the answer is refused with its size, the limit and what to configure',
    async () => {
      const stack = await stackForThisTest();
      const result = await (
        await stack.client.submit(await noiseJob(side, 2, { destination: { kind: 'inline' } }))
      ).wait();
      expect(result).toMatchObject({ kind: 'failed', error: { code: 'RESULT_TOO_LARGE', details: { files: 2 } } });
    },
    timeout,
  );
});

describe('a destination that the job forces', () => {
  it(
    'puts files to the addresses of the job, in order, and repeats what fails',
    async () => {
      const { s3 } = await bucketForThisTest();
      const stack = await stackForThisTest();
      s3.failNext(500, 503);
      const urls = [`${s3.url}/open/a?secret=1`, `${s3.url}/open/b?secret=2`];
      const job = await noiseJob(64, 2, { destination: { kind: 'put', urls } });
      const { artifacts } = envelopeOf(await (await stack.client.submit(job)).wait());
      expect(ways(artifacts)).toEqual(['put', 'put']);
      expect(await pixelHash(s3.objects.get('/open/b') ?? Buffer.alloc(0))).toBe(await sentPixels(job));
      expect(stack.log.join('')).not.toContain('secret=');
    },
    timeout,
  );

  it(
    'does not follow a redirect of an upload',
    async () => {
      const { s3 } = await bucketForThisTest();
      const stack = await stackForThisTest();
      s3.failNext(302);
      const job = await noiseJob(64, 1, { destination: { kind: 'put', urls: [`${s3.url}/open/a`] } });
      const result = await (await stack.client.submit(job)).wait();
      expect(result).toMatchObject({ kind: 'failed', error: { code: 'RESULT_UNDELIVERED' } });
      expect(s3.requests).toEqual(['PUT /open/a']);
    },
    timeout,
  );

  it.each(['bucket', 'volume'] as const)(
    'that this worker lacks (%s) is refused before anything runs',
    async (kind) => {
      const stack = await stackForThisTest();
      const result = await (await stack.client.submit(await noiseJob(16, 1, { destination: { kind } }))).wait();
      expect(result).toMatchObject({ kind: 'failed', error: { code: 'CONFIG_MISSING' } });
      expect(stack.comfy[0]?.inspect.accepted()).toEqual([]);
    },
    timeout,
  );
});

describe('a picture in another format', () => {
  it.each(['webp', 'jpeg'] as const)(
    'comes back as %s when the job asks for it',
    async (format) => {
      const stack = await stackForThisTest();
      const { artifacts } = envelopeOf(
        await (await stack.client.submit(await noiseJob(64, 1, { output: { format } }))).wait(),
      );
      const [artifact] = artifacts;
      expect(artifact).toMatchObject({
        contentType: `image/${format}`,
        encoding: { from: 'image/png', to: `image/${format}` },
        delivery: { via: 'inline' },
      });
      expect(artifact?.name).toMatch(format === 'webp' ? /\.webp$/ : /\.jpg$/);
    },
    timeout,
  );

  it(
    'keeps every pixel as lossless WebP',
    async () => {
      const stack = await stackForThisTest();
      const job = await noiseJob(64, 1, { output: { format: 'webp', lossless: true } });
      const { artifacts } = envelopeOf(await (await stack.client.submit(job)).wait());
      expect(await savedPixels(artifacts)).toEqual([await sentPixels(job)]);
    },
    timeout,
  );
});

describe('a result that RunPod refuses', () => {
  it(
    'is kept on the volume, and the error says where',
    async () => {
      const volume = await folderForThisTest();
      const platformFaults: FaultRuleInput[] = [
        { route: 'job-done/result', when: { nth: 1 }, do: { kind: 'answer', status: 413 } },
      ];
      const stack = await stackForThisTest({ platformFaults, environment: { RESULT_VOLUME_DIR: volume } });
      const result = await (await stack.client.submit(await noiseJob(64, 1))).wait();
      expect(result).toMatchObject({
        kind: 'failed',
        error: { code: 'RESULT_TOO_LARGE', details: { keptIn: 'volume' } },
      });
      if (result.kind !== 'failed') return;
      const kept = JSON.parse(await readFile(String(result.error.details['keptAs']), 'utf8')) as ResultEnvelope;
      expect(kept).toMatchObject({ kind: 'comfy-runpod/result', status: 'success' });
      expect(kept.artifacts).toHaveLength(1);
    },
    timeout,
  );

  it(
    'because the job is forgotten by then is kept as well, and counted',
    async () => {
      const volume = await folderForThisTest();
      const platformFaults: FaultRuleInput[] = [
        { route: 'job-done/result', when: { nth: 1 }, do: { kind: 'answer', status: 404 } },
      ];
      const stack = await stackForThisTest({ platformFaults, environment: { RESULT_VOLUME_DIR: volume } });
      const { id } = await stack.client.submit(await noiseJob(64, 1));
      await until(() => stack.log.some((line) => line.includes('it is kept')));
      const kept = JSON.parse(await readFile(`${volume}/${id}/undelivered.json`, 'utf8')) as ResultEnvelope;
      expect(kept).toMatchObject({ kind: 'comfy-runpod/result', status: 'success' });
      expect(
        stack.emulator.inspect.requestsSeen('job-done').filter(({ bodyBytes }) => bodyBytes > 10_000),
      ).toHaveLength(1);
    },
    timeout,
  );

  it(
    'before the worker has to end is kept as well',
    async () => {
      const volume = await folderForThisTest();
      const platformFaults: FaultRuleInput[] = [{ route: 'job-done/result', do: { kind: 'answer', status: 503 } }];
      const stack = await stackForThisTest({ platformFaults, environment: { RESULT_VOLUME_DIR: volume } });
      const handle = await stack.client.submit(await noiseJob(64, 1));
      await until(() =>
        stack.emulator.inspect
          .requestsSeen('job-done')
          .some(({ jobId, bodyBytes }) => jobId === handle.id && bodyBytes > 10_000),
      );
      await stack.workers[0]?.stop();
      const kept = await readFile(`${volume}/${handle.id}/undelivered.json`, 'utf8');
      expect(JSON.parse(kept)).toMatchObject({ kind: 'comfy-runpod/result', status: 'success' });
      expect(stack.log.some((line) => line.includes('it is kept'))).toBe(true);
    },
    timeout,
  );
});

describe('a bucket that comes with the job', () => {
  it(
    'as s3Config gets the result, in parts when it is large',
    async () => {
      const { s3 } = await bucketForThisTest();
      const stack = await stackForThisTest();
      const job = await noiseJob(side, 2, { destination: { kind: 'bucket' } });
      const s3Config = {
        accessId: s3.accessKeyId,
        accessSecret: s3.secretAccessKey,
        bucketName: 'own',
        endpointUrl: s3.url,
      };
      const answer = await request(`${stack.emulator.baseUrl}/ep1/run`, {
        method: 'POST',
        headers: { authorization: 'Bearer sandbox', 'content-type': 'application/json' },
        body: JSON.stringify({ input: job, s3Config }),
      });
      const { id } = (await answer.body.json()) as { id: string };
      const { artifacts } = envelopeOf(await stack.client.job(id).wait());
      expect(ways(artifacts)).toEqual(['url', 'url']);
      expect([...s3.objects.keys()]).toEqual([`/own/comfy-runpod/${id}/0000.png`, `/own/comfy-runpod/${id}/0001.png`]);
      const pixels = await sentPixels(job);
      expect(await savedPixels(artifacts)).toEqual([pixels, pixels]);
      expect(stack.log.join('')).not.toContain(s3.secretAccessKey);
    },
    timeout,
  );
});
