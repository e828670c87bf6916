// The main path on this machine: the command line, RunPod emulator, worker and ComfyUI stand-in, all real.
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { startComfyStandIn } from '../../../sandbox/index.ts';
import { exitCodes } from '../../../shared/index.ts';
import { runCommandLine, startCommand, startFakeApi, useFolder } from '../../support/client-bench.ts';
import { afterThisTest, until } from '../../support/runpod-emulator.ts';

const examples = fileURLToPath(new URL('../../../examples', import.meta.url));

async function useExamples(): Promise<string> {
  const folder = await useFolder();
  await cp(examples, folder, { recursive: true });
  return folder;
}

async function useComfy(): Promise<string> {
  const comfy = await startComfyStandIn({});
  afterThisTest(() => comfy.close());
  return comfy.url;
}

describe('without configuration', () => {
  it('demo turns the example picture into a picture and says where it is', async () => {
    const folder = await useFolder();
    const outcome = await runCommandLine(['demo'], { folder });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: './results/sharpened_00001_.png\n' });
    expect(outcome.stderr).toContain('Nothing is sent to a cloud');
    const made = await sharp(await readFile(join(folder, 'results/sharpened_00001_.png'))).metadata();
    expect(made).toMatchObject({ format: 'png', width: 1152, height: 864 });
  });

  it('run says that it uses the sandbox, and inverts every pixel', async () => {
    const folder = await useExamples();
    const outcome = await runCommandLine(['run', 'workflows/invert-picture.json', 'picture.png', '--json'], { folder });
    expect(outcome.exitCode).toBe(0);
    expect(outcome.stderr).toContain('using the sandbox');
    const document = JSON.parse(outcome.stdout);
    expect(document).toMatchObject({ ok: true, receipt: { wipe: { mode: 'wiped', kept: [] } } });
    const raw = async (path: string) => (await sharp(path).removeAlpha().raw().toBuffer()) as Buffer;
    const before = await raw(join(folder, 'picture.png'));
    const after = await raw(document.files[0].path);
    expect(after).toHaveLength(before.length);
    // ComfyUI computes in floats and cuts off the fraction: a value may be one less.
    expect(after.every((value, at) => [0, 1].includes(255 - (before[at] ?? 0) - value))).toBe(true);
  });

  it('a result that kept its workflow runs again, as a workflow, with the same outcome', async () => {
    const folder = await useExamples();
    const argv = ['run', 'workflows/invert-picture.json', 'picture.png', '--metadata', 'keep', '--out', 'first'];
    const first = await runCommandLine(argv, { folder });
    expect(first.exitCode).toBe(0);
    const made = first.stdout.trim();
    const second = await runCommandLine(['run', made, 'picture.png', '--out', 'second'], { folder });
    expect(second.exitCode).toBe(0);
    expect(second.stderr).toContain('embedded in the PNG file');
    expect(second.stdout.trim().replace('second', 'first')).toBe(made);
    const raw = (path: string) => sharp(join(folder, path)).raw().toBuffer();
    expect((await raw(second.stdout.trim())).equals(await raw(made))).toBe(true);
  }, 30_000);

  it('pictures go to their nodes by title, or in the order of ids where 2 comes before 10', async () => {
    const folder = await useExamples();
    const colour = async (name: string, background: string) =>
      sharp({ create: { width: 16, height: 16, channels: 3, background } })
        .png()
        .toFile(join(folder, name));
    await colour('red.png', '#ff0000');
    await colour('blue.png', '#0000ff');
    for (const images of [
      ['red.png', 'blue.png'],
      ['--image', 'Left=blue.png', '--image', 'Right=red.png'],
    ]) {
      const outcome = await runCommandLine(['run', 'workflows/stitch-two-pictures.json', ...images], { folder });
      expect(outcome.exitCode).toBe(0);
      const path = join(folder, outcome.stdout.trim());
      expect(path).toContain(join('results', 'pairs'));
      // Node 10 is on the left, so the first picture, which node 2 gets, is on the right.
      expect([...(await sharp(path).removeAlpha().raw().toBuffer()).subarray(0, 3)]).toEqual([0, 0, 255]);
    }
  });

  it('a class that only a real ComfyUI has is named, with the way to name one', async () => {
    const folder = await useFolder();
    const workflow = {
      '1': { class_type: 'FaceSwapperDeluxe', inputs: {} },
      '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
    };
    await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
    const outcome = await runCommandLine(['run', 'w.json'], { folder });
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stderr).toContain('error WORKFLOW_UNKNOWN_NODE: ');
    expect(outcome.stderr).toContain('FaceSwapperDeluxe');
    expect(outcome.stderr).toContain('image nodes only');
    expect(outcome.stderr).toMatch(/next: .*--comfy-url/);
    expect(await readdir(folder)).toEqual(['w.json']);
  });

  it('a workflow without an output node says so', async () => {
    const folder = await useFolder();
    const workflow = { '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } } };
    await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
    const outcome = await runCommandLine(['run', 'w.json'], { folder });
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stderr).toContain('error WORKFLOW_NO_OUTPUT: ');
    expect(outcome.stderr).toContain('SaveImage');
  });
});

describe('with a ComfyUI by its address', () => {
  it('run drives it directly, without RunPod, and demo with RunPod in between', async () => {
    const url = await useComfy();
    const folder = await useExamples();
    const direct = await runCommandLine(
      ['run', 'workflows/invert-picture.json', '--image', 'picture.png', '--comfy-url', url],
      { folder },
    );
    expect(direct).toMatchObject({ exitCode: 0, stdout: './results/inverted_00001_.png\n' });
    expect(direct.stderr).toContain(`Driving the ComfyUI at ${new URL(url).host} directly`);
    const demo = await runCommandLine(['demo', '--comfy-url', url, '--out', 'other'], { folder });
    expect(demo).toMatchObject({ exitCode: 0, stdout: './other/sharpened_00001_.png\n' });
  });

  it('an address where nobody answers, or that is none, ends with a message', async () => {
    const folder = await useExamples();
    const gone = await startComfyStandIn({});
    await gone.close();
    const run = (url: string) =>
      runCommandLine(['run', 'workflows/invert-picture.json', 'picture.png', '--comfy-url', url], { folder });
    const refused = await run(gone.url);
    expect(refused.exitCode).toBe(exitCodes.jobFailed);
    expect(refused.stderr).toContain('error COMFY_UNREACHABLE: ');
    const wrong = await run('localhost:8188');
    expect(wrong.exitCode).toBe(exitCodes.usage);
    expect(wrong.stderr).toContain('--comfy-url');
    const other = await startFakeApi((_, response) => response.end('<html>'));
    expect((await run(other.baseUrl)).stderr).toContain('error COMFY_PROTOCOL: ');
    expect(await readdir(folder)).toEqual(['README.md', 'picture.png', 'workflows']);
  });
});

describe('dev', () => {
  it('prints what to export, serves other commands, and stops at Ctrl-C', async () => {
    const folder = await useExamples();
    const dev = startCommand(['dev'], { folder });
    await until(() => dev.stdout().includes('RUNPOD_ENDPOINT_BASE_URL'));
    const environment = Object.fromEntries(
      [...dev.stdout().matchAll(/^export (\w+)=(.*)$/gm)].map((match) => [match[1] ?? '', match[2] ?? '']),
    );
    const outcome = await runCommandLine(['run', 'workflows/invert-picture.json', 'picture.png'], {
      folder,
      environment,
    });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: './results/inverted_00001_.png\n' });
    expect(outcome.stderr).not.toContain('sandbox');
    dev.press();
    expect(await dev.exitCode).toBe(0);
    const after = await runCommandLine(['health'], { folder, environment });
    expect(after.stderr).toContain('error NETWORK_UNREACHABLE: ');
  });

  it('takes a fault script, and says what is wrong with one', async () => {
    const folder = await useExamples();
    await writeFile(
      join(folder, 'faults.json'),
      JSON.stringify([{ route: 'health', do: { kind: 'answer', status: 500 } }]),
    );
    await writeFile(join(folder, 'wrong.json'), JSON.stringify([{ route: 'lunch' }]));
    const dev = startCommand(['dev', '--faults', 'faults.json', '--json'], { folder });
    await until(() => dev.stdout().includes('\n'));
    const { environment } = JSON.parse(dev.stdout());
    const health = await runCommandLine(['health'], { folder, environment });
    expect(health.stderr).toContain('error PLATFORM_ERROR: ');
    dev.press();
    expect(await dev.exitCode).toBe(0);
    const wrong = await runCommandLine(['dev', '--faults', 'wrong.json'], { folder });
    expect(wrong.exitCode).toBe(exitCodes.usage);
    expect(wrong.stderr).toContain('0.route');
  });
});
