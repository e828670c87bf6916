// What commands know of earlier ones: the ledger across commands, terminals and crashes.
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Ledger } from '../../../client/index.ts';
import type { EndpointOptions } from '../../../sandbox/runpod/index.ts';
import { exitCodes } from '../../../shared/index.ts';
import {
  artifact,
  type CommandOutcome,
  envelope,
  runCommandLine,
  startClientBench,
  startCommand,
  useFolder,
} from '../../support/client-bench.ts';
import { readLedger } from '../../support/command-process.ts';
import { until } from '../../support/runpod-emulator.ts';

const workflow = (size: number) =>
  JSON.stringify({
    '1': { class_type: 'EmptyImage', inputs: { width: size, height: 8, batch_size: 1, color: 0 } },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'a prompt nobody may read' } },
  });
const bytes = Buffer.from('the bytes of a picture');

async function useBench(changes: Readonly<Record<string, string>> = {}, endpoint: Partial<EndpointOptions> = {}) {
  const { bench, environment } = await startClientBench({ endpoint });
  const folder = await useFolder();
  const data = join(folder, 'data');
  const variables: Record<string, string> = { ...environment, COMFY_RUNPOD_DATA_DIR: data, HOME: folder, ...changes };
  const world = { folder, environment: variables };
  await writeFile(join(folder, 'w.json'), workflow(8));
  await writeFile(join(folder, 'other.json'), workflow(16));
  const worker = bench.worker();
  const receipt = envelope([]).receipt;
  return {
    bench,
    folder,
    data,
    world,
    command: (...argv: string[]) => runCommandLine(argv, world),
    /** Runs a command whose job the worker renders. */
    async rendered(argv: readonly string[], workerVersion = '0.1.0'): Promise<CommandOutcome> {
      const running = startCommand(argv, world);
      const job = await worker.takeJob();
      await worker.done(job.id, {
        output: envelope([artifact(bytes)], { receipt: { ...receipt, workerVersion } }),
      });
      return { exitCode: await running.exitCode, stdout: running.stdout(), stderr: running.stderr() };
    },
    submits: () => ['run', 'runsync'].flatMap((route) => bench.emulator.inspect.requestsSeen(route as 'run')).length,
  };
}

describe('the ledger behind the commands', () => {
  it('jobs and cost show what was sent, what became of it and what it cost; nothing of the content is kept', async () => {
    const { data, command, rendered } = await useBench({ COMFY_RUNPOD_PRICE: '0.001' });
    expect((await command('jobs')).stdout).toBe('no jobs yet\n');
    const run = await rendered(['run', 'w.json', '--json']);
    expect(run.exitCode).toBe(0);
    const { jobId } = JSON.parse(run.stdout);
    const submitted = (await command('submit', 'other.json')).stdout.trim();
    const jobs = JSON.parse((await command('jobs', '--json')).stdout).jobs;
    expect(jobs).toMatchObject([
      { jobId: submitted, state: 'submitted', command: 'submit' },
      { jobId, state: 'saved', command: 'run', files: [{ size: bytes.length }] },
    ]);
    expect((await command('jobs', '--state', 'saved')).stdout).toContain(jobId);
    expect((await command('jobs', '--state', 'saved')).stdout).not.toContain(submitted);
    expect((await command('jobs', '--state', 'done')).exitCode).toBe(exitCodes.usage);
    const cost = JSON.parse((await command('cost', '--json')).stdout);
    expect(cost.groups).toMatchObject([{ jobs: 1, unpriced: 0 }]);
    expect(cost.total).toBeCloseTo(jobs[1].executionMs * 1e-6, 12);
    for (const name of await readdir(data)) {
      const text = await readFile(join(data, name), 'latin1');
      expect([name, text.includes('nobody may read'), text.includes('the bytes of')]).toEqual([name, false, false]);
    }
  });

  it('resume finishes in another terminal what submit began, several at once, and leaves nothing to do', async () => {
    const { bench, folder, data, command } = await useBench();
    const ids = [];
    for (const name of ['w.json', 'other.json']) ids.push((await command('submit', name)).stdout.trim());
    const worker = bench.worker();
    for (const _ of ids) await worker.done((await worker.takeJob()).id, { output: envelope([artifact(bytes)]) });
    const resumed = await command('resume', '--json', '--out', 'later');
    expect(resumed.exitCode).toBe(0);
    expect(JSON.parse(resumed.stdout).jobs).toMatchObject([{ state: 'saved' }, { state: 'saved' }]);
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['saved', 'saved']);
    expect(await readdir(join(folder, 'later'))).toHaveLength(2);
    expect(JSON.parse((await command('resume', '--json')).stdout)).toEqual({ ok: true, jobs: [] });
  });

  it('fetch saves a result again while RunPod keeps it, and afterwards says where its files are', async () => {
    const { bench, folder, data, world, command, rendered } = await useBench({}, { retentionRunMs: 3_000 });
    const { jobId } = JSON.parse((await rendered(['run', 'w.json', '--json'])).stdout);
    expect((await command('fetch', jobId, '--out', 'again')).stdout).toBe('./again/picture_00001_.png\n');
    expect(await readFile(join(folder, 'again', 'picture_00001_.png'))).toEqual(bytes);
    await until(async () => (await bench.status(jobId)).status === 404);
    const forgotten = await command('wait', jobId);
    expect(forgotten.exitCode).toBe(exitCodes.access);
    expect(forgotten.stderr).toContain('The ledger has it as saved: ./again/picture_00001_.png. `comfy-runpod fetch');
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['saved']);
    const kept = await command('fetch', jobId);
    expect(kept.exitCode).toBe(0);
    expect(kept.stderr).toContain('RunPod has forgotten the job');
    expect(await readFile(join(folder, kept.stdout.trim()))).toEqual(bytes);
    const elsewhere = await runCommandLine(['fetch', jobId], {
      ...world,
      environment: { ...world.environment, RUNPOD_ENDPOINT_ID: 'another' },
    });
    expect([elsewhere.exitCode, elsewhere.stdout]).toEqual([0, kept.stdout]);
    expect(elsewhere.stderr).toContain('not configured here');
    for (const name of ['again', 'results']) await rm(join(folder, name), { recursive: true });
    const lost = await command('fetch', jobId);
    expect([lost.exitCode, lost.stderr]).toEqual([exitCodes.access, expect.stringContaining('JOB_NOT_FOUND')]);
  });

  it('a file that was changed is named when RunPod no longer has the result', async () => {
    const { bench, folder, command, rendered } = await useBench({}, { retentionRunMs: 500 });
    const { jobId } = JSON.parse((await rendered(['run', 'w.json', '--json'])).stdout);
    const [name = ''] = await readdir(join(folder, 'results'));
    await writeFile(join(folder, 'results', name), 'somebody drew on it');
    await until(async () => (await bench.status(jobId)).status === 404);
    const outcome = await command('fetch', jobId, '--json');
    expect(outcome.exitCode).toBe(exitCodes.access);
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      ok: false,
      error: { code: 'JOB_NOT_FOUND', issues: [{ field: join(folder, 'results', name) }] },
    });
  });

  it('a job that goes on, or of which RunPod never told an id, is not fetched: it is said what to do instead', async () => {
    const { data, command } = await useBench();
    const id = (await command('submit', 'w.json')).stdout.trim();
    const early = await command('fetch', id);
    expect([early.exitCode, early.stderr]).toEqual([exitCodes.usage, expect.stringContaining(`wait ${id}`)]);
    using ledger = await Ledger.open(data);
    const { key } = ledger.begin({ endpoint: 'e', command: 'run', workflowHash: 'w', inputHash: 'i' });
    expect((await command('fetch', key)).stderr).toContain('never told an id');
  });

  it('the chosen seeds are kept, and every terminal gives the files the same names', async () => {
    const { bench, folder, data, command } = await useBench();
    const seeded = {
      ...JSON.parse(workflow(8)),
      '3': { class_type: 'RandomNoise', inputs: { noise_seed: 5 } },
    };
    await writeFile(join(folder, 'seeded.json'), JSON.stringify(seeded));
    const id = (await command('submit', 'seeded.json', '--seed', '42')).stdout.trim();
    expect(await readLedger(data)).toMatchObject([{ seeds: { '3.noise_seed': 42 } }]);
    const worker = bench.worker();
    await worker.done((await worker.takeJob()).id, { output: envelope([artifact(bytes)]) });
    const paths: string[] = [];
    for (const argv of [
      ['resume', '--out', 'a'],
      ['fetch', id, '--out', 'b'],
      ['wait', id, '--out', 'c'],
    ]) {
      paths.push((await command(...argv)).stdout.trim());
    }
    expect(paths).toEqual(['a', 'b', 'c'].map((name) => `./${name}/picture_00001_seed-42.png`));
  });

  it('a job that RunPod has forgotten is closed as gone, not asked for again and again', async () => {
    const { bench, data, command } = await useBench();
    await command('submit', 'w.json');
    const [{ jobId = '' } = {}] = await readLedger(data);
    await bench.send('purge-queue', { method: 'POST' });
    const resumed = JSON.parse((await command('resume', '--json')).stdout);
    expect(resumed.jobs).toMatchObject([{ jobId, state: expect.stringMatching(/gone|cancelled/) }]);
    expect(JSON.parse((await command('resume', '--json')).stdout).jobs).toEqual([]);
  });

  it('a ledger that is broken or may not be written is told once and stops nothing', async () => {
    const { folder, data, rendered } = await useBench();
    await mkdir(data, { recursive: true });
    await writeFile(join(data, 'ledger.sqlite'), 'this is no database '.repeat(500));
    const run = await rendered(['run', 'w.json']);
    expect(run.exitCode).toBe(0);
    expect(run.stderr.match(/LEDGER_UNUSABLE/g)).toHaveLength(1);
    expect(await readdir(join(folder, 'results'))).toHaveLength(1);
  });
});

describe('--cache', () => {
  it('the saved result of the same job is used; another workflow, another worker or a changed file is rendered', async () => {
    const { folder, command, rendered, submits } = await useBench();
    await rendered(['run', 'w.json']);
    const again = await command('run', 'w.json', '--cache', '--out', 'copy', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({
      ok: true,
      cached: true,
      cost: 0,
      files: [{ size: bytes.length }],
    });
    expect(await readFile(join(folder, 'copy', 'picture_00001_.png'))).toEqual(bytes);
    expect((await command('run', 'w.json', '--cache')).stdout).toBe('./results/picture_00001_.png\n');
    expect(submits()).toBe(1);
    // Without the flag nothing is reused.
    await rendered(['run', 'w.json', '--out', 'fresh']);
    expect(submits()).toBe(2);
    await rendered(['run', 'other.json', '--cache', '--out', 'other'], '0.2.0');
    // The endpoint has another worker by now.
    await rendered(['run', 'w.json', '--cache', '--out', 'newer'], '0.2.0');
    expect(submits()).toBe(4);
    for (const name of ['newer', 'results', 'fresh', 'copy']) {
      const path = join(folder, name, 'picture_00001_.png');
      await chmod(path, 0o600);
      await writeFile(path, 'touched');
    }
    await rendered(['run', 'w.json', '--cache', '--out', 'last'], '0.2.0');
    expect(submits()).toBe(5);
    await rm(join(folder, 'last'), { recursive: true });
    await rendered(['run', 'w.json', '--cache', '--out', 'end'], '0.2.0');
    expect(submits()).toBe(6);
  }, 60_000);
});

describe('time and cost', () => {
  it('are told before by earlier jobs and after by the receipt; short jobs then go with /runsync unless that is forbidden', async () => {
    const { bench, rendered } = await useBench({ COMFY_RUNPOD_PRICE: '0.001' });
    const first = await rendered(['run', 'w.json', '--out', 'a']);
    expect(first.stderr).not.toContain('estimate');
    expect(first.stderr).toMatch(/cost {6}about \$0\.0/);
    const second = await rendered(['run', 'w.json', '--out', 'b']);
    expect(second.stderr).toMatch(
      /estimate {2}about \d+\.\d s on the worker, \$0\.\d+ .*by 1 earlier job of this workflow/,
    );
    await rendered(['run', 'w.json', '--out', 'c']);
    expect(bench.emulator.inspect.requestsSeen('runsync')).toHaveLength(0);
    await rendered(['run', 'w.json', '--out', 'd']);
    expect(bench.emulator.inspect.requestsSeen('runsync')).toHaveLength(1);
    await rendered(['run', 'w.json', '--out', 'e', '--no-runsync']);
    expect(bench.emulator.inspect.requestsSeen('runsync')).toHaveLength(1);
  }, 60_000);

  it('a price of the user takes the place of the built-in one', async () => {
    const { folder, world, rendered } = await useBench({ COMFY_RUNPOD_PROFILE: 'mine' });
    const { environment } = world;
    const path = join(folder, '.config', 'comfy-runpod');
    await mkdir(path, { recursive: true });
    const profile = `{ endpoint: ep1, gpu: rtx-4090, baseUrl: '${environment['RUNPOD_BASE_URL'] ?? ''}' }`;
    await writeFile(join(path, 'config.yaml'), `profiles:\n  mine: ${profile}\nprices:\n  RTX 4090: 100\n`);
    const { stdout } = await rendered(['run', 'w.json', '--json']);
    const { cost, times } = JSON.parse(stdout);
    expect(cost).toBeCloseTo(times.executionMs / 10, 6);
  });
});
