// RunPod's limits on calls, kept by all processes of one machine together.
import { execFile } from 'node:child_process';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { CallWindow, callsFile } from '../../client/transport/runpod/call-window.ts';
import { runCommandLine, startClientBench, useFolder } from '../support/client-bench.ts';

describe('calls of an endpoint', () => {
  it('three processes at once never make more calls in a window than one may', async () => {
    const folder = await useFolder();
    const limit = 40;
    const windowMs = 500;
    const library = pathToFileURL(join(import.meta.dirname, '../../client/transport/runpod/call-window.ts')).href;
    const program = `
      const { CallWindow } = await import(${JSON.stringify(library)});
      using window = new CallWindow('e', ${JSON.stringify({ folder, calls: limit, windowMs })});
      const times = [];
      for (let n = 0; n < 50; n++) { await window.take('status'); times.push(Date.now()); }
      process.stdout.write(JSON.stringify(times));`;
    const run = () => promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
    const ended = await Promise.all([run(), run(), run()]);
    const times = ended.flatMap(({ stdout }) => JSON.parse(stdout) as number[]).toSorted((a, b) => a - b);
    expect(times).toHaveLength(150);
    // A call is counted and then made: the slot between the two belongs to the window as well.
    for (const [index, at] of times.entries()) {
      const within = times.slice(index).filter((time) => time - at < windowMs - windowMs / 10);
      expect(within.length).toBeLessThanOrEqual(limit);
    }
  }, 60_000);

  it("RunPod's own numbers hold: 2,000 calls in ten seconds, 1,000 of them submits, and then a pause", async () => {
    let now = 1_000_000_000_000;
    using window = new CallWindow('e', { now: () => now });
    for (let n = 0; n < 1_000; n++) expect(await window.tryTake('run')).toBe(0);
    expect(await window.tryTake('run')).toBeGreaterThan(9_000);
    for (let n = 0; n < 1_000; n++) expect(await window.tryTake('status')).toBe(0);
    const pauseMs = await window.tryTake('status');
    expect(pauseMs).toBeGreaterThan(9_000);
    now += pauseMs;
    expect(await window.tryTake('status')).toBe(0);
    using other = new CallWindow('another', { now: () => now });
    expect(await other.tryTake('run')).toBe(0);
  });

  it('a waiting call ends with its signal', async () => {
    using window = new CallWindow('e', { calls: 1 });
    await window.take('status');
    const leave = new AbortController();
    const waiting = window.take('status', leave.signal);
    leave.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
  });

  it('commands count in a file of the user; one that is broken stops nothing', async () => {
    const { environment } = await startClientBench();
    const folder = await useFolder();
    const world = { folder, environment: { ...environment, COMFY_RUNPOD_DATA_DIR: folder } };
    expect((await runCommandLine(['health'], world)).exitCode).toBe(0);
    expect((await stat(join(folder, callsFile))).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toContain(callsFile);
    await writeFile(join(folder, callsFile), 'no database '.repeat(1_000));
    expect(await runCommandLine(['health'], world)).toMatchObject({ exitCode: 0, stderr: '' });
  });
});
