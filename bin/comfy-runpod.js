#!/usr/bin/env node
// Launcher of the command `comfy-runpod`. Plain JavaScript that old Nodes can read, too: it only decides what to start.
// - The built command line (dist/) where there is one, as in the published package; else the TypeScript source, which Node runs as it is.
// - This Node when it is 22.19 or newer; else the Node 24 that `npm ci` puts beside it, with signals and exit code passed on.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = `${root}client/cli/bin.ts`;
const built = `${root}dist/client/cli/bin.js`;
// In a checkout the source counts: a build may be older than it. Below node_modules Node refuses to run TypeScript.
const installed = /[\\/]node_modules[\\/]/.test(root);
const entry = existsSync(source) && !(installed && existsSync(built)) ? source : built;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const newEnough = major > 22 || (major === 22 && minor >= 19);

if (!existsSync(entry)) {
  fail('This copy of comfy-runpod is incomplete: neither dist/ nor the sources are there. Install it again.');
} else if (!existsSync(`${root}node_modules/commander`) && entry === source) {
  fail('The dependencies are not installed. Run `npm ci` in the folder of comfy-runpod.');
} else if (newEnough) {
  // Compiled code is kept between starts where there is a folder for it; without one nothing is lost but time.
  module.enableCompileCache?.();
  await import(pathToFileURL(entry).href);
} else {
  runWithNewerNode();
}

function fail(message) {
  process.stderr.write(`error CONFIG_MISSING: ${message}\n`);
  process.exitCode = 2;
}

function runWithNewerNode() {
  const name = process.platform === 'win32' ? 'node.exe' : 'node';
  const node = `${root}node_modules/node/bin/${name}`;
  if (!existsSync(node)) {
    fail(
      `Node ${process.versions.node} is too old: 22.19 or newer is needed. Install it, or run \`npm ci\` in the folder of comfy-runpod, which brings one.`,
    );
    return;
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both; what is sent to this process alone is passed on.
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal) => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  };
  for (const signal of signals) process.on(signal, pass);
  child.on('error', () => fail('The Node beside comfy-runpod could not be started. Run `npm ci` again.'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
  });
}
