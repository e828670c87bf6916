// The ledger on a real disk: what it keeps, who may read it, and what several processes do to it.
import { execFile } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Ledger, type LedgerIntent, ledgerFile } from '../../../client/index.ts';
import { useFolder } from '../../support/client-bench.ts';

const intent: LedgerIntent = {
  endpoint: 'https://api.runpod.ai/v2/ep1',
  command: 'run',
  workflowHash: 'w'.repeat(64),
  inputHash: 'i'.repeat(64),
  seeds: { '3.seed': 42 },
};

describe('the ledger', () => {
  it('a job is known from before it is sent until its files are on disk, across restarts', async () => {
    const folder = await useFolder();
    const { key } = (() => {
      return { key: 'k1' };
    })();
    {
      using ledger = await Ledger.open(folder, { now: () => 1_000 });
      expect(ledger.begin({ ...intent, key })).toMatchObject({ key, state: 'sending', seeds: { '3.seed': 42 } });
    }
    {
      using ledger = await Ledger.open(folder, { now: () => 2_000 });
      expect(ledger.row(key)).toMatchObject({ state: 'sending', createdAt: 1_000 });
      ledger.submitted(key, 'job-1');
      ledger.ended(key, { executionMs: 5_000, delayMs: 10, cost: 0.002, receipt: { promptId: 'p' } });
      expect(ledger.byJobId('job-1')).toMatchObject({ state: 'ended', executionMs: 5_000, receipt: { promptId: 'p' } });
      ledger.saved(key, [{ path: '/out/a.png', sha256: 'a'.repeat(64), size: 3 }]);
    }
    using ledger = await Ledger.open(folder);
    const row = ledger.row(key);
    expect(row).toMatchObject({ state: 'saved', jobId: 'job-1', cost: 0.002, updatedAt: 2_000 });
    expect(row?.files).toEqual([{ path: '/out/a.png', sha256: 'a'.repeat(64), size: 3 }]);
  });

  it('only its user may read it, and so for the files beside it', async () => {
    const folder = join(await useFolder(), 'data');
    using ledger = await Ledger.open(folder);
    ledger.begin(intent);
    const mode = async (path: string) => (await stat(path)).mode & 0o777;
    expect(await mode(folder)).toBe(0o700);
    const files = await readdir(folder);
    expect(files.length).toBeGreaterThan(1);
    for (const name of files) expect([name, await mode(join(folder, name))]).toEqual([name, 0o600]);
  });

  it('a broken file and a file of a newer program are refused with what to do, and left as they are', async () => {
    const broken = await useFolder();
    await writeFile(join(broken, ledgerFile), 'this is not a database, not at all '.repeat(100));
    await expect(Ledger.open(broken)).rejects.toMatchObject({ code: 'LEDGER_UNUSABLE' });
    expect((await readFile(join(broken, ledgerFile), 'utf8')).startsWith('this is not')).toBe(true);
    const newer = await useFolder();
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(join(newer, ledgerFile));
    database.exec('PRAGMA user_version = 99');
    database.close();
    await expect(Ledger.open(newer)).rejects.toMatchObject({
      code: 'LEDGER_UNUSABLE',
      message: expect.stringContaining('newer version'),
    });
  });

  it('two processes write at once and nothing is lost', async () => {
    const folder = await useFolder();
    const library = pathToFileURL(join(import.meta.dirname, '../../../client/ledger/ledger.ts')).href;
    const program = `
      const { Ledger } = await import(${JSON.stringify(library)});
      using ledger = await Ledger.open(${JSON.stringify(folder)});
      for (let n = 0; n < 40; n++) {
        const { key } = ledger.begin({ endpoint: 'e', command: 'run', workflowHash: 'w', inputHash: 'i' });
        ledger.submitted(key, process.argv[1] + '-' + n);
      }`;
    const run = (name: string) =>
      promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program, name]);
    const ended = await Promise.all([run('a'), run('b'), run('c')]);
    // Nobody is told that SQLite is experimental.
    for (const { stderr } of ended) expect(stderr).toBe('');
    using ledger = await Ledger.open(folder);
    expect(ledger.list({ states: ['submitted'], limit: 1_000 })).toHaveLength(120);
    expect(new Set(ledger.list().map((row) => row.jobId)).size).toBe(120);
  }, 60_000);

  it('a job that another living process works on is not taken over, that of a dead one is', async () => {
    const folder = await useFolder();
    using ledger = await Ledger.open(folder);
    const { key } = ledger.begin(intent);
    expect(ledger.claim(key)).toBe(true);
    const { DatabaseSync } = await import('node:sqlite');
    using other = new DatabaseSync(join(folder, ledgerFile));
    other.prepare('UPDATE jobs SET process_id = ?').run(process.ppid);
    expect(ledger.claim(key)).toBe(false);
    // No process has this number: it is beyond what systems give out.
    other.prepare('UPDATE jobs SET process_id = ?').run(2 ** 30);
    expect(ledger.claim(key)).toBe(true);
  });

  it('past times come from the same workflow, or from the endpoint where there is none', async () => {
    using ledger = await Ledger.open(await useFolder());
    const finish = (workflowHash: string, executionMs: number) => {
      const { key } = ledger.begin({ ...intent, workflowHash });
      ledger.submitted(key, `${workflowHash}-${executionMs}`);
      ledger.ended(key, { executionMs, cost: executionMs / 1_000 });
    };
    for (const ms of [100, 300, 200]) finish('same', ms);
    finish('other', 9_000);
    expect(ledger.pastRun('same', intent.endpoint)).toEqual({ executionMs: 200, cost: 0.2, jobs: 3, same: true });
    expect(ledger.pastRun('new', intent.endpoint)).toMatchObject({ jobs: 4, same: false });
    expect(ledger.pastRun('same', 'elsewhere')).toBeUndefined();
  });
});
