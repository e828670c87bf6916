// Checks what would be published: packs it, lints the manifest and the types, then uses the packed files as a stranger would,
// importing every entry and running the command from the built files.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const run = (file, args, options = {}) =>
  execFileSync(file, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options });

const folder = mkdtempSync(join(tmpdir(), 'comfy-runpod-package-'));
try {
  run('npm', ['pack', '--pack-destination', folder, '--silent'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const tarball = join(folder, `comfy-runpod-${version}.tgz`);
  run(bin('publint'), ['--strict', tarball]);
  run(bin('attw'), [
    tarball,
    '--profile',
    'esm-only',
    '--exclude-entrypoints',
    './schema/job-input',
    './schema/job-output',
  ]);

  // The packed files beside this checkout's dependencies.
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  run('tar', ['-xzf', tarball, '-C', modules]);
  execFileSync('mv', [join(modules, 'package'), join(modules, 'comfy-runpod')]);
  symlinkSync(join(root, 'node_modules'), join(modules, 'comfy-runpod', 'node_modules'));
  writeFileSync(
    join(folder, 'use.mjs'),
    `import { createClient } from 'comfy-runpod';
import { parseJobInput, errorCodes } from 'comfy-runpod/contract';
import { convertWorkflow } from 'comfy-runpod/workflow';
import { startWorker } from 'comfy-runpod/worker';
import { startRunpodEmulator, startComfyStandIn } from 'comfy-runpod/sandbox';
for (const fn of [createClient, parseJobInput, convertWorkflow, startWorker, startRunpodEmulator, startComfyStandIn]) if (typeof fn !== 'function') throw new Error('an export is missing');
if (errorCodes.length < 10) throw new Error('the error codes are missing');
`,
  );
  run(process.execPath, ['use.mjs'], { cwd: folder });
  const command = join(modules, 'comfy-runpod', 'bin', 'comfy-runpod.js');
  const shown = run(process.execPath, [command, '--version'], { cwd: folder }).trim();
  if (shown !== version) throw new Error(`--version says ${shown}, package.json ${version}`);
  const demo = run(process.execPath, [command, 'demo', '--out', join(folder, 'results'), '--json'], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
  });
  if (JSON.parse(demo).ok !== true) throw new Error('the demo of the packed command failed');
  process.stdout.write(`packed package works: ${statSync(tarball).size} bytes\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
