// Sends a file of noise through the chunk ladder in a process of its own and prints how far memory rose. Arguments: folder, bytes, and the
// format that pictures are wanted in, if any.
import { createHash, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { collectOutputs } from '../../worker/outputs/index.ts';
import { createSharedWorkspace } from '../../worker/workspace/index.ts';

const [, , folder = '', size = '0', format] = process.argv;
const bytes = Number(size);
const block = randomBytes(1024 * 1024);

const directories = {
  input: path.join(folder, 'input'),
  output: path.join(folder, 'output'),
  temp: path.join(folder, 'temp'),
};
const workspace = createSharedWorkspace(directories);
await workspace.prepare();
const files = workspace.openJob();
const file = await open(path.join(directories.output, 'large.bin'), 'w');
const expected = createHash('sha256');
for (let written = 0; written < bytes; written += block.length) {
  await file.write(block);
  expected.update(block);
}
await file.close();

const { signal } = new AbortController();
const used = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
globalThis.gc?.();
const before = { used: used(), rss: process.memoryUsage.rss() };
let peakUsed = 0;
let peakRss = 0;
let posts = 0;
const collected = await collectOutputs({
  listed: {
    files: [{ node: '1', key: 'files', index: 0, filename: 'large.bin', subfolder: '', type: 'output' }],
    values: [],
  },
  locate: (named, live) => files.locate(named, live),
  classOf: () => 'Save',
  callerName: (named) => ({ name: named.filename, subfolder: named.subfolder }),
  metadata: 'strip',
  ...(format === 'webp' && { format: { format } }),
  limitBytes: 10 * 1024 * 1024,
  signal,
  delivery: {
    places: {},
    request: {
      jobId: 'job',
      destination: { kind: 'auto' },
      async postChunk(body) {
        for await (const piece of body.chunks()) if (piece.length === 0) throw new Error('an empty piece');
        posts += 1;
        // What is live, not what has not been collected yet.
        if (posts % 4 === 0) globalThis.gc?.();
        peakUsed = Math.max(peakUsed, used());
        peakRss = Math.max(peakRss, process.memoryUsage.rss());
      },
    },
    onFailure: (_via, error) => {
      throw error;
    },
  },
});
const [artifact] = collected.artifacts;
const report = {
  posts,
  usedGrowth: peakUsed - before.used,
  rssGrowth: peakRss - before.rss,
  intact: artifact?.described.sha256 === expected.digest('hex') && artifact.described.size === bytes,
};
process.stdout.write(JSON.stringify(report));
