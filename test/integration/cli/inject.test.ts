// inject, inspect, --dry-run and the flags behind them, through the command line.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { exitCodes } from '../../../shared/index.ts';
import { runCommandLine, useFolder } from '../../support/client-bench.ts';

const pairs = join(import.meta.dirname, '../../fixtures/workflows/pairs');
const portrait = join(import.meta.dirname, '../../fixtures/readme/portrait.json');
const sharpen = join(import.meta.dirname, '../../../examples/workflows/sharpen-picture.json');
const picture = join(import.meta.dirname, '../../../examples/picture.png');

describe('inject', () => {
  it('prints the changed workflow alone on stdout and says on stderr what it changed', async () => {
    const world = { folder: await useFolder() };
    const outcome = await runCommandLine(
      [
        'inject',
        portrait,
        '--prompt',
        'a red fox',
        '--negative',
        'blurry',
        '--seed',
        '42',
        '--set',
        'KSampler.steps=7',
      ],
      world,
    );
    expect(outcome.exitCode).toBe(0);
    const workflow = JSON.parse(outcome.stdout) as Record<string, { inputs: Record<string, unknown> }>;
    expect([workflow['6']?.inputs['text'], workflow['7']?.inputs['text']]).toEqual(['a red fox', 'blurry']);
    expect([workflow['3']?.inputs['seed'], workflow['3']?.inputs['steps']]).toEqual([42, 7]);
    expect(outcome.stderr).toContain('3.steps (KSampler)');
    expect(outcome.stderr.split('\n').filter((line) => line.startsWith('set '))).toHaveLength(4);
  });

  it("takes the editor's format and pipes, and names what is ambiguous without printing a prompt", async () => {
    const folder = await useFolder();
    const area = join(pairs, 'area_composition__square_area_for_2_subjects.json');
    const { prompt } = await import(area, { with: { type: 'json' } }).then((module) => module.default);
    await writeFile(join(folder, 'area.json'), JSON.stringify(prompt));
    const outcome = await runCommandLine(['inject', 'area.json', '--prompt', 'x', '--json'], { folder });
    expect(outcome.exitCode).toBe(exitCodes.input);
    const { error } = JSON.parse(outcome.stdout) as { error: { code: string; issues: { node: string }[] } };
    expect(error.code).toBe('INJECTION_AMBIGUOUS');
    expect(error.issues.map(({ node }) => node).toSorted()).toEqual(['26', '45', '48', '6']);
    expect(outcome.stdout).not.toContain('girl');
  });

  it('a mask goes to the loader whose mask is used, the picture to the other one', async () => {
    const folder = await useFolder();
    const workflow = {
      '1': { class_type: 'LoadImage', inputs: { image: 'a.png' } },
      '2': { class_type: 'LoadImage', inputs: { image: 'b.png' } },
      '3': {
        class_type: 'ImageCompositeMasked',
        inputs: { destination: ['1', 0], source: ['1', 0], mask: ['2', 1], x: 0, y: 0, resize_source: false },
      },
      '4': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'x' } },
    };
    await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
    for (const name of ['photo.png', 'shape.png']) {
      await sharp({ create: { width: 8, height: 8, channels: 4, background: '#ff000080' } })
        .png()
        .toFile(join(folder, name));
    }
    const argv = ['inject', 'w.json', '--image', 'photo.png', '--mask', 'shape.png'];
    const made = JSON.parse((await runCommandLine(argv, { folder })).stdout);
    expect([made['1'].inputs.image, made['2'].inputs.image]).toEqual(['photo.png', 'shape.png']);
  });

  it('a video and a sound go to their loaders, and other files are refused by their first bytes', async () => {
    const folder = await useFolder();
    const workflow = {
      '1': { class_type: 'LoadVideo', inputs: { file: 'old.mp4' } },
      '2': { class_type: 'LoadAudio', inputs: { audio: 'old.wav' } },
      '3': {
        class_type: 'SaveVideo',
        inputs: { video: ['1', 0], filename_prefix: 'x', format: 'auto', codec: 'auto' },
      },
    };
    await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
    await writeFile(
      join(folder, 'clip.mp4'),
      Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypisom'), Buffer.alloc(64)]),
    );
    await writeFile(join(folder, 'voice.flac'), Buffer.concat([Buffer.from('fLaC'), Buffer.alloc(64)]));
    const made = JSON.parse(
      (await runCommandLine(['inject', 'w.json', '--video', 'clip.mp4', '--audio', '2=voice.flac'], { folder })).stdout,
    );
    expect([made['1'].inputs.file, made['2'].inputs.audio]).toEqual(['clip.mp4', 'voice.flac']);
    const wrong = await runCommandLine(['inject', 'w.json', '--video', 'voice.flac'], { folder });
    expect(wrong.exitCode).toBe(exitCodes.input);
    expect(wrong.stderr).toContain('is not a video');
    const many = await runCommandLine(['inject', 'w.json', '--audio', 'voice.flac', '--audio', 'voice.flac'], {
      folder,
    });
    expect(many.stderr).toContain('More --audio files than nodes');
  });
});

describe('inspect', () => {
  it('shows prompts, seeds, models, outputs and values with the flags that change them', async () => {
    const { stdout, exitCode } = await runCommandLine(['inspect', portrait], { folder: await useFolder() });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('--prompt\n  6.text');
    expect(stdout).toContain('--negative\n  7.text');
    expect(stdout).toContain('--seed\n  3.seed');
    expect(stdout).toMatch(/models\n(.*\n)*? {2}\d+\.ckpt_name/);
    expect(stdout).toMatch(/outputs\n {2}9 \(SaveImage\)/);
    expect(stdout).toContain('3.steps (KSampler) = ');
  });

  it('--json has the same for programs', async () => {
    const { stdout } = await runCommandLine(['inspect', sharpen, '--json'], { folder: await useFolder() });
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      images: [{ node: '1', inputs: ['image'] }],
      outputs: [{ node: '4' }],
    });
  });
});

describe('--dry-run', () => {
  it('shows the differences and the size, sends nothing, and needs no endpoint', async () => {
    const folder = await useFolder();
    const argv = ['run', sharpen, '--image', picture, '--set', 'Sharpen.sigma=2.5', '--dry-run'];
    const outcome = await runCommandLine(argv, { folder, environment: { RUNPOD_BASE_URL: 'http://127.0.0.1:1' } });
    expect(outcome.exitCode).toBe(0);
    expect(outcome.stdout).toContain('@ 3.sigma (ImageSharpen)\n- 1\n+ 2.5\n');
    expect(outcome.stdout).toMatch(/size +[\d.]+ \w+ of 10\.\d+ MB that \/run takes/);
    expect(outcome.stdout).toContain('sent      nothing');
    expect(await readdir(folder)).toEqual([]);
  });

  it('finds what is wrong as sending would', async () => {
    const outcome = await runCommandLine(['submit', sharpen, '--dry-run'], { folder: await useFolder() });
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stderr).toContain('FILE_NOT_FOUND');
  });
});

describe('seeds', () => {
  it('the chosen seed is in the result and in the names of its files', async () => {
    const folder = await useFolder();
    const workflow = {
      '1': { class_type: 'LoadImage', inputs: { image: 'picture.png' } },
      '2': { class_type: 'SandboxSleep', inputs: { steps: 1, step_ms: 1, value: ['1', 0], label: '', seed: 3 } },
      '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'made' } },
    };
    await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
    const argv = ['run', 'w.json', '--image', picture, '--sandbox', '--seed', 'random', '--out', 'out', '--json'];
    const { stdout, exitCode } = await runCommandLine(argv, { folder });
    expect(exitCode).toBe(0);
    const { seeds } = JSON.parse(stdout) as { seeds: Record<string, number> };
    const seed = seeds['2.seed'];
    expect(Number.isSafeInteger(seed)).toBe(true);
    expect(await readdir(join(folder, 'out'))).toEqual([`made_00001_seed-${seed}.png`]);
  });
});
