// Installs the dependencies when they are missing or older than the lock file, so that `npm run demo` and `npm test`
// work in a fresh clone with nothing else done. Runs on any Node, before node_modules exists.
// A node_modules that is a link belongs to somebody else: `npm ci` would empty the folder that it leads to.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const installed = `${root}node_modules/.package-lock.json`;
const lock = `${root}package-lock.json`;

const linked = lstatSync(`${root}node_modules`, { throwIfNoEntry: false })?.isSymbolicLink() === true;

if (linked) {
  if (!existsSync(installed)) {
    process.stderr.write(
      'node_modules is a link and nothing is installed where it leads: run npm ci there, or remove the link.\n',
    );
    process.exit(1);
  }
} else if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  process.stderr.write('Installing dependencies (npm ci), once ...\n');
  const run = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (run.status !== 0) {
    process.stderr.write('npm ci failed; its messages are above. Check the network and the npm registry setting.\n');
    process.exit(run.status ?? 1);
  }
}
