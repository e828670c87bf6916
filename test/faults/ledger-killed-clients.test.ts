// Clients that are killed at every step of a job, as a crash or a reboot does, beside two that live. Real processes, a real worker.
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LedgerState, ledgerFile } from '../../client/index.ts';
import type { FaultRuleInput } from '../../sandbox/runpod/index.ts';
import { artifact, envelope, startClientBench, useFolder } from '../support/client-bench.ts';
import { readLedger, spawnCommand } from '../support/command-process.ts';
import { afterThisTest, until } from '../support/runpod-emulator.ts';
import { filesBelow, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

const workflow = (size: number) =>
  JSON.stringify({
    '1': { class_type: 'EmptyImage', inputs: { width: size, height: size, batch_size: 1, color: size } },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: `size${size}` } },
  });

interface Step {
  readonly name: string;
  readonly faults: readonly FaultRuleInput[];
  /** Entries that the killed process leaves. */
  readonly left: readonly LedgerState[];
  /** Whether RunPod has its job. */
  readonly taken: boolean;
  readonly reached: (stack: WholeStack, folder: string) => boolean | Promise<boolean>;
  readonly argv?: readonly string[];
}

const seen = (route: 'run' | 'status' | 'status-sync') => (stack: WholeStack) =>
  stack.emulator.inspect.requestsSeen(route).length > 0;

const steps: readonly Step[] = [
  {
    name: 'before it is written down',
    // It waits for a workflow that nobody sends.
    argv: ['run', '-', '--out', 'killed'],
    faults: [],
    left: [],
    taken: false,
    reached: async (_stack, folder) => (await readdir(folder)).includes('data'),
  },
  {
    name: 'while the request is on its way',
    faults: [{ route: 'run', when: { nth: 1 }, do: { kind: 'hang', at: 'before' } }],
    left: ['sending'],
    taken: false,
    reached: seen('run'),
  },
  {
    name: 'when RunPod has the job and the answer is on its way',
    faults: [{ route: 'run', when: { nth: 1 }, do: { kind: 'hang', at: 'after' } }],
    left: ['sending'],
    taken: true,
    reached: (stack) => stack.emulator.inspect.jobs().length > 0,
  },
  {
    name: 'while it follows the job',
    faults: ['status' as const, 'status-sync' as const].map((route) => ({
      route,
      when: { nth: 1 },
      do: { kind: 'hang' as const, at: 'before' as const },
    })),
    left: ['submitted'],
    taken: true,
    reached: (stack) => seen('status')(stack) && seen('status-sync')(stack),
  },
  {
    name: 'when all is saved',
    faults: [],
    left: ['saved'],
    taken: true,
    reached: async (_stack, folder) => (await readLedger(join(folder, 'data')))[0]?.state === 'saved',
  },
];

describe('a client that is killed', () => {
  for (const step of steps) {
    it(`${step.name} leaves no job that is lost, rendered twice or saved twice`, async () => {
      const stack = await startWholeStack({ workers: 1, platformFaults: step.faults, quiet: true });
      afterThisTest(() => stack.close());
      const folder = await useFolder();
      const data = join(folder, 'data');
      const world = {
        folder,
        environment: { ...stack.emulator.clientEnvironment({ endpointId: 'ep1' }), COMFY_RUNPOD_DATA_DIR: data },
      };
      for (const size of [8, 16, 24]) await writeFile(join(folder, `${size}.json`), workflow(size));
      const argv = step.argv ?? ['run', '8.json', '--out', 'killed'];

      const killed = spawnCommand(argv, world);
      await until(() => step.reached(stack, folder));
      await killed.kill();
      expect((await readLedger(data)).map(({ state }) => state)).toEqual(step.left);
      expect(stack.emulator.inspect.jobs()).toHaveLength(step.taken ? 1 : 0);

      // Two that live use the same ledger at once, beside the one that clears up.
      const living = [16, 24].map((size) => spawnCommand(['run', `${size}.json`, '--out', `out${size}`], world));
      const resume = spawnCommand(['resume', '--json'], world);
      expect(await Promise.all(living.map(({ ended }) => ended))).toEqual([0, 0]);
      await resume.ended;
      const [first] = step.left;
      if (first === 'sending') {
        const { jobs }: { jobs: { state: string }[] } = JSON.parse(resume.stdout());
        // Those of the living are left to them.
        expect(jobs.filter(({ state }) => state !== 'busy')).toMatchObject([{ error: { code: 'SUBMIT_UNCERTAIN' } }]);
        const again = spawnCommand(argv, world);
        expect([await again.ended, again.stderr()]).toEqual([0, expect.anything()]);
      }

      const rows = await readLedger(data);
      expect(rows.map(({ state }) => state)).toEqual([...step.left.map(() => 'saved'), 'saved', 'saved']);
      // Every submission was rendered once, every result is on disk once, with the bytes that the ledger names.
      expect(stack.comfy[0]?.inspect.accepted()).toHaveLength(rows.length);
      const saved = (await filesBelow(folder)).filter((name) => name.startsWith('size') || name.endsWith('.tmp'));
      expect(saved).toHaveLength(rows.length);
      for (const { files } of rows) {
        expect(files).toHaveLength(1);
        for (const { path, sha256 } of files) expect(sha256Of(await readFile(path))).toBe(sha256);
      }
      expect(JSON.parse(await outputOf(['resume', '--json'], world))).toEqual({ ok: true, jobs: [] });
    }, 90_000);
  }

  it('while it saves leaves no half file, and what it had saved is not saved twice', async () => {
    const { bench, environment } = await startClientBench();
    const [small, large] = [Buffer.from('the small one'), Buffer.alloc(256 * 1024, 'large')];
    const bucket = await startSlowBucket(large);
    const folder = await useFolder();
    const data = join(folder, 'data');
    const world = { folder, environment: { ...environment, COMFY_RUNPOD_DATA_DIR: data } };
    await writeFile(join(folder, 'w.json'), workflow(8));

    const killed = spawnCommand(['run', 'w.json', '--out', 'killed'], world);
    const worker = bench.worker();
    const job = await worker.takeJob();
    const url = {
      via: 'url' as const,
      url: bucket.url,
      expiresAt: '2099-01-01T00:00:00.000Z',
      reason: 'size' as const,
    };
    await worker.done(job.id, {
      output: envelope([
        artifact(small, { name: 'small.png' }),
        artifact(large, { name: 'large.png', index: 1, delivery: url }),
      ]),
    });
    await until(() => bucket.waiting());
    await killed.kill();
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['ended']);
    const left = await readdir(join(folder, 'killed'));
    expect(left.every((name) => name.endsWith('.tmp'))).toBe(true);
    // As if it had died between the file and the entry in the ledger.
    await writeFile(join(folder, 'killed', 'small.png'), small);

    bucket.release();
    const resume = spawnCommand(['resume'], world);
    expect([await resume.ended, resume.stderr()]).toEqual([0, expect.stringContaining('saved 2 files')]);
    expect((await readdir(join(folder, 'killed'))).toSorted()).toEqual(['large.png', 'small.png']);
    expect(await readFile(join(folder, 'killed', 'large.png'))).toEqual(large);
    expect((await readLedger(data)).map(({ state, files }) => [state, files.length])).toEqual([['saved', 2]]);
  }, 60_000);
});

describe('a client that is killed between a file and its entry', () => {
  it('has its files found by name and hash: nothing is on disk twice', async () => {
    const { bench, environment } = await startClientBench();
    const [first, second] = [Buffer.from('one picture'), Buffer.alloc(64 * 1024, 'another')];
    const bucket = await startSlowBucket(second);
    const folder = await useFolder();
    const data = join(folder, 'data');
    const out = join(folder, 'killed');
    const world = { folder, environment: { ...environment, COMFY_RUNPOD_DATA_DIR: data } };
    await writeFile(join(folder, 'w.json'), workflow(8));
    const killed = spawnCommand(['run', 'w.json', '--out', 'killed'], world);
    const worker = bench.worker();
    const job = await worker.takeJob();
    const url = {
      via: 'url' as const,
      url: bucket.url,
      expiresAt: '2099-01-01T00:00:00.000Z',
      reason: 'size' as const,
    };
    // Two outputs with one name, as batches have them: the second is numbered.
    await worker.done(job.id, {
      output: envelope([artifact(first), artifact(second, { index: 1, delivery: url })]),
    });
    await until(() => bucket.waiting());
    // Whoever holds the ledger's lock keeps the entry from being written; the files are not held up by it.
    const { DatabaseSync } = await import('node:sqlite');
    using lock = new DatabaseSync(join(data, ledgerFile), { timeout: 5_000 });
    lock.exec('BEGIN IMMEDIATE');
    bucket.finish();
    const names = ['picture_00001_ (1).png', 'picture_00001_.png'];
    await until(async () => (await readdir(out)).filter((name) => !name.endsWith('.tmp')).length === 2);
    await killed.kill();
    lock.exec('ROLLBACK');
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['ended']);

    const resumed = spawnCommand(['resume'], world);
    expect([await resumed.ended, resumed.stderr()]).toEqual([0, expect.stringContaining('saved 2 files')]);
    expect((await readdir(out)).toSorted()).toEqual(names);
    const [row] = await readLedger(data);
    expect(row?.files.map(({ path }) => path).toSorted()).toEqual(names.map((name) => join(out, name)));
    for (const { path, sha256 } of row?.files ?? []) expect(sha256Of(await readFile(path))).toBe(sha256);
  }, 60_000);
});

async function outputOf(argv: readonly string[], world: Parameters<typeof spawnCommand>[1]): Promise<string> {
  const command = spawnCommand(argv, world);
  await command.ended;
  return command.stdout();
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Serves one file, of which it holds the second half back until it is released. */
async function startSlowBucket(
  bytes: Buffer,
): Promise<{ url: string; waiting(): boolean; release(): void; finish(): void }> {
  let held: ServerResponse | undefined;
  let released = false;
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    if (released) return void response.end(bytes);
    response.write(bytes.subarray(0, bytes.length / 2));
    held = response;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterThisTest(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/large.png`,
    waiting: () => held !== undefined,
    /** Whoever asks from now on gets all at once. */
    release: () => {
      released = true;
    },
    /** Gives the rest to who waits for it, too. */
    finish: () => {
      released = true;
      held?.end(bytes.subarray(bytes.length / 2));
    },
  };
}
