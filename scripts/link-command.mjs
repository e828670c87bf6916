// Run by npm after an install in a checkout (`prepare`): makes node_modules/.bin/comfy-runpod, so that `npx comfy-runpod` is this checkout.
// Never fails an install and says nothing: without the link `node bin/comfy-runpod.js` works as well.
import { chmodSync, existsSync, lstatSync, readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = `${root}node_modules/.bin`;
const target = '../../bin/comfy-runpod.js';

function linkOnUnix() {
  const path = `${folder}/comfy-runpod`;
  chmodSync(`${root}bin/comfy-runpod.js`, 0o755);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && readlinkSync(path) === target) return;
  if (found) unlinkSync(path);
  symlinkSync(target, path);
}

function shimOnWindows() {
  writeFileSync(`${folder}/comfy-runpod.cmd`, '@node "%~dp0\\..\\..\\bin\\comfy-runpod.js" %*\r\n');
}

try {
  if (existsSync(folder)) {
    if (process.platform === 'win32') shimOnWindows();
    else linkOnUnix();
  }
} catch {
  // See above: an install must not fail for this.
}
