// Several endpoints: a job goes where it can run, to the next one when that refuses, and never to two.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Client,
  createClient,
  createRoutedTransport,
  createRunpodTransport,
  rankEndpoints,
} from '../../client/index.ts';
import { type EndpointOptions, systemClock } from '../../sandbox/runpod/index.ts';
import { exitCodes, type HealthView } from '../../shared/index.ts';
import { artifact, envelope, runCommandLine, smallJob, startCommand, useFolder } from '../support/client-bench.ts';
import { afterThisTest, type Bench, startBench } from '../support/runpod-emulator.ts';

/** Two endpoints behind one client. What happens at each is visible in the emulator. */
async function useTwo(
  endpoints: readonly Partial<EndpointOptions>[] = [{}, {}],
  options: { readonly apiKeys?: readonly string[]; readonly moveAfterMs?: number } = {},
) {
  const bench = await startBench({
    clock: systemClock(),
    endpoints: endpoints.map((endpoint, index) => ({ id: `ep${index}`, takeHoldMs: 2_000, ...endpoint })),
  });
  const routed: { id: string; name: string; before?: string }[] = [];
  const client = createClient({
    transport: createRoutedTransport({
      moveAfterMs: options.moveAfterMs ?? 60_000,
      lookEveryMs: 20,
      onRouted: (route) => void routed.push(route),
      members: endpoints.map((_, index) => ({
        name: `ep${index}`,
        transport: createRunpodTransport({
          apiKey: options.apiKeys?.[index] ?? 'sandbox',
          endpointId: `ep${index}`,
          baseUrl: bench.emulator.baseUrl,
          requestTimeoutMs: 5_000,
          pollIntervalMs: 500,
          attempts: 1,
        }),
      })),
    }),
  });
  afterThisTest(() => client.close());
  return { bench, client, routed };
}

/** A worker at one endpoint that takes one job and answers it. */
async function serve(bench: Bench, endpoint: string, worker = 'w1'): Promise<string> {
  const base = bench.emulator.endpointUrl(endpoint);
  const send = (path: string, body?: unknown) =>
    bench.send(`${base}/${path}`, { authorization: 'sandbox', ...(body !== undefined && { body }) });
  for (;;) {
    const answer = await send(`job-take/${worker}?gpu=LOCAL&job_in_progress=0`);
    const { id } = answer.json;
    if (answer.status !== 200 || typeof id !== 'string') continue;
    await send(`job-done/${worker}/${id}?gpu=LOCAL&isStream=false`, {
      output: envelope([artifact(Buffer.from('made'))]),
    });
    return id;
  }
}

/** Makes a worker known at an endpoint, idle. */
async function wake(bench: Bench, endpoint: string): Promise<void> {
  await bench.send(`${bench.emulator.endpointUrl(endpoint)}/ping/w1?gpu=LOCAL`, { authorization: 'sandbox' });
}

/** Jobs that an endpoint was ever given. */
async function jobsAt(client: Client, bench: Bench, endpoint: string): Promise<number> {
  const { json } = await bench.send(`${bench.emulator.endpointUrl(endpoint)}/health`);
  const { completed = 0, failed = 0, inProgress = 0, inQueue = 0 } = json['jobs'] as Record<string, number>;
  expect(client).toBeDefined();
  return completed + failed + inProgress + inQueue;
}

describe('a job with a choice of endpoints', () => {
  it('goes where a worker waits, although another endpoint was named first', async () => {
    const { bench, client, routed } = await useTwo();
    await wake(bench, 'ep1');
    const job = await client.submit(smallJob);
    expect(routed).toEqual([{ id: job.id, name: 'ep1' }]);
    const [served, result] = await Promise.all([serve(bench, 'ep1'), job.wait()]);
    expect(result).toMatchObject({ kind: 'succeeded', jobId: served });
    expect(await jobsAt(client, bench, 'ep0')).toBe(0);
  });

  it('goes to the next one when the first refuses the key, and is an error that names both when all do', async () => {
    const { bench, client, routed } = await useTwo([{}, {}], { apiKeys: ['wrong', 'sandbox'] });
    const job = await client.submit(smallJob);
    expect(routed).toEqual([{ id: job.id, name: 'ep1' }]);
    expect(await jobsAt(client, bench, 'ep0')).toBe(0);
    const { client: refused } = await useTwo([{}, {}], { apiKeys: ['wrong', 'wrong'] });
    await expect(refused.submit(smallJob)).rejects.toMatchObject({
      issues: [
        { field: 'ep0', message: expect.stringContaining('UNAUTHORIZED') },
        { field: 'ep1', message: expect.stringContaining('UNAUTHORIZED') },
      ],
    });
  });

  it('is moved out of a queue that nobody works on, and is known by its new and its old id', async () => {
    const { bench, client, routed } = await useTwo([{}, { throttledWorkers: 2 }], { moveAfterMs: 60 });
    const job = await client.submit(smallJob);
    expect(routed[0]?.name).toBe('ep0');
    const waiting = job.wait();
    const served = await serve(bench, 'ep1');
    expect(await waiting).toMatchObject({ kind: 'succeeded', jobId: served });
    expect(routed[1]).toEqual({ id: served, name: 'ep1', before: job.id });
    const left = await bench.send(`${bench.emulator.endpointUrl('ep0')}/status/${job.id}`);
    expect(left.json).toMatchObject({ status: 'CANCELLED' });
  });

  it('stays where it is once a worker is there, however long it waits', async () => {
    const { bench, client, routed } = await useTwo([{}, {}], { moveAfterMs: 60 });
    await wake(bench, 'ep0');
    const job = await client.submit(smallJob);
    const [served, result] = await Promise.all([serve(bench, 'ep0'), job.wait()]);
    expect(result).toMatchObject({ kind: 'succeeded', jobId: served });
    expect(routed).toHaveLength(1);
    expect(await jobsAt(client, bench, 'ep1')).toBe(0);
  });

  it('is found by its id in another process, whichever endpoint has it', async () => {
    const { bench, client } = await useTwo([{}, {}], { apiKeys: ['sandbox', 'sandbox'] });
    const { json } = await bench.send(`${bench.emulator.endpointUrl('ep1')}/run`, {
      body: { input: { contract: 1, ...smallJob } },
    });
    const id = String(json['id']);
    expect(await client.job(id).status()).toMatchObject({ id, status: 'IN_QUEUE' });
    await expect(client.job('gone-u1').status()).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
  });
});

describe('the order of endpoints', () => {
  const health = (workers: Partial<HealthView['workers']>, inQueue = 0): HealthView => ({
    jobs: { completed: 0, failed: 0, inProgress: 0, inQueue, retried: 0 },
    workers: { idle: 0, initializing: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0, ...workers },
  });

  it('an endpoint that lacks what the job needs is never chosen', () => {
    const small = { name: 'small', vram: 24, models: ['sdxl/base.safetensors'], health: health({ idle: 3 }) };
    const large = {
      name: 'large',
      vram: 80,
      models: ['flux.safetensors'],
      tags: ['video'],
      health: health({ throttled: 1 }),
    };
    expect(rankEndpoints([small, large], { vram: 48 }).order).toEqual([1]);
    expect(rankEndpoints([small, large], { tags: ['video'] }).order).toEqual([1]);
    expect(rankEndpoints([small, large], { models: ['unet/FLUX.safetensors'] }).order).toEqual([1]);
    expect(rankEndpoints([small, large], { models: ['base.safetensors'] }).order).toEqual([0]);
    expect([...rankEndpoints([small, large], { vram: 100 }).refused.keys()]).toEqual([0, 1]);
  });

  it('among equals the cheaper one by price and past time, then the one named first', () => {
    const at = (price: number, pastMs: number) => ({ name: 'x', price, pastMs, health: health({ idle: 1 }) });
    expect(rankEndpoints([at(2, 1000), at(1, 1000)]).order).toEqual([1, 0]);
    expect(rankEndpoints([at(1, 3000), at(2, 1000)]).order).toEqual([1, 0]);
    expect(rankEndpoints([at(1, 1000), at(1, 1000)]).order).toEqual([0, 1]);
  });

  it('every candidate is either ranked or refused with a reason, and a ready one is never behind a throttled one', () => {
    const count = fc.nat({ max: 3 });
    const candidates = fc.array(
      fc.record({
        idle: count,
        running: count,
        initializing: count,
        throttled: count,
        unhealthy: count,
        inQueue: count,
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(candidates, (list) => {
        const all = list.map(({ inQueue, ...workers }, index) => ({
          name: `${index}`,
          health: health(workers, inQueue),
        }));
        const { order, refused } = rankEndpoints(all);
        expect([...order, ...refused.keys()].toSorted()).toEqual(all.map((_, index) => index));
        const dead = order.map((index) => {
          const { workers } = all[index]?.health ?? health({});
          return workers.idle + workers.running + workers.initializing === 0 && workers.throttled > 0;
        });
        expect(dead.lastIndexOf(false)).toBeLessThan(
          dead.includes(true) ? dead.indexOf(true) : Number.POSITIVE_INFINITY,
        );
      }),
    );
  });
});

describe('profiles on the command line', () => {
  async function useProfiles(text: (baseUrl: string) => string) {
    const bench = await startBench({ clock: systemClock(), endpoints: [{ id: 'ep0' }, { id: 'ep1' }] });
    const folder = await useFolder();
    const file = join(folder, 'config.yaml');
    await writeFile(file, text(bench.emulator.baseUrl));
    await writeFile(join(folder, 'w.json'), JSON.stringify(smallJob.workflow));
    return { bench, folder, environment: { COMFY_RUNPOD_CONFIG: file, RUNPOD_API_KEY: 'sandbox' } };
  }
  const two = (baseUrl: string) => `
default: a
profiles:
  a: { endpoint: ep0, baseUrl: '${baseUrl}' }
  b: { endpoint: ep1, baseUrl: '${baseUrl}', key: OTHER_KEY }
`;

  it('the default profile is used where no endpoint is set, and --profile names another, with its own key', async () => {
    const { bench, folder, environment } = await useProfiles(two);
    const submit = (argv: readonly string[], more: Record<string, string> = {}) =>
      runCommandLine(['submit', 'w.json', ...argv], { folder, environment: { ...environment, ...more } });
    const first = await submit([]);
    expect(first.exitCode).toBe(0);
    const at = async (endpoint: string, id: string) =>
      (await bench.send(`${bench.emulator.endpointUrl(endpoint)}/status/${id.trim()}`)).status;
    expect(await at('ep0', first.stdout)).toBe(200);
    const other = await submit(['--profile', 'b'], { OTHER_KEY: 'sandbox' });
    expect(await at('ep1', other.stdout)).toBe(200);
    const keyless = await submit(['--profile', 'b']);
    expect(keyless.exitCode).toBe(exitCodes.usage);
    expect(keyless.stderr).toContain('OTHER_KEY');
    const unknown = await submit(['--profile', 'c']);
    expect(unknown.stderr).toContain('There are: a, b.');
  });

  it('--profile with several names says which one it took, and `profiles` shows them all', async () => {
    const { bench, folder, environment } = await useProfiles(two);
    await wake(bench, 'ep1');
    const world = { folder, environment: { ...environment, OTHER_KEY: 'sandbox' } };
    const running = startCommand(['run', 'w.json', '--profile', 'auto'], world);
    await serve(bench, 'ep1');
    await running.exitCode;
    expect(running.stderr()).toContain('endpoint  b');
    const listed = await runCommandLine(['profiles'], world);
    expect(listed.stdout).toMatch(/^\* a: ep0; .*queue/m);
    expect(listed.stdout).toMatch(/^ {2}b: ep1; .*workers: /m);
    expect(listed.stdout).not.toContain('sandbox');
  });

  it('a wrong file is refused with the field and the line, and a key in it is not repeated', async () => {
    for (const [text, complaint] of [
      ['profiles: { a: { endpoint: ep0, apiKey: rpa_ABC } }', 'profiles.a'],
      ['profiles: { a: { endpoint: ep0, key: rpa-ABC } }', 'profiles.a.key'],
      ['profiles:\n  a: {\n', 'in line'],
      ['default: nobody\nprofiles: {}', 'no profile'],
    ] as const) {
      const { folder, environment } = await useProfiles(() => text);
      const outcome = await runCommandLine(['health'], { folder, environment });
      expect(outcome.exitCode).toBe(exitCodes.usage);
      expect(outcome.stderr).toContain(complaint);
      expect(outcome.stderr).not.toContain('ABC');
    }
  });
});
