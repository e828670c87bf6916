// bin/comfy-runpod.js as a process: which Node, which exit code, which signals; and the link that npm makes after an install.
import { cp, lstat, mkdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { packageVersion } from '../../../shared/index.ts';
import { useFolder } from '../../support/client-bench.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const bin = join(root, 'bin/comfy-runpod.js');
const emptyEnvironment = { RUNPOD_API_KEY: '', RUNPOD_ENDPOINT_ID: '' };

describe('the launcher', () => {
  it('runs the command line from the sources and passes its exit code on', async () => {
    const folder = await useFolder();
    const options = { cwd: folder, reject: false, env: emptyEnvironment } as const;
    expect(await execa(process.execPath, [bin, '--version'], options)).toMatchObject({
      exitCode: 0,
      stdout: packageVersion,
    });
    const wrong = await execa(process.execPath, [bin, 'status', 'x', '--json'], options);
    expect(wrong.exitCode).toBe(2);
    expect(JSON.parse(wrong.stdout)).toMatchObject({ ok: false, error: { code: 'CONFIG_MISSING' } });
  });

  it('on a Node that is too old starts the one beside it, with exit code and signals passed on', async () => {
    const folder = await useFolder();
    // Says that it is old; everything else is the same Node.
    const old = join(folder, 'old.mjs');
    await writeFile(
      old,
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.0.0' } });",
    );
    const options = { cwd: folder, reject: false, env: emptyEnvironment } as const;
    const wrong = await execa(process.execPath, ['--import', old, bin, 'wait'], options);
    expect(wrong).toMatchObject({ exitCode: 2, stdout: '' });
    expect(wrong.stderr).toContain('error USAGE: ');
    const dev = execa(process.execPath, ['--import', old, bin, 'dev'], options);
    // Leaving the loop would wait for the end, so the signal is sent inside it.
    for await (const line of dev) if (line.includes('RUNPOD_ENDPOINT_BASE_URL')) dev.kill('SIGTERM');
    expect(await dev).toMatchObject({ exitCode: 0 });
  });

  it('without installed dependencies, or without a newer Node, says what to do', async () => {
    const folder = await useFolder();
    await mkdir(join(folder, 'bin'));
    await cp(bin, join(folder, 'bin/comfy-runpod.js'));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await mkdir(join(folder, 'client/cli'), { recursive: true });
    await writeFile(join(folder, 'client/cli/bin.ts'), 'process.exitCode = 77;');
    const old = join(folder, 'old.mjs');
    await writeFile(
      old,
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.0.0' } });",
    );
    const start = (...flags: string[]) =>
      execa(process.execPath, [...flags, join(folder, 'bin/comfy-runpod.js')], { reject: false });
    const bare = await start();
    expect(bare.exitCode).toBe(2);
    expect(bare.stderr).toContain('npm ci');
    await mkdir(join(folder, 'node_modules/commander'), { recursive: true });
    const tooOld = await start('--import', old);
    expect(tooOld.exitCode).toBe(2);
    expect(tooOld.stderr).toContain('Node 18.0.0 is too old');
    expect((await start()).exitCode).toBe(77);
  });

  it('is linked as a command by npm, silently and again and again', async () => {
    const folder = await useFolder();
    await mkdir(join(folder, 'bin'));
    await mkdir(join(folder, 'scripts'));
    await cp(bin, join(folder, 'bin/comfy-runpod.js'));
    await cp(join(root, 'scripts/link-command.mjs'), join(folder, 'scripts/link-command.mjs'));
    const run = () => execa(process.execPath, [join(folder, 'scripts/link-command.mjs')]);
    expect(await run()).toMatchObject({ stdout: '', stderr: '' });
    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true });
    for (let times = 0; times < 2; times++) {
      expect(await run()).toMatchObject({ stdout: '', stderr: '' });
      expect(await readlink(join(folder, 'node_modules/.bin/comfy-runpod'))).toBe('../../bin/comfy-runpod.js');
    }
    expect((await lstat(join(folder, 'bin/comfy-runpod.js'))).mode & 0o111).toBe(0o111);
  });
});
