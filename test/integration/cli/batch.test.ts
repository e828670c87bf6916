// `batch` through the command line, against the whole chain: emulator, worker, ComfyUI stand-in.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { exitCodes } from '../../../shared/index.ts';
import { runCommandLine, startCommand, useFolder } from '../../support/client-bench.ts';
import { afterThisTest, until } from '../../support/runpod-emulator.ts';
import { startWholeStack } from '../../support/whole-stack.ts';

const workflow = {
  '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } },
  '2': { class_type: 'SandboxSleep', inputs: { steps: 1, step_ms: 5, value: ['1', 0], label: '' } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'out' } },
};
const colours = ['#ff0000', '#00ff00', '#0000ff', '#ffff00'];

/** A folder with a workflow and coloured pictures, an endpoint, and a ledger folder that outlives a command. */
async function useBatch(options: { readonly price?: string } = {}) {
  const folder = await useFolder();
  const data = await useFolder();
  const stack = await startWholeStack({ workers: 1, quiet: true });
  afterThisTest(() => stack.close());
  await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
  for (const [index, background] of colours.entries()) {
    await sharp({ create: { width: 24, height: 16, channels: 3, background } })
      .png()
      .toFile(join(folder, `${index}.png`));
  }
  const environment = {
    ...stack.emulator.clientEnvironment({ endpointId: 'ep1' }),
    COMFY_RUNPOD_DATA_DIR: data,
    ...(options.price !== undefined && { COMFY_RUNPOD_PRICE: options.price }),
  };
  const rendered = () => stack.comfy[0]?.inspect.accepted().length ?? 0;
  return { folder, world: { folder, environment }, stack, rendered };
}

const pixel = async (path: string) => [...(await sharp(path).removeAlpha().raw().toBuffer()).subarray(0, 3)];

describe('a batch', () => {
  it('renders every item once, names the results by item, and draws them on one sheet', async () => {
    const { folder, world, rendered } = await useBatch();
    const items = colours.map((_, index) =>
      JSON.stringify({ image: `${index}.png`, ...(index === 1 && { name: 'green' }) }),
    );
    await writeFile(join(folder, 'items.jsonl'), items.join('\n'));
    const outcome = await runCommandLine(
      ['batch', 'w.json', '--items', 'items.jsonl', '--out', 'made', '--json'],
      world,
    );
    expect(outcome).toMatchObject({ exitCode: 0 });
    const document = JSON.parse(outcome.stdout) as {
      ok: boolean;
      items: { item: string; files: { path: string }[] }[];
    };
    expect(document.items.map(({ item }) => item)).toEqual(['0001', 'green', '0003', '0004']);
    const pixels = await Promise.all(document.items.map(({ files }) => pixel(files[0]?.path ?? '')));
    expect(pixels).toEqual([
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
      [255, 255, 0],
    ]);
    expect(rendered()).toBe(4);
    expect((await readdir(join(folder, 'made'))).toSorted()).toEqual([
      '0001_out_00001_.png',
      '0003_out_00001_.png',
      '0004_out_00001_.png',
      'batch.jsonl',
      'contact-sheet.png',
      'green_out_00001_.png',
    ]);
    const sheet = await sharp(join(folder, 'made/contact-sheet.png')).stats();
    expect(sheet.channels[0]?.min).toBe(0);
    expect(await readFile(join(folder, 'made/batch.jsonl'), 'utf8')).not.toContain('.png"]');
  }, 60_000);

  it('an item that fails stops no other, and the command says which and why', async () => {
    const { folder, world, rendered } = await useBatch();
    await writeFile(join(folder, 'items.csv'), 'name,image\na,0.png\nb,missing.png\nc,2.png\n');
    const argv = ['batch', 'w.json', '--items', 'items.csv', '--out', 'made'];
    const outcome = await runCommandLine(argv, world);
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stderr).toMatch(/b \(image missing\.png\): failed: FILE_NOT_FOUND/);
    expect(outcome.stderr).toContain('2 done, 1 failed, 0 not started');
    expect(outcome.stdout.trim().split('\n')).toHaveLength(2);
    expect(rendered()).toBe(2);
    // The same command again renders nothing; with the file there and --retry-failed only the one that failed.
    await runCommandLine(argv, world);
    expect(rendered()).toBe(2);
    await writeFile(join(folder, 'missing.png'), await readFile(join(folder, '1.png')));
    const again = await runCommandLine([...argv, '--retry-failed'], world);
    expect(again.exitCode).toBe(0);
    expect(rendered()).toBe(3);
  }, 60_000);

  it('left in the middle, the same command follows what runs and renders the rest once', async () => {
    const { folder, world, rendered } = await useBatch();
    await writeFile(join(folder, 'items.csv'), `image\n${colours.map((_, index) => `${index}.png`).join('\n')}\n`);
    const argv = ['batch', 'w.json', '--items', 'items.csv', '--out', 'made', '--concurrency', '1'];
    const first = startCommand(argv, world);
    await until(() => first.stderr().includes('[1/4]'));
    first.press();
    expect(await first.exitCode).toBe(exitCodes.interrupted);
    const second = await runCommandLine(argv, world);
    expect(second.exitCode).toBe(0);
    expect(rendered()).toBe(4);
    const made = (await readdir(join(folder, 'made'))).filter((name) => /^\d{4}_/.test(name));
    expect(made).toHaveLength(4);
  }, 60_000);

  it('left in the middle and resumed, its files have their names, and the same command takes them as done', async () => {
    const { folder, world, rendered } = await useBatch();
    const slow = structuredClone(workflow);
    slow['2'].inputs.step_ms = 1_500;
    await writeFile(join(folder, 'w.json'), JSON.stringify(slow));
    await writeFile(join(folder, 'items.csv'), 'image\n0.png\n1.png\n');
    const argv = ['batch', 'w.json', '--items', 'items.csv', '--out', 'made', '--concurrency', '1'];
    const first = startCommand(argv, world);
    await until(() => first.stderr().includes('[1/2]') && rendered() === 2);
    first.press();
    expect(await first.exitCode).toBe(exitCodes.interrupted);
    const resumed = await runCommandLine(['resume'], world);
    expect([resumed.exitCode, resumed.stdout]).toEqual([0, expect.stringMatching(/^\.\/made\/0002_.*\.png\n$/)]);
    const second = await runCommandLine(argv, world);
    expect(second.exitCode).toBe(0);
    expect(second.stdout).toContain(resumed.stdout.trim());
    expect(rendered()).toBe(2);
    expect((await readdir(join(folder, 'made'))).filter((name) => /^\d{4}_/.test(name))).toHaveLength(2);
  }, 60_000);

  it('a picture that several items share is sent once', async () => {
    const { folder, world, stack } = await useBatch();
    const photo = join(import.meta.dirname, '../../../examples/picture.png');
    await writeFile(join(folder, 'items.csv'), 'name\na\nb\nc\n');
    const argv = ['batch', 'w.json', photo, '--items', 'items.csv', '--out', 'made', '--concurrency', '1'];
    expect(await runCommandLine(argv, world)).toMatchObject({ exitCode: 0 });
    const submits = stack.emulator.inspect.requestsSeen('run');
    expect(submits).toHaveLength(3);
    const sizes = submits.map((request) => request.bodyBytes);
    expect(sizes[1]).toBeLessThan((sizes[0] ?? 0) / 10);
    expect(sizes[2]).toBe(sizes[1]);
  }, 60_000);

  it('nothing is started that could exceed --max-cost, and an unknown price is asked for', async () => {
    const { folder, world, rendered } = await useBatch({ price: '1' });
    await writeFile(join(folder, 'items.csv'), `image\n${colours.map((_, index) => `${index}.png`).join('\n')}\n`);
    const argv = ['batch', 'w.json', '--items', 'items.csv', '--out', 'made', '--max-cost', '0.000001'];
    const outcome = await runCommandLine(argv, world);
    // One item alone shows what an item costs: after it nothing fits.
    expect(rendered()).toBe(1);
    expect(outcome.stderr).toContain('1 done, 0 failed, 3 not started');
    expect(outcome.stderr).toContain('BUDGET_EXHAUSTED');
    const { COMFY_RUNPOD_PRICE: _price, ...unpriced } = world.environment;
    const unknown = await runCommandLine(argv, { ...world, environment: unpriced });
    expect(unknown.exitCode).toBe(exitCodes.usage);
    expect(unknown.stderr).toContain('COMFY_RUNPOD_PRICE');
  }, 60_000);

  it('a grid renders every combination, and the sheet has a picture for each', async () => {
    const { folder, world, rendered } = await useBatch();
    const grid = ['--grid', '3.filename_prefix=a,b', '--grid', 'SandboxSleep.label=x,y,z'];
    const opened: string[] = [];
    const openFile = async (path: string) => void opened.push(path);
    const argv = ['batch', 'w.json', '0.png', ...grid, '--out', 'made', '--json', '--open'];
    const outcome = await runCommandLine(argv, { ...world, openFile });
    expect(opened).toEqual([join(folder, 'made/contact-sheet.png')]);
    expect(outcome.exitCode).toBe(0);
    const { items } = JSON.parse(outcome.stdout) as {
      items: { values: Record<string, string>; files: { path: string }[] }[];
    };
    expect(items.map(({ values }) => Object.values(values).join(''))).toEqual(['ax', 'ay', 'az', 'bx', 'by', 'bz']);
    expect(rendered()).toBe(6);
    expect(items.map(({ files }) => files[0]?.path.replace(/.*_(\w)_00001_\.png/, '$1'))).toEqual([
      'a',
      'a',
      'a',
      'b',
      'b',
      'b',
    ]);
    const { width, height } = await sharp(join(folder, 'made/contact-sheet.png')).metadata();
    expect([width, height].every((side) => side > 2 * 256)).toBe(true);
  }, 60_000);

  it('--dry-run shows every item and sends nothing', async () => {
    const { folder, world, stack } = await useBatch();
    await writeFile(join(folder, 'items.csv'), 'image\n0.png\nmissing.png\n');
    const argv = ['batch', 'w.json', '--items', 'items.csv', '--out', 'made', '--dry-run'];
    const outcome = await runCommandLine([...argv, '--json'], world);
    expect(outcome.exitCode).toBe(exitCodes.input);
    const document = JSON.parse(outcome.stdout) as object;
    expect(document).toMatchObject({
      ok: false,
      dryRun: true,
      items: [
        { values: { image: '0.png' }, files: ['0.png'], differences: [{ node: '1', after: '0.png' }] },
        { error: { code: 'FILE_NOT_FOUND' } },
      ],
    });
    expect((await runCommandLine(argv, world)).stdout).toContain('sent      nothing (--dry-run), 2 items');
    expect(stack.emulator.inspect.requestsSeen('run')).toEqual([]);
    expect(await readdir(folder)).not.toContain('made');
  }, 60_000);

  it('what is changed in a flag or in a picture makes the items new, what is not leaves them done', async () => {
    const { folder, world, rendered } = await useBatch();
    const argv = ['batch', 'w.json', '0.png', '--grid', '2.label=x,y', '--out', 'made'];
    const states = async (...more: string[]) => {
      const { stdout } = await runCommandLine([...argv, ...more, '--json'], world);
      return (JSON.parse(stdout) as { items: { state: string }[] }).items.map(({ state }) => state);
    };
    expect(await states('--set', '3.filename_prefix=one')).toEqual(['done', 'done']);
    expect(await states('--set', '3.filename_prefix=two')).toEqual(['done', 'done']);
    expect(await states('--set', '3.filename_prefix=two')).toEqual(['skipped', 'skipped']);
    await writeFile(join(folder, '0.png'), await readFile(join(folder, '1.png')));
    expect(await states('--set', '3.filename_prefix=two')).toEqual(['done', 'done']);
    expect(rendered()).toBe(6);
  }, 60_000);

  it('a second command on the folder of one that runs is refused; the lock of one that was killed is not', async () => {
    const { folder, world, rendered } = await useBatch();
    const argv = ['batch', 'w.json', '0.png', '--grid', '2.label=x,y', '--out', 'made'];
    await mkdir(join(folder, 'made'));
    // No process has such a number.
    await writeFile(join(folder, 'made/batch.lock'), '999999999 left\n');
    const first = startCommand(argv, world);
    await until(() => rendered() > 0);
    const second = await runCommandLine(argv, world);
    expect([second.exitCode, second.stderr]).toEqual([exitCodes.usage, expect.stringContaining('works on this batch')]);
    expect(await first.exitCode).toBe(0);
    expect(rendered()).toBe(2);
    expect(await readdir(join(folder, 'made'))).not.toContain('batch.lock');
  }, 60_000);

  it('a job whose end was not waited for is followed by the same command, not paid for again', async () => {
    const { folder, world, rendered } = await useBatch();
    const slow = structuredClone(workflow);
    slow['2'].inputs.step_ms = 3_000;
    await writeFile(join(folder, 'w.json'), JSON.stringify(slow));
    const argv = ['batch', 'w.json', '0.png', '--grid', '2.label=x', '--out', 'made', '--json'];
    const impatient = { ...world, environment: { ...world.environment, RUNPOD_MAX_POLL_DURATION: '1' } };
    const left = await runCommandLine(argv, impatient);
    expect([left.exitCode, JSON.parse(left.stdout)]).toMatchObject([
      exitCodes.timeout,
      { items: [{ state: 'failed', jobId: expect.any(String), error: { code: 'WAIT_TIMEOUT' } }] },
    ]);
    expect(await runCommandLine(argv, world)).toMatchObject({ exitCode: 0 });
    expect(rendered()).toBe(1);
  }, 60_000);

  it('items that a wrong key kept from being sent go on with the right one', async () => {
    const { world, rendered } = await useBatch();
    const argv = ['batch', 'w.json', '0.png', '--grid', '2.label=x,y', '--out', 'made'];
    const wrong = { ...world, environment: { ...world.environment, RUNPOD_API_KEY: 'wrong' } };
    expect(await runCommandLine(argv, wrong)).toMatchObject({ exitCode: exitCodes.access });
    expect(await runCommandLine(argv, world)).toMatchObject({ exitCode: 0 });
    expect(rendered()).toBe(2);
  }, 60_000);

  it('a first item that is wrong stops no other, and a workflow from standard input serves all', async () => {
    const { folder, world, rendered } = await useBatch();
    await writeFile(join(folder, 'items.csv'), 'image\nmissing.png\n1.png\n2.png\n');
    const stdin = (async function* () {
      yield JSON.stringify(workflow);
    })();
    const argv = ['batch', '-', '--items', 'items.csv', '--out', 'made'];
    const outcome = await runCommandLine(argv, { ...world, stdin });
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stderr).toContain('2 done, 1 failed, 0 not started');
    expect(rendered()).toBe(2);
  }, 60_000);
});
