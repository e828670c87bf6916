// What a terminal, a shell and a program around the command line get of it.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { contractVersion, exitCodes, packageVersion } from '../../../shared/index.ts';
import {
  json,
  runCommandLine,
  startClientBench,
  startCommand,
  startFakeApi,
  useFolder,
} from '../../support/client-bench.ts';

const examples = join(import.meta.dirname, '../../../examples');
const workflow = join(examples, 'workflows/sharpen-picture.json');
const picture = join(examples, 'picture.png');
/** What every sequence of a terminal starts with. */
const esc = '\u001b';
const run = ['run', workflow, '--image', picture, '--sandbox', '--out', 'out'];

/** Runs for about five seconds, so that progress is seen on the way, and shows what it makes. */
const slow = {
  '1': { class_type: 'EmptyImage', inputs: { width: 64, height: 64, batch_size: 1, color: 255 } },
  '2': {
    class_type: 'SandboxSleep',
    inputs: { steps: 60, step_ms: 80, previews: true, value: ['1', 0], label: '' },
  },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'out' } },
};

describe('what a program reads', () => {
  it('--jsonl prints a line of JSON for everything that happens, and the result last', async () => {
    const folder = await useFolder();
    await writeFile(join(folder, 'w.json'), JSON.stringify(slow));
    const outcome = await runCommandLine(['run', 'w.json', '--sandbox', '--out', 'out', '--jsonl'], { folder });
    expect(outcome.exitCode).toBe(0);
    const lines = outcome.stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    const types = lines.map((event) => event['type']);
    expect(types[0]).toBe('status');
    expect(types).toContain('progress');
    expect(types.indexOf('result')).toBe(types.length - 1);
    expect(new Set(lines.map((event) => event['jobId'])).size).toBe(1);
    const files = lines.at(-1)?.['files'] as { path: string; sha256: string }[];
    expect(files).toHaveLength(1);
    for (const { path, sha256 } of files) {
      expect(createHash('sha256').update(readFileSync(path)).digest('hex')).toBe(sha256);
    }
  });

  it('--jsonl ends with the error when the command fails before there is a job', async () => {
    const outcome = await runCommandLine(['run', 'missing.json', '--jsonl'], { folder: await useFolder() });
    expect(JSON.parse(outcome.stdout)).toMatchObject({ type: 'result', ok: false, error: { code: 'FILE_NOT_FOUND' } });
    expect(outcome.exitCode).toBe(exitCodes.input);
  });

  it('--quiet prints the paths of results and nothing else, and errors all the same', async () => {
    const folder = await useFolder();
    const outcome = await runCommandLine([...run, '--quiet'], { folder, interactive: true });
    expect(outcome).toMatchObject({ exitCode: 0, stderr: '' });
    expect(outcome.stdout.trim().split('\n')).toHaveLength(1);
    const failed = await runCommandLine(['run', 'missing.json', '--quiet'], { folder });
    expect(failed.stderr).toContain('error FILE_NOT_FOUND');
  });
});

describe('pictures in a terminal', () => {
  /** The picture that the sequences carry, or undefined. */
  const kittyPicture = (text: string) => {
    const pieces = [...text.matchAll(new RegExp(`${esc}_G([^;]*);([^${esc}]*)${esc}\\\\`, 'g'))];
    expect(pieces.slice(0, -1).every(([, head]) => head?.includes('m=1'))).toBe(true);
    expect(pieces.at(-1)?.[1]).toContain('m=0');
    return Buffer.from(pieces.map(([, , data]) => data).join(''), 'base64');
  };

  it('a result is drawn in kitty, scaled down, beside the path on stdout', async () => {
    const folder = await useFolder();
    const outcome = await runCommandLine(run, { folder, interactive: true, environment: { TERM: 'xterm-kitty' } });
    expect(outcome.exitCode).toBe(0);
    const drawn = await sharp(kittyPicture(outcome.stderr)).metadata();
    const saved = await sharp(join(folder, outcome.stdout.trim())).metadata();
    expect(drawn.width).toBeLessThanOrEqual(560);
    expect(Math.abs(drawn.width / drawn.height - saved.width / saved.height)).toBeLessThan(0.02);
  });

  it('iTerm2 and sixel terminals get their own sequences', async () => {
    const folder = await useFolder();
    const iterm = await runCommandLine(run, { folder, interactive: true, environment: { TERM_PROGRAM: 'iTerm.app' } });
    const picture1337 = new RegExp(`${esc}\\]1337;File=inline=1;[^:]*:([A-Za-z0-9+/=]+)\u0007`);
    const inline = picture1337.exec(iterm.stderr)?.[1] ?? '';
    expect((await sharp(Buffer.from(inline, 'base64')).metadata()).format).toBe('png');
    const sixel = await runCommandLine(run, { folder, interactive: true, environment: { TERM: 'foot' } });
    expect(sixel.stderr).toMatch(new RegExp(`${esc}P[0-9;]*q[^${esc}]+${esc}\\\\`));
  });

  it('--previews draws what is being made, each picture in the place of the one before, and only when asked', async () => {
    const folder = await useFolder();
    await writeFile(join(folder, 'w.json'), JSON.stringify(slow));
    const world = { folder, interactive: true, environment: { TERM: 'xterm-kitty' } };
    const drawn = (text: string) => text.split(`${esc}_Ga=T`).length - 1;
    const asked = await runCommandLine(['run', 'w.json', '--sandbox', '--previews', '--no-show', '--out', 'a'], world);
    expect(asked.exitCode).toBe(0);
    expect(drawn(asked.stderr)).toBeGreaterThan(1);
    expect(asked.stderr).toContain(`${esc}[14A${esc}_G`);
    const plain = await runCommandLine(['run', 'w.json', '--sandbox', '--no-show', '--out', 'b'], world);
    expect(drawn(plain.stderr)).toBe(0);
  }, 60_000);

  it('nothing is drawn outside a terminal, in tmux, with --no-show, or when it is turned off', async () => {
    const folder = await useFolder();
    const kitty = { TERM: 'xterm-kitty' };
    const cases: [readonly string[], Record<string, string>, boolean][] = [
      [run, kitty, false],
      [run, { ...kitty, TMUX: '/run/tmux,1,0' }, true],
      [[...run, '--no-show'], kitty, true],
      [run, { ...kitty, COMFY_RUNPOD_GRAPHICS: 'none' }, true],
      [run, { TERM: 'xterm-256color' }, true],
    ];
    for (const [argv, environment, interactive] of cases) {
      const { stderr } = await runCommandLine(argv, { folder, interactive, environment });
      expect(stderr).not.toContain('\u001b_G');
    }
  });

  it('--open hands every saved file to the system, and a program that fails fails nothing', async () => {
    const folder = await useFolder();
    const opened: string[] = [];
    const openFile = async (path: string) => {
      opened.push(path);
      throw new Error('no program');
    };
    const outcome = await runCommandLine([...run, '--open'], { folder, openFile });
    expect(outcome.exitCode).toBe(0);
    expect(opened).toEqual([join(folder, outcome.stdout.trim())]);
    expect(outcome.stderr).toContain('could not be opened');
  });
});

describe('waiting in the queue', () => {
  it('a person is told how many jobs wait and what the workers do', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useFolder();
    const waiting = startCommand(['run', workflow, '--image', picture], { folder, environment });
    await expect.poll(waiting.stderr, { timeout: 10_000 }).toContain('alone in the queue; workers: none yet');
    waiting.press();
    expect(await waiting.exitCode).toBe(exitCodes.cancelled);
    expect(bench.emulator).toBeDefined();
  });
});

describe('doctor', () => {
  it('without an endpoint it checks this machine and says that the sandbox is used', async () => {
    const folder = await useFolder();
    const outcome = await runCommandLine(['doctor'], { folder });
    expect(outcome.exitCode).toBe(0);
    expect(outcome.stdout).toContain(`comfy-runpod ${packageVersion}`);
    expect(outcome.stdout).toContain('no endpoint is configured');
    expect(await readdir(folder)).toEqual([]);
  });

  it('a refused key is a failed check with the exit code of its error', async () => {
    const { environment } = await startClientBench();
    const world = { folder: await useFolder(), environment: { ...environment, RUNPOD_API_KEY: 'wrong' } };
    const outcome = await runCommandLine(['doctor', '--json'], world);
    expect(outcome.exitCode).toBe(exitCodes.access);
    const report = JSON.parse(outcome.stdout) as { ok: boolean; checks: { name: string; result: string }[] };
    expect(report.ok).toBe(false);
    expect(report.checks).toContainEqual(expect.objectContaining({ name: 'endpoint', result: 'failed' }));
    expect(outcome.stdout).not.toContain('"wrong"');
  });

  it('a sleeping endpoint is not woken, and a worker of another contract is told with what to update', async () => {
    const pong = {
      kind: 'comfy-runpod/pong',
      contract: contractVersion + 1,
      workerVersion: '9.9.9',
      workerId: 'w1',
      state: 'ready',
      uptimeMs: 5,
    };
    let idle = 0;
    const api = await startFakeApi((call, response) => {
      const jobs = { completed: 0, failed: 0, inProgress: 0, inQueue: 0, retried: 0 };
      const workers = { idle, initializing: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0 };
      if (call.path.endsWith('/health')) return json(response, 200, { jobs, workers });
      json(response, 200, { id: 'j1', status: 'COMPLETED', output: pong });
    });
    const environment = { RUNPOD_API_KEY: 'sandbox', RUNPOD_ENDPOINT_ID: 'ep1', RUNPOD_BASE_URL: api.baseUrl };
    const world = { folder: await useFolder(), environment };
    const asleep = await runCommandLine(['doctor'], world);
    expect(asleep).toMatchObject({ exitCode: 0 });
    expect(asleep.stdout).toContain('no worker is awake');
    expect(api.calls.every((call) => call.method === 'GET')).toBe(true);
    idle = 1;
    const awake = await runCommandLine(['doctor'], world);
    expect(awake.exitCode).toBe(exitCodes.usage);
    expect(awake.stdout).toContain('Update comfy-runpod on this machine');
  });

  it('a clock that is wrong is noticed', async () => {
    const api = await startFakeApi((_, response) =>
      json(response, 401, { error: 'no' }, { date: new Date(Date.now() - 3_600_000).toUTCString() }),
    );
    const environment = { RUNPOD_API_KEY: 'sandbox', RUNPOD_ENDPOINT_ID: 'ep1', RUNPOD_BASE_URL: api.baseUrl };
    const outcome = await runCommandLine(['doctor'], { folder: await useFolder(), environment });
    expect(outcome.stdout).toMatch(/warning +clock +this machine's clock and the server's are 3[56]\d\d s apart/);
  });
});

describe('completion', () => {
  /** What bash offers for a line whose last word is being typed. */
  async function offered(words: readonly string[]): Promise<string[]> {
    const { stdout } = await runCommandLine(['completion', 'bash'], { folder: await useFolder() });
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const ask = `${stdout}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _comfy_runpod; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['--norc', '-c', ask], { encoding: 'utf8' }).split('\n').filter(Boolean);
  }

  it('bash offers commands, their flags, and the values of flags with fixed choices', async () => {
    expect(await offered(['comfy-runpod', 'ru'])).toEqual(['run']);
    expect(await offered(['comfy-runpod', 'run', 'w.json', '--sand'])).toEqual(['--sandbox']);
    expect(await offered(['comfy-runpod', 'run', '--metadata', ''])).toEqual(['strip', 'keep']);
    expect(await offered(['comfy-runpod', 'completion', '--sand'])).toEqual([]);
  });

  it('zsh and fish get a script that names every command', async () => {
    const folder = await useFolder();
    const help = await runCommandLine(['--help'], { folder });
    const commands = [...help.stdout.matchAll(/^ {2}([a-z]+)[ |]/gm)].map(([, name]) => name ?? '');
    expect(commands.length).toBeGreaterThan(10);
    for (const shell of ['zsh', 'fish']) {
      const { stdout } = await runCommandLine(['completion', shell], { folder });
      for (const command of commands.filter((name) => name !== 'help')) expect(stdout).toContain(command);
    }
    expect(await readFile(join(import.meta.dirname, '../../../README.md'), 'utf8')).toContain('completion');
  });
});
