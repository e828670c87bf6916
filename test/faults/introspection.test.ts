// Introspection jobs through the whole stack: client, emulator, worker, ComfyUI stand-in.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import { afterEach, expect, it } from 'vitest';
import { describeCached, keptDescription, readObjectInfo } from '../../client/index.ts';
import { contractVersion, packageVersion } from '../../shared/index.ts';
import { failedPacksIn } from '../../worker/comfy/log-tail.ts';
import { runCommandLine } from '../support/client-bench.ts';
import { startWholeStack, type WholeStack } from '../support/whole-stack.ts';

const folders: string[] = [];
let stack: WholeStack | undefined;

afterEach(async () => {
  await stack?.close();
  stack = undefined;
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function useFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'cr-describe-'));
  folders.push(folder);
  return folder;
}

async function useStack(environment: Record<string, string> = {}): Promise<WholeStack> {
  const models = await useFolder();
  await mkdir(path.join(models, 'loras', 'style'), { recursive: true });
  await writeFile(path.join(models, 'loras', 'style', 'ink.safetensors'), Buffer.alloc(1234));
  stack = await startWholeStack({
    workers: 1,
    comfyOptions: { directories: { models } },
    workerEnvironment: environment,
  });
  return stack;
}

it('a ping is answered with who the worker is, and nothing is put into the queue of ComfyUI', async () => {
  const { client, comfy } = await useStack({ COMFY_RUNPOD_IMAGE: 'registry.test/worker:1' });
  const pong = await client.ping();
  expect(pong).toMatchObject({
    kind: 'comfy-runpod/pong',
    contract: contractVersion,
    workerVersion: packageVersion,
    workerId: 'pod-0',
    image: 'registry.test/worker:1',
  });
  expect(pong.uptimeMs).toBeGreaterThanOrEqual(0);
  expect(pong.results).toEqual({ undelivered: 0, kept: 0 });
  await expect.poll(async () => (await client.ping()).state).toBe('ready');
  expect(comfy[0]?.inspect.queue()).toEqual({ running: [], pending: [] });
  expect(comfy[0]?.inspect.history()).toEqual([]);
});

it('a description has the node classes, the models with sizes, versions, limits and space', async () => {
  const { client, comfy } = await useStack();
  const description = await client.describe();
  const objectInfo = await readObjectInfo(description);
  expect(Object.keys(objectInfo ?? {})).toHaveLength(description.nodeClasses.count ?? -1);
  expect(objectInfo?.['SaveImage']).toMatchObject({ output_node: true });
  expect(description.models['loras']).toEqual([{ name: 'style/ink.safetensors', size: 1234 }]);
  expect(description.models).not.toHaveProperty('custom_nodes');
  expect(description.versions).toEqual({
    worker: packageVersion,
    node: process.versions.node,
    comfyui: '0.3.64',
    python: '3.13.5',
    torch: '2.6.0+debian',
  });
  expect(description.limits['resultBytes']).toBe(20 * 2 ** 20);
  expect(description.memory?.totalBytes).toBeGreaterThan(0);
  expect(Object.keys(description.disks).toSorted()).toEqual(['input', 'output', 'temp']);
  // The stand-in has no GPU, and the processor is not passed off as one.
  expect(description.gpus).toEqual([]);
  expect(description.warnings).toBeUndefined();
  expect(comfy[0]?.inspect.history()).toEqual([]);
});

it('a ComfyUI that can not declare its nodes is described all the same, and the description says what is missing', async () => {
  stack = await startWholeStack({
    workers: 1,
    comfyFaults: () => [
      { kind: 'bad-status', endpoint: '/object_info', status: 500, times: 100 },
      { kind: 'bad-status', endpoint: '/experiment/models/*', status: 404, times: 1000 },
    ],
  });
  const description = await stack.client.describe();
  expect(description.nodeClasses.data).toBeUndefined();
  expect(description.nodeClasses.omitted).toContain('could not declare');
  expect(description.warnings).toEqual(['ComfyUI did not tell its node classes.']);
});

it('packs that a ComfyUI started elsewhere failed to import are read from its log, in pings, descriptions and missing-node errors', async () => {
  const failedImports = ['/opt/ComfyUI/custom_nodes/ComfyUI-Broken-Pack'];
  stack = await startWholeStack({ workers: 1, comfyOptions: { failedImports } });
  await expect.poll(async () => (await stack?.client.ping())?.state).toBe('ready');
  expect((await stack.client.ping()).failedPacks).toEqual(['ComfyUI-Broken-Pack']);
  expect((await stack.client.describe()).importFailures).toEqual([{ pack: 'ComfyUI-Broken-Pack' }]);
  const missing = await stack.client.submit({ workflow: { '1': { class_type: 'BrokenPackNode', inputs: {} } } });
  expect(await missing.wait()).toMatchObject({
    kind: 'failed',
    error: { code: 'WORKFLOW_UNKNOWN_NODE', message: expect.stringContaining('ComfyUI-Broken-Pack') as string },
  });
});

it('a ComfyUI whose log can not be read, or names a pack only after a prompt, has no failed packs', async () => {
  stack = await startWholeStack({
    workers: 1,
    comfyFaults: () => [{ kind: 'bad-status', endpoint: '/internal/logs/raw', status: 404, times: 100 }],
    comfyOptions: { failedImports: ['/opt/ComfyUI/custom_nodes/ComfyUI-Broken-Pack'] },
  });
  await expect.poll(async () => (await stack?.client.ping())?.state).toBe('ready');
  expect((await stack.client.ping()).failedPacks).toEqual([]);
  expect(failedPacksIn('got prompt\n   0.1 seconds (IMPORT FAILED): /opt/custom_nodes/Words-Of-A-Prompt\n')).toEqual(
    [],
  );
});

it('a ping and a description count results that RunPod did not take, and those that the worker kept', async () => {
  const folder = await useFolder();
  stack = await startWholeStack({
    workers: 1,
    platformFaults: [{ route: 'job-done/result', when: { nth: 1 }, do: { kind: 'answer', status: 413 } }],
    workerEnvironment: { RESULT_VOLUME_DIR: await useFolder(), COMFY_RUNPOD_IMAGE: 'registry.test/worker:3' },
  });
  const { client, emulator } = stack;
  const workflow = {
    '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 1 } },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
  };
  expect(await (await client.submit({ workflow })).wait()).toMatchObject({ kind: 'failed' });
  expect((await client.ping()).results).toEqual({ undelivered: 1, kept: 1 });
  expect((await client.describe()).results).toEqual({ undelivered: 1, kept: 1 });
  const environment = { ...emulator.clientEnvironment({ endpointId: 'ep1' }), XDG_CACHE_HOME: folder };
  for (const cached of [false, true]) {
    const printed = await runCommandLine(['describe'], { folder, environment });
    expect(printed.stdout).toContain('1 not taken by RunPod since the worker began, 1 of them kept');
    expect(printed.stdout.includes('kept from an earlier call')).toBe(cached);
  }
});

it('an unknown action and an action with other keys fail with a reason', async () => {
  const { client } = await useStack();
  const { emulator } = stack ?? (await useStack());
  const environment = emulator.clientEnvironment({ endpointId: 'ep1' });
  const submit = async (input: object) => {
    const answer = await request(`${emulator.baseUrl}/ep1/run`, {
      method: 'POST',
      headers: { authorization: `Bearer ${environment['RUNPOD_API_KEY']}`, 'content-type': 'application/json' },
      body: JSON.stringify({ input }),
    });
    const { id } = (await answer.body.json()) as { id: string };
    return client.job(id).wait();
  };
  expect(await submit({ action: 'explode' })).toMatchObject({ kind: 'failed', error: { code: 'INPUT_INVALID' } });
  expect(await submit({ action: 'ping', workflow: {} })).toMatchObject({
    kind: 'failed',
    error: { code: 'INPUT_UNKNOWN_KEY' },
  });
});

it('a description is kept per image, readable by the user only, and asked for again when the image is unknown', async () => {
  const { client, emulator } = await useStack({ COMFY_RUNPOD_IMAGE: 'registry.test/worker:2' });
  const folder = path.join(await useFolder(), 'cache');
  const options = { folder, endpoint: 'ep1' };
  const first = await describeCached(client, options);
  const second = await describeCached(client, options);
  const fresh = await describeCached(client, { ...options, fresh: true });
  const elsewhere = await describeCached(client, { ...options, endpoint: 'ep2' });
  expect([first.cached, second.cached, fresh.cached, elsewhere.cached]).toEqual([false, true, false, false]);
  expect(second.description).toEqual(first.description);
  const files = await readdir(folder);
  // A description and its pointer each.
  expect(files).toHaveLength(4);
  for (const file of files) expect((await stat(path.join(folder, file))).mode & 0o777).toBe(0o600);

  const out = path.join(folder, 'description.json');
  const environment = { ...emulator.clientEnvironment({ endpointId: 'ep1' }), XDG_CACHE_HOME: folder };
  const printed = await runCommandLine(['describe', '--out', out], { folder, environment });
  expect(printed).toMatchObject({ exitCode: 0 });
  expect(printed.stdout).toContain('ComfyUI 0.3.64');
  expect(printed.stdout).toContain('loras: style/ink.safetensors');
  expect(JSON.parse(await readFile(out, 'utf8')).objectInfo.SaveImage).toMatchObject({ output_node: true });
  const json = await runCommandLine(['describe', '--json'], { folder, environment });
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, cached: true, image: 'registry.test/worker:2' });

  // What was told last is known without asking anybody, for each endpoint.
  expect(await keptDescription(options)).toEqual(fresh.description);
  expect(await keptDescription({ folder, endpoint: 'ep3' })).toBeUndefined();

  await stack?.close();
  const unnamed = await useStack();
  await describeCached(unnamed.client, options);
  expect((await describeCached(unnamed.client, options)).cached).toBe(false);
  expect((await keptDescription(options))?.image).toBeUndefined();
});
