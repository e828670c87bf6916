/** A large result never is in memory as a whole. Measured in a process of its own, so that nothing else counts. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { folderForThisTest } from '../support/large-results.ts';

const MiB = 1024 * 1024;
const child = path.join(import.meta.dirname, '../support/chunk-memory-child.ts');

it.each([
  [30, []],
  [90, []],
  [90, ['webp']],
])('a result of %i MiB goes out in chunks with memory growing by less than 32 MiB %j', async (size, wishes) => {
  const args = ['--expose-gc', child, await folderForThisTest(), String(size * MiB), ...wishes];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const report = JSON.parse(stdout) as { posts: number; usedGrowth: number; rssGrowth: number; intact: boolean };
  expect(report).toMatchObject({ intact: true, posts: Math.ceil((size * MiB) / (720 * 1024)) });
  expect(report.usedGrowth).toBeLessThan(32 * MiB);
  expect(report.rssGrowth).toBeLessThan(32 * MiB);
});
