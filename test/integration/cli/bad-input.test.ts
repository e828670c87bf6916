// Whatever a person gets wrong: one clear message with a code and a next step, the right exit code, and no file left behind.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { exitCodes } from '../../../shared/index.ts';
import { type CommandOutcome, runCommandLine, startClientBench, useFolder } from '../../support/client-bench.ts';

const loadAndSave = {
  '1': { class_type: 'LoadImage', inputs: { image: 'x.png' }, _meta: { title: 'Photo' } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'out' } },
};

/** A key of no account. */
const configured = { RUNPOD_API_KEY: 'sandbox', RUNPOD_ENDPOINT_ID: 'ep1', RUNPOD_BASE_URL: 'http://127.0.0.1:9' };

let png: Buffer;

beforeAll(async () => {
  png = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#336699' } })
    .png()
    .toBuffer();
});

async function useFiles(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  const folder = await useFolder();
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

/** Runs a command that must fail before anything is sent: nothing listens at the configured address. */
async function refused(
  folder: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = configured,
): Promise<CommandOutcome> {
  const before = await readdir(folder, { recursive: true });
  const outcome = await runCommandLine(argv, { folder, environment });
  expect(await readdir(folder, { recursive: true })).toEqual(before);
  expect(outcome.stdout).toBe('');
  expect(outcome.stderr.match(/^error /gm)).toHaveLength(1);
  expect(outcome.stderr.match(/^next: \S/gm)).toHaveLength(1);
  return outcome;
}

function expectError(outcome: CommandOutcome, code: string, exitCode: number, ...texts: readonly string[]): void {
  expect(outcome.stderr).toContain(`error ${code}: `);
  for (const text of texts) expect(outcome.stderr).toContain(text);
  expect(outcome.exitCode).toBe(exitCode);
}

describe('a workflow file that is none', () => {
  it('broken JSON is named by line and column, without its content', async () => {
    const folder = await useFiles({ 'w.json': '{\n  "1": { "class_type": "SecretNode",, }\n}' });
    const outcome = await refused(folder, ['run', 'w.json']);
    expectError(outcome, 'WORKFLOW_NOT_JSON', exitCodes.input, 'Line 2, column 37');
    expect(outcome.stderr).not.toContain('SecretNode');
  });

  it("a workflow in the editor's format that can't be converted is refused node by node", async () => {
    const node = (id: number, type: string) => ({
      id,
      type,
      inputs: [],
      outputs: [],
      widgets_values: [1, 'SecretValue'],
    });
    const nodes = [
      node(4, 'NoSuchLoader'),
      node(7, 'NoSuchSampler'),
      { ...node(9, 'SaveImage'), widgets_values: ['x'] },
    ];
    const folder = await useFiles({ 'w.json': JSON.stringify({ nodes, links: [], version: 0.4 }) });
    const outcome = await refused(folder, ['run', 'w.json']);
    expectError(outcome, 'WORKFLOW_NOT_CONVERTED', exitCodes.input, '2 nodes', '--object-info');
    expect(outcome.stderr).toContain('node 4 (NoSuchLoader): no class of this name is known');
    expect(outcome.stderr).toContain('node 7 (NoSuchSampler): no class of this name is known');
    expect(outcome.stderr).not.toContain('SecretValue');
  });

  it('other JSON, an empty file, a missing file and a folder are told apart', async () => {
    const folder = await useFiles({ 'other.json': '{"name":"x","version":"1"}', 'empty.json': '' });
    await mkdir(join(folder, 'folder.json'));
    expectError(await refused(folder, ['run', 'other.json']), 'WORKFLOW_INVALID', exitCodes.input, 'class_type');
    expectError(await refused(folder, ['run', 'empty.json']), 'FILE_EMPTY', exitCodes.input, '"empty.json"');
    expectError(await refused(folder, ['run', 'gone.json']), 'FILE_NOT_FOUND', exitCodes.input, '"gone.json"');
    expectError(await refused(folder, ['run', 'folder.json']), 'FILE_UNREADABLE', exitCodes.input, 'folder');
  });
});

describe('a picture that is none', () => {
  it('a missing, empty, damaged or foreign file is refused before anything is sent', async () => {
    const folder = await useFiles({
      'w.json': JSON.stringify(loadAndSave),
      'empty.png': '',
      'text.png': 'no picture',
      'vector.svg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
      'damaged.png': png.subarray(0, 20),
    });
    const run = (picture: string) => refused(folder, ['run', 'w.json', '--image', picture]);
    expectError(await run('gone.png'), 'FILE_NOT_FOUND', exitCodes.input, '"gone.png"');
    expectError(await run('empty.png'), 'FILE_EMPTY', exitCodes.input, '"empty.png"');
    expectError(await run('text.png'), 'FILE_NOT_A_PICTURE', exitCodes.input, '"text.png"', 'PNG, JPEG');
    expectError(await run('vector.svg'), 'FILE_NOT_A_PICTURE', exitCodes.input);
    expectError(await run('damaged.png'), 'FILE_NOT_A_PICTURE', exitCodes.input, 'damaged');
    expectError(await run('.'), 'FILE_UNREADABLE', exitCodes.input, 'folder');
    expectError(await run('a\0b.png'), 'FILE_NAME_UNSAFE', exitCodes.input, 'NUL');
  });

  it('a picture too large for any job is refused unread, with its size', async () => {
    const folder = await useFiles({
      'w.json': JSON.stringify(loadAndSave),
      'huge.png': Buffer.concat([png, Buffer.alloc(9_000_000)]),
    });
    expectError(
      await refused(folder, ['run', 'w.json', '--image', 'huge.png']),
      'BODY_TOO_LARGE',
      exitCodes.input,
      '8.6 MB',
    );
  });

  it('pictures that are too large together are named with their sizes', async () => {
    const folder = await useFiles({
      'w.json': JSON.stringify({ ...loadAndSave, '3': { class_type: 'LoadImage', inputs: { image: 'y.png' } } }),
      'a.png': Buffer.concat([png, Buffer.alloc(5_000_000)]),
      'b.png': Buffer.concat([png, Buffer.alloc(4_000_000, 1)]),
    });
    expectError(
      await refused(folder, ['run', 'w.json', '--image', 'a.png', 'b.png']),
      'BODY_TOO_LARGE',
      exitCodes.input,
      'files.0 (a.png) 6.4 MB',
      'files.1 (b.png) 5.1 MB',
    );
  });
});

describe('pictures and nodes that do not fit', () => {
  it('a node that is missing, takes no picture or gets two is named with the candidates', async () => {
    const folder = await useFiles({ 'w.json': JSON.stringify(loadAndSave), 'a.png': png });
    const run = (...images: string[]) =>
      refused(folder, ['run', 'w.json', ...images.flatMap((image) => ['--image', image])]);
    expectError(await run('77=a.png'), 'INJECTION_TARGET_MISSING', exitCodes.input, '"77"', '1 (Photo)');
    expectError(await run('2=a.png'), 'INJECTION_TARGET_MISSING', exitCodes.input, 'SaveImage', '1 (Photo)');
    expectError(await run('1=a.png', 'Photo=a.png'), 'INPUT_INVALID', exitCodes.input, 'Node 1');
    expectError(await run('a.png', 'a.png'), 'INPUT_INVALID', exitCodes.input, '1 (Photo)');
  });

  it('a loader without a picture is an error before the job is sent, which says how to give one', async () => {
    const folder = await useFiles({ 'w.json': JSON.stringify(loadAndSave) });
    expectError(
      await refused(folder, ['run', 'w.json']),
      'FILE_NOT_FOUND',
      exitCodes.input,
      '1 (Photo)',
      '--image 1=FILE',
    );
  });
});

describe('a wrong command line', () => {
  it('unknown commands, flags and values end with the usage exit code', async () => {
    const folder = await useFiles({ 'w.json': JSON.stringify(loadAndSave) });
    for (const argv of [
      ['rnu', 'w.json'],
      ['run'],
      ['run', 'w.json', '--imgae', 'x.png'],
      ['run', 'w.json', '--metadata', 'burn'],
      ['run', 'w.json', '--timeout', 'soon'],
      ['run', 'w.json', '--sandbox', '--comfy-url', 'http://127.0.0.1:8188'],
      ['run', 'w.json', '--comfy-input-dir', 'x'],
      ['dev', '--port', 'http'],
    ]) {
      expectError(await refused(folder, argv), 'USAGE', exitCodes.usage);
    }
  });

  it('a key on the command line is refused as an unknown option', async () => {
    const folder = await useFiles({ 'w.json': JSON.stringify(loadAndSave) });
    expectError(await refused(folder, ['run', 'w.json', '--api-key', 'x']), 'USAGE', exitCodes.usage, '--api-key');
  });

  it('help of every command comes with examples and succeeds', async () => {
    const folder = await useFolder();
    for (const command of ['run', 'submit', 'status', 'wait', 'cancel', 'health', 'dev', 'demo', 'worker']) {
      const outcome = await runCommandLine([command, '--help'], { folder });
      expect(outcome).toMatchObject({ exitCode: 0, stderr: '' });
      expect(outcome.stdout).toContain(`$ ${command === 'submit' ? 'id=$(' : ''}comfy-runpod ${command}`);
    }
  });
});

describe('a wrong configuration', () => {
  it('one variable without the other, an address in clear and a bad number are named, never their values', async () => {
    const folder = await useFolder();
    const status = (environment: Record<string, string>) => refused(folder, ['status', 'x'], environment);
    expectError(await status({}), 'CONFIG_MISSING', exitCodes.usage, 'RUNPOD_API_KEY', 'RUNPOD_ENDPOINT_ID');
    expectError(await status({ RUNPOD_API_KEY: 'k' }), 'CONFIG_MISSING', exitCodes.usage, 'Set RUNPOD_ENDPOINT_ID');
    expectError(await status({ RUNPOD_ENDPOINT_ID: 'e' }), 'CONFIG_MISSING', exitCodes.usage, 'Set RUNPOD_API_KEY');
    const wrong = await status({ ...configured, RUNPOD_BASE_URL: 'http://api.example', RUNPOD_POLL_INTERVAL: 'often' });
    expectError(wrong, 'CONFIG_INVALID', exitCodes.usage, 'RUNPOD_BASE_URL', 'RUNPOD_POLL_INTERVAL');
    expect(wrong.stderr).not.toContain('often');
  });

  it('.env in the current folder counts, and the environment wins over it', async () => {
    const { environment } = await startClientBench();
    const folder = await useFiles({
      '.env': `RUNPOD_API_KEY=wrong\nRUNPOD_ENDPOINT_ID=ep1\nRUNPOD_BASE_URL=${environment['RUNPOD_BASE_URL']}\n`,
    });
    expectError(await refused(folder, ['health'], {}), 'UNAUTHORIZED', exitCodes.access);
    const outcome = await runCommandLine(['health'], {
      folder,
      environment: { RUNPOD_API_KEY: 'sandbox', RUNPOD_ENDPOINT_ID: '' },
    });
    expect(outcome).toMatchObject({ exitCode: 0 });
  });
});

describe('--json', () => {
  it('prints one document on stdout, also for a failure', async () => {
    const folder = await useFiles({ 'w.json': '{' });
    for (const [argv, code] of [
      [['run', 'w.json', '--json'], 'WORKFLOW_NOT_JSON'],
      [['run', '--json'], 'USAGE'],
      [['status', 'x', '--json'], 'NETWORK_UNREACHABLE'],
    ] as const) {
      const outcome = await runCommandLine(argv, { folder, environment: configured });
      expect(JSON.parse(outcome.stdout)).toMatchObject({
        ok: false,
        error: {
          code,
          message: expect.any(String) as string,
          nextStep: expect.any(String) as string,
          issues: expect.any(Array) as [],
        },
      });
      expect(outcome.exitCode).toBeGreaterThan(0);
    }
  });
});
