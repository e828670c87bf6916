// A submit whose answer is lost: RunPod may have the job. The same command again renders it once, however it goes.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Ledger } from '../../client/index.ts';
import { systemClock } from '../../sandbox/runpod/index.ts';
import { exitCodes } from '../../shared/index.ts';
import { runCommandLine, smallJob, startClientBench, useFolder } from '../support/client-bench.ts';
import { readLedger } from '../support/command-process.ts';
import { afterThisTest, startBench } from '../support/runpod-emulator.ts';
import { filesBelow, startWholeStack, type WholeStackOptions } from '../support/whole-stack.ts';

/** RunPod takes the job, and the connection breaks before it says so. */
const answerLost = (times: number) => [
  { route: 'run' as const, when: { from: 1, to: times }, do: { kind: 'drop' as const, at: 'after' as const } },
];

async function useStack(options: WholeStackOptions) {
  const stack = await startWholeStack({ quiet: true, ...options });
  afterThisTest(() => stack.close());
  const folder = await useFolder();
  const data = join(folder, 'data');
  const variables = { ...stack.emulator.clientEnvironment({ endpointId: 'ep1' }), COMFY_RUNPOD_DATA_DIR: data };
  const workflow = {
    '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 7 } },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'picture' } },
  };
  await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
  return {
    stack,
    folder,
    data,
    run: (...argv: string[]) =>
      runCommandLine(['run', 'w.json', '--out', 'out', ...argv], { folder, environment: variables }),
    batch: (...argv: string[]) =>
      runCommandLine(['batch', 'w.json', '--out', 'out', ...argv], { folder, environment: variables }),
    rendered: () => stack.comfy.reduce((sum, { inspect }) => sum + inspect.accepted().length, 0),
  };
}

describe('a submit of which nobody knows whether it arrived', () => {
  it('is sent under the same key by the same command, rendered once, and its result saved', async () => {
    const { stack, folder, data, run, rendered } = await useStack({ workers: 1, platformFaults: answerLost(1) });
    const first = await run();
    expect(first.exitCode).not.toBe(0);
    expect(first.stderr).toContain('SUBMIT_UNCERTAIN');
    expect(first.stderr).toContain('Run the same command again within a day');
    const [doubtful] = await readLedger(data);
    expect(doubtful).toMatchObject({ state: 'uncertain' });

    const again = await run('--json');
    expect([again.exitCode, again.stderr]).toEqual([0, expect.stringContaining('nobody knows whether it arrived')]);
    // Known by the id under which it is in the ledger, not by that of the lost one.
    expect((await readLedger(data)).map(({ jobId }) => jobId)).toEqual([JSON.parse(again.stdout).jobId]);
    expect(stack.emulator.inspect.jobs()).toHaveLength(2);
    expect(rendered()).toBe(1);
    const rows = await readLedger(data);
    expect(rows).toMatchObject([{ key: doubtful?.key, state: 'saved', files: [{ size: expect.any(Number) }] }]);
    expect(await filesBelow(join(folder, 'out'))).toHaveLength(1);

    // Nothing is in doubt any more: whoever asks again wants a second one.
    const wanted = await run();
    expect([wanted.exitCode, wanted.stderr.includes('nobody knows')]).toEqual([0, false]);
    expect(rendered()).toBe(2);
  }, 60_000);

  it('is rendered once by several workers that share a volume', async () => {
    const volume = join(await useFolder(), 'results');
    const { stack, folder, data, run, rendered } = await useStack({
      workers: 2,
      platformFaults: answerLost(3),
      environment: { RESULT_VOLUME_DIR: volume },
    });
    for (let lost = 0; lost < 3; lost++) expect((await run()).stderr).toContain('SUBMIT_UNCERTAIN');
    const last = await run();
    expect([last.exitCode, last.stderr]).toEqual([0, expect.anything()]);
    expect(stack.emulator.inspect.jobs()).toHaveLength(4);
    expect(rendered()).toBe(1);
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['saved']);
    expect(await filesBelow(join(folder, 'out'))).toHaveLength(1);
  }, 60_000);

  it('as an item of a batch is rendered once, too, and both notebooks agree that it is saved', async () => {
    const { data, batch, rendered } = await useStack({ workers: 1, platformFaults: answerLost(1) });
    const grid = ['--grid', 'EmptyImage.color=1,2', '--concurrency', '1'];
    expect((await batch(...grid)).exitCode).not.toBe(0);
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['uncertain', 'saved']);
    const again = await batch(...grid, '--retry-failed');
    expect([again.exitCode, again.stderr]).toEqual([0, expect.anything()]);
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['saved', 'saved']);
    expect(rendered()).toBe(2);
  }, 60_000);

  it('stays in doubt when its repeat is refused: that tells nothing of the first', async () => {
    const { data, run, rendered } = await useStack({
      workers: 1,
      platformFaults: [
        ...answerLost(1),
        { route: 'run', when: { nth: 2 }, do: { kind: 'answer', at: 'before', status: 401 } },
      ],
    });
    await run();
    const refused = await run();
    expect([refused.exitCode, refused.stderr]).toEqual([exitCodes.access, expect.stringContaining('UNAUTHORIZED')]);
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['uncertain']);
    expect((await run()).exitCode).toBe(0);
    expect(rendered()).toBe(1);
  }, 60_000);

  it('goes to the endpoint that may have it, although another one looks better now', async () => {
    const bench = await startBench({
      clock: systemClock(),
      endpoints: [{ id: 'ep0' }, { id: 'ep1' }],
      faults: answerLost(1),
    });
    const folder = await useFolder();
    const { baseUrl } = bench.emulator;
    const config = join(folder, 'config.yaml');
    await writeFile(
      config,
      `profiles:\n  a: { endpoint: ep0, baseUrl: '${baseUrl}' }\n  b: { endpoint: ep1, baseUrl: '${baseUrl}' }\n`,
    );
    await writeFile(join(folder, 'w.json'), JSON.stringify(smallJob.workflow));
    const data = join(folder, 'data');
    const environment = { COMFY_RUNPOD_CONFIG: config, RUNPOD_API_KEY: 'sandbox', COMFY_RUNPOD_DATA_DIR: data };
    const submit = () => runCommandLine(['submit', 'w.json', '--profile', 'a,b'], { folder, environment });
    expect((await submit()).stderr).toContain('SUBMIT_UNCERTAIN');
    expect(await readLedger(data)).toMatchObject([{ state: 'uncertain', endpoint: `${baseUrl}/ep0` }]);

    await bench.send(`${bench.emulator.endpointUrl('ep1')}/ping/w1?gpu=LOCAL`, { authorization: 'sandbox' });
    expect((await submit()).exitCode).toBe(0);
    expect(bench.emulator.inspect.requestsSeen('run').map(({ endpointId }) => endpointId)).toEqual(['ep0', 'ep0']);
    expect(await readLedger(data)).toMatchObject([{ state: 'submitted', endpoint: `${baseUrl}/ep0` }]);
  });

  it('a day later it is closed: RunPod has forgotten it by then, and the next one is a new one', async () => {
    const { bench, environment } = await startClientBench({ faults: answerLost(1) });
    const folder = await useFolder();
    const data = join(folder, 'data');
    await writeFile(join(folder, 'w.json'), JSON.stringify(smallJob.workflow));
    const world = { folder, environment: { ...environment, COMFY_RUNPOD_DATA_DIR: data } };
    await runCommandLine(['submit', 'w.json'], world);
    const { DatabaseSync } = await import('node:sqlite');
    {
      using database = new DatabaseSync(join(data, 'ledger.sqlite'));
      database.prepare('UPDATE jobs SET created_at = ?').run(Date.now() - 25 * 3_600_000);
    }
    const resumed = JSON.parse((await runCommandLine(['resume', '--json'], world)).stdout);
    expect(resumed.jobs).toMatchObject([{ state: 'gone' }]);
    expect((await runCommandLine(['submit', 'w.json'], world)).stderr).not.toContain('nobody knows');
    expect((await readLedger(data)).map(({ state }) => state)).toEqual(['gone', 'submitted']);
    expect(bench.emulator.inspect.jobs()).toHaveLength(2);
  });
});

describe('whose entry it is', () => {
  const intent = { endpoint: 'e', command: 'run', workflowHash: 'w', inputHash: 'i' };

  it('is not that of a living process, but that of an earlier one which had the same number', async () => {
    const folder = await useFolder();
    let now = Date.now();
    using ledger = await Ledger.open(folder, { now: () => now });
    const { key } = ledger.begin(intent);
    // This very process is still sending it: the next one is another job.
    expect(ledger.begin(intent).key).not.toBe(key);

    // Containers give every command the same number: written before this process was, it was another's.
    now = Math.floor(performance.timeOrigin) - 60_000;
    const dead = ledger.begin({ ...intent, inputHash: 'of the dead' });
    now = Date.now();
    const again = ledger.begin({ ...intent, inputHash: 'of the dead' });
    expect(again).toMatchObject({ key: dead.key, state: 'sending', repeats: { createdAt: dead.createdAt } });
  });

  it('two that repeat it at once do not both get its key', async () => {
    const folder = await useFolder();
    using ledger = await Ledger.open(folder);
    using other = await Ledger.open(folder);
    const { key } = ledger.begin(intent);
    ledger.uncertain(key);
    const keys = [ledger.begin(intent).key, other.begin(intent).key];
    expect(keys[0]).toBe(key);
    expect(keys[1]).not.toBe(key);
  });

  it('a key that its owner names twice is one entry', async () => {
    using ledger = await Ledger.open(await useFolder());
    ledger.begin({ ...intent, key: 'mine' });
    ledger.uncertain('mine');
    expect(ledger.begin({ ...intent, key: 'mine' })).toMatchObject({ key: 'mine', state: 'sending' });
    expect(ledger.list()).toHaveLength(1);
  });
});
