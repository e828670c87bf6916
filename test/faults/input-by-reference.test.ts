// Whole jobs whose pictures are given by address or by hash, through the job runner, the library's client and a ComfyUI stand-in.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient } from '../../client/index.ts';
import { runHolding } from '../../client/submit/run-holding.ts';
import { createInProcessTransport } from '../../client/transport/in-process.ts';
import type { JobInputWire } from '../../shared/index.ts';
import { HeldInputs } from '../../worker/inputs/index.ts';
import { wipeFile } from '../../worker/workspace/index.ts';
import {
  completed,
  type DriverBench,
  failureOf,
  loadedPicture,
  startDriverBench,
  tinyPng,
} from '../support/driver-bench.ts';
import { FileServers } from '../support/file-servers.ts';
import { ManualClock } from '../support/manual-clock.ts';

const servers = new FileServers();
const bytes = Buffer.from(tinyPng, 'base64');
const sha256 = createHash('sha256').update(bytes).digest('hex');
const workflow = loadedPicture('my cat.png');
const secret = 'very-private-signature';

let clock: ManualClock;
let store: HeldInputs | undefined;
let url = '';

beforeEach(async () => {
  clock = new ManualClock();
  const server = await servers.http((request, response) => {
    if (request.url?.startsWith('/gone') === true) response.writeHead(403).end(secret);
    else response.end(bytes);
  });
  url = `http://127.0.0.1:${server.port}/cat.png?sign=${secret}`;
});

afterEach(async () => {
  await store?.close();
  store = undefined;
  await servers.closeAll();
});

function start(workspace: 'shared' | 'remote'): Promise<DriverBench> {
  return startDriverBench({
    workspace,
    inputs: (inputFolder, logger) => {
      if (workspace === 'shared') {
        store = new HeldInputs({
          folder: path.join(inputFolder, 'held-by-test'),
          prefix: 'held-by-test/',
          wipe: (file) => wipeFile(file, 0),
          logger,
          clock,
        });
      }
      return { store, fetch: { allowPrivate: 'loopback' } };
    },
  });
}

const held = () => store?.stored.files;

describe('a job whose picture is given by its address', () => {
  it.each(['shared', 'remote'] as const)('runs like one that sends it: %s disk', async (workspace) => {
    const bench = await start(workspace);
    const sent = completed(await bench.run({ workflow, files: [{ name: 'my cat.png', data: tinyPng }] }));
    const fetched = completed(await bench.run({ workflow, files: [{ name: 'my cat.png', url }] }));
    expect(fetched.artifacts.map((artifact) => artifact.sha256)).toEqual(
      sent.artifacts.map((artifact) => artifact.sha256),
    );
    expect(fetched.receipt.bytes.in).toBe(bytes.length);
    expect(fetched.receipt.wipe.files).toBe(sent.receipt.wipe.files);
    expect(fetched.receipt.wipe).not.toHaveProperty('held');
    if (workspace === 'shared') expect(held()).toBe(0);
  });

  it('ends with a typed error, nothing of the address in it or in the log, when the address gives no file', async () => {
    const bench = await start('shared');
    const files = [{ name: 'my cat.png', url: url.replace('/cat.png', '/gone') }];
    const result = await bench.run({ workflow, files });
    expect(failureOf(result)).toMatchObject({ code: 'INPUT_UNAVAILABLE', details: { status: 403 } });
    expect(JSON.stringify([failureOf(result), failureOf(result).message, bench.logger.lines])).not.toContain(secret);
    expect(bench.proxy.seen.filter(({ method }) => method === 'POST')).toEqual([]);
  });
});

describe('a job that asks the worker to hold its pictures', () => {
  it('leaves them for later jobs, which name them by hash, and the receipt says so', async () => {
    const bench = await start('shared');
    const first = completed(
      await bench.run({ workflow, files: [{ name: 'my cat.png', data: tinyPng }], hold: { seconds: 60 } }),
    );
    expect(first.receipt.wipe).toMatchObject({ mode: 'wiped', held: 1, kept: [] });
    const later: JobInputWire = { workflow, files: [{ name: 'my cat.png', sha256, held: true }] };
    const second = completed(await bench.run(later));
    expect(second.artifacts[0]?.sha256).toBe(first.artifacts[0]?.sha256);
    clock.advance(60_000);
    await expect.poll(held).toBe(0);
    expect(readdirSync(path.join(bench.standIn.directories.input, 'held-by-test'))).toEqual([]);
    const third = failureOf(await bench.run(later));
    expect(third).toMatchObject({ code: 'INPUT_NOT_HELD', details: { missing: 1 } });
    expect(third.policy.retry).toBe('any-worker');
  });

  it('is told where the worker can hold nothing', async () => {
    const bench = await start('remote');
    const files = [{ name: 'my cat.png', data: tinyPng }];
    const { receipt } = completed(await bench.run({ workflow, files, hold: { seconds: 60 } }));
    expect(receipt.warnings?.map(({ message }) => message).join()).toContain('holds no input files');
  });
});

describe('a series of jobs with the same picture', () => {
  async function series() {
    const bench = await start('shared');
    const inputs: JobInputWire[] = [];
    const client = createClient({
      transport: createInProcessTransport({
        run(job, context) {
          inputs.push(job.input as JobInputWire);
          return bench.runner.run(job, context);
        },
      }),
    });
    const run = () =>
      runHolding(client, { workflow, files: [{ name: 'my cat.png', data: tinyPng }] }, { holdInputs: { seconds: 60 } });
    const sentBytes = () => inputs.map((input) => input.files?.map((file) => 'data' in file));
    return { run, sentBytes, client };
  }

  it('sends it once', async () => {
    const { run, sentBytes } = await series();
    const results = [await run(), await run(), await run()];
    expect(results.map((result) => result.kind)).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(sentBytes()).toEqual([[true], [false], [false]]);
  });

  it('sends it again, once, when the worker does not hold it any more', async () => {
    const { run, sentBytes } = await series();
    await run();
    clock.advance(60_000);
    await expect.poll(held).toBe(0);
    expect((await run()).kind).toBe('succeeded');
    expect(sentBytes()).toEqual([[true], [false], [true]]);
    expect((await run()).kind).toBe('succeeded');
    expect(sentBytes().at(-1)).toEqual([false]);
  });

  it('does not submit again what failed for another reason', async () => {
    const { client, sentBytes } = await series();
    const files = [{ name: 'my cat.png', data: Buffer.from('no picture').toString('base64') }];
    const result = await runHolding(client, { workflow, files }, { holdInputs: { seconds: 60 } });
    expect(result.kind).toBe('failed');
    expect(sentBytes()).toEqual([[true]]);
  });
});
