// What stays after a job: stray files beside the outputs, ComfyUI's history and caches, and what the receipt says about it.
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { request } from 'undici';
import { afterEach, expect, it } from 'vitest';
import type { JobResult } from '../../client/index.ts';
import type { JobInputWire, Receipt } from '../../shared/index.ts';
import { filesBelow, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

let stack: WholeStack;

afterEach(() => stack.close());

async function start(exclusive: boolean): Promise<{ input: string; output: string; temp: string }> {
  stack = await startWholeStack({ workers: 1, workerEnvironment: { COMFY_EXCLUSIVE: String(exclusive) } });
  const directories = stack.comfy[0]?.directories;
  if (!directories) throw new Error('no ComfyUI');
  return directories;
}

const nodes = (name: string, steps: number): JobInputWire['workflow'] => ({
  '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: steps } },
  '2': { class_type: 'SandboxSleep', inputs: { value: ['1', 0], steps, step_ms: 20 } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: name } },
});

async function running(): Promise<void> {
  await expect.poll(() => stack.comfy[0]?.inspect.queue().running.length, { interval: 5 }).toBe(1);
}

function receiptOf(result: JobResult): Receipt {
  if (result.kind !== 'succeeded') throw result.error;
  return result.envelope.receipt;
}

it('files that a node wrote beside its outputs are wiped, in sub-folders too; older ones and links stay', async () => {
  const { input, output, temp } = await start(true);
  await mkdir(path.join(output, 'baked'), { recursive: true });
  await writeFile(path.join(output, 'baked', 'old.png'), 'baked in');
  const outside = path.join(temp, '..', `outside-${process.pid}.txt`);
  await writeFile(outside, 'not of this job');
  const job = await stack.client.submit({ workflow: nodes('out', 100) });
  await running();
  // What a careless node does: caption files, caches, a touch of something that was there before.
  await mkdir(path.join(output, 'captions', 'deep'), { recursive: true });
  await writeFile(path.join(output, 'captions', 'deep', 'caption.txt'), 'words of the prompt');
  await writeFile(path.join(temp, 'cache.bin'), 'latent');
  await writeFile(path.join(input, 'mask.png'), 'mask');
  await utimes(path.join(output, 'baked', 'old.png'), new Date(), new Date());
  const receipt = receiptOf(await job.wait());
  expect(receipt.wipe).toMatchObject({ mode: 'wiped', files: 4, kept: [], verified: true });
  expect(receipt.wipe.unattributed).toBeUndefined();
  expect(await filesBelow(output)).toEqual(['old.png']);
  expect(await filesBelow(temp)).toEqual([]);
  expect(await filesBelow(input)).toEqual([]);
  expect(await readFile(path.join(output, 'baked', 'old.png'), 'utf8')).toBe('baked in');
  expect(await readFile(outside, 'utf8')).toBe('not of this job');
  expect(stack.comfy[0]?.inspect.history()).toEqual([]);
});

it('where others use the same ComfyUI, files of unknown origin stay and are counted, never named', async () => {
  const { output } = await start(false);
  const job = await stack.client.submit({ workflow: nodes('out', 100) });
  await running();
  await writeFile(path.join(output, 'somebody-elses.png'), 'theirs');
  const receipt = receiptOf(await job.wait());
  expect(receipt.wipe).toMatchObject({ kept: [], unattributed: 1, verified: true });
  expect(JSON.stringify(receipt)).not.toContain('somebody-elses');
  expect((await stat(path.join(output, 'somebody-elses.png'))).size).toBe(6);
});

it('a stray file that appeared while two jobs overlapped is wiped once none is running', async () => {
  const { output, temp } = await start(true);
  const first = await stack.client.submit({ workflow: nodes('first', 80) });
  await running();
  const second = await stack.client.submit({ workflow: nodes('second', 90) });
  await writeFile(path.join(temp, 'whose.txt'), 'of one of them');
  receiptOf(await first.wait());
  receiptOf(await second.wait());
  await stack.drain();
  expect(await filesBelow(temp)).toEqual([]);
  expect(await filesBelow(output)).toEqual([]);
});

it('privacy strict: the last graph and the caches leave the memory of ComfyUI, and the receipt says so', async () => {
  await start(true);
  const workflow = nodes('secret', 1);
  const plain = receiptOf(await (await stack.client.submit({ workflow })).wait());
  expect(plain.wipe.strict).toBeUndefined();
  const cached = receiptOf(await (await stack.client.submit({ workflow })).wait());
  expect(cached.cached).toContain('1');
  const strict = receiptOf(await (await stack.client.submit({ workflow, privacy: 'strict' })).wait());
  expect(strict.wipe).toMatchObject({ verified: true, strict: true });
  const cold = receiptOf(await (await stack.client.submit({ workflow })).wait());
  expect(cold.cached).toEqual([]);
  expect(stack.comfy[0]?.inspect.history()).toEqual([]);
});

it('privacy strict: no other job gets into ComfyUI before the last graph has left its memory, however long the queue is', async () => {
  await start(true);
  const strict = await stack.client.submit({ workflow: nodes('secret', 20), privacy: 'strict' });
  const next = await stack.client.submit({ workflow: nodes('next', 100_000) });
  expect(receiptOf(await strict.wait()).wipe).toMatchObject({ verified: true, strict: true });
  await next.cancel();
});

it('privacy strict together with debug is refused before anything runs', async () => {
  await start(true);
  const job = await stack.client.submit({ workflow: nodes('out', 1), privacy: 'strict', debug: true });
  expect(await job.wait()).toMatchObject({ kind: 'failed', error: { code: 'INPUT_INVALID' } });
});

it('a job whose files can not be wiped still has its result, which says so, and the worker ends after it', async () => {
  const { output } = await start(true);
  const job = await stack.client.submit({ workflow: nodes('out', 100) });
  await running();
  const queue = await (await request(`${stack.comfy[0]?.url}/queue`)).body.text();
  const folder = /cr-\d+-[0-9a-f]{16}/.exec(queue)?.[0] ?? 'none';
  await mkdir(path.join(output, folder), { recursive: true });
  // A path that is longer than the system takes: reachable step by step, but not by its name.
  const name = 'd'.repeat(250);
  const cwd = path.join(output, folder);
  execFileSync('sh', ['-c', `for i in $(seq 20); do mkdir ${name} && cd -P ${name} || exit 1; done`], { cwd });
  try {
    const { wipe, warnings } = receiptOf(await job.wait());
    expect(wipe).toMatchObject({
      mode: 'wiped',
      verified: false,
      kept: [expect.stringContaining(`output/${folder}/`)],
    });
    expect(warnings).toEqual([{ message: expect.stringMatching(/^WIPE_FAILED: /) as string }]);
    expect(await stack.workers[0]?.stopped).toEqual({ code: 0, reason: 'recycle' });
  } finally {
    execFileSync('rm', ['-rf', cwd]);
  }
});

it('a prompt that nothing stops makes the worker end, after the job that it belongs to was cancelled', async () => {
  await start(true);
  stack.comfy[0]?.faults.arm({ kind: 'interrupt-ignored', times: 'always' });
  const job = await stack.client.submit({ workflow: nodes('out', 100_000) });
  await running();
  await job.cancel();
  expect(await stack.workers[0]?.stopped).toEqual({ code: 0, reason: 'recycle' });
}, 60_000);
