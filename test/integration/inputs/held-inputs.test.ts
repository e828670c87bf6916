// Files that jobs ask the worker to hold: there as long as asked, bounded, and wiped (not only unlinked) when their time is over.
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HeldInputs, type HeldInputsOptions } from '../../../worker/inputs/index.ts';
import { wipeFile } from '../../../worker/workspace/wipe-file.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let root = '';
let clock: ManualClock;
const stores: HeldInputs[] = [];

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'held-'));
  clock = new ManualClock();
});

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close().catch(() => undefined);
  await rm(root, { recursive: true, force: true });
});

function open(options: Partial<HeldInputsOptions> = {}): HeldInputs {
  const store = new HeldInputs({
    folder: path.join(root, 'held'),
    prefix: 'held/',
    wipe: (file) => wipeFile(file, 0),
    logger: silent,
    clock,
    ...options,
  });
  stores.push(store);
  return store;
}

const picture = (text: string, size = 100_000) => Buffer.alloc(size, `${text} `);
const names = () => (existsSync(path.join(root, 'held')) ? readdirSync(path.join(root, 'held')) : []);

async function holdFor(store: HeldInputs, bytes: Buffer, seconds: number): Promise<string> {
  const lease = await store.put(bytes, sha(bytes), '.png');
  lease.keepFor(seconds * 1_000);
  await lease.release();
  return path.join(root, lease.value);
}

describe('a file that a job asked to hold', () => {
  it('is there for later jobs, byte for byte, until its time is over and not after', async () => {
    const store = open();
    const bytes = picture('mine');
    await holdFor(store, bytes, 60);
    clock.advance(59_999);
    const lease = await store.lease(sha(bytes), '.png');
    expect(readFileSync(path.join(root, lease?.value ?? ''))).toEqual(bytes);
    expect(lease?.size).toBe(bytes.length);
    await expect(lease?.release()).resolves.toEqual({ kind: 'held' });
    clock.advance(1);
    expect(store.has(sha(bytes))).toBe(false);
    await expect(store.lease(sha(bytes), '.png')).resolves.toBeUndefined();
    await expect.poll(names).toEqual([]);
    expect(store.stored).toEqual({ files: 0, bytes: 0 });
  });

  it('is overwritten when its time is over: whoever still has it open reads zeros', async () => {
    const store = open();
    const bytes = picture('secret', 5_000_017);
    const file = await holdFor(store, bytes, 10);
    const held = openSync(file, 'r');
    clock.advance(10_000);
    await expect.poll(() => existsSync(file)).toBe(false);
    const after = Buffer.alloc(bytes.length, 1);
    expect(readSync(held, after, 0, after.length, 0)).toBe(bytes.length);
    closeSync(held);
    expect(after.every((byte) => byte === 0)).toBe(true);
  });

  it('is overwritten under every name that it was given for its extensions', async () => {
    const store = open();
    const bytes = picture('secret');
    const first = await holdFor(store, bytes, 10);
    const lease = await store.lease(sha(bytes), '.jpg');
    const second = path.join(root, lease?.value ?? '');
    expect(second).toBe(first.replace('.png', '.jpg'));
    expect(readFileSync(second)).toEqual(bytes);
    expect(store.stored).toEqual({ files: 1, bytes: bytes.length });
    const held = openSync(second, 'r');
    await lease?.release();
    clock.advance(10_000);
    await expect.poll(names).toEqual([]);
    const after = Buffer.alloc(10, 1);
    readSync(held, after, 0, 10, 0);
    closeSync(held);
    expect(after).toEqual(Buffer.alloc(10));
  });

  it('is kept until the latest expiry that any job asked for', async () => {
    const store = open();
    const bytes = picture('mine');
    await holdFor(store, bytes, 100);
    await holdFor(store, bytes, 10);
    clock.advance(50_000);
    expect(store.has(sha(bytes))).toBe(true);
    await holdFor(store, bytes, 100);
    clock.advance(60_000);
    expect(store.has(sha(bytes))).toBe(true);
    clock.advance(40_000);
    await expect.poll(names).toEqual([]);
  });

  it('outlives its time while a job uses it, and goes with that job', async () => {
    const store = open();
    const bytes = picture('mine');
    await holdFor(store, bytes, 10);
    const lease = await store.lease(sha(bytes), '.png');
    clock.advance(20_000);
    expect(readFileSync(path.join(root, lease?.value ?? ''))).toEqual(bytes);
    await expect(lease?.release()).resolves.toEqual({ kind: 'wiped', bytes: bytes.length });
    expect(names()).toEqual([]);
  });

  it('can be read by the owner only', async () => {
    const file = await holdFor(open(), picture('mine'), 10);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
  });
});

describe('a file that nobody asked to hold', () => {
  it('is shared by the jobs that use it at once and wiped when the last one is done', async () => {
    const store = open();
    const bytes = picture('mine');
    const leases = await Promise.all([1, 2, 3].map(() => store.put(bytes, sha(bytes), '.png')));
    expect(new Set(leases.map((lease) => lease.value)).size).toBe(1);
    expect(names()).toHaveLength(1);
    await expect(leases[0]?.release()).resolves.toEqual({ kind: 'shared' });
    await expect(leases[0]?.release()).resolves.toEqual({ kind: 'shared' });
    await leases[1]?.release();
    expect(readFileSync(path.join(root, leases[2]?.value ?? ''))).toEqual(bytes);
    await expect(leases[2]?.release()).resolves.toEqual({ kind: 'wiped', bytes: bytes.length });
    expect(names()).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it('leaves nothing behind when writing it fails', async () => {
    const store = open();
    const broken = store.receive('.png', async (writer) => {
      await writer.write(picture('half'));
      throw new Error('cut off');
    });
    await expect(broken).rejects.toThrow('cut off');
    expect(names()).toEqual([]);
  });
});

describe('the store', () => {
  it('holds so many bytes at most: the file with the earliest expiry goes first, one in use never', async () => {
    const store = open({ maxHeldBytes: 250_000 });
    const [early, used, late, last] = ['early', 'used', 'late', 'last'].map((text) => picture(text));
    if (!early || !used || !late || !last) throw new Error('no pictures');
    await holdFor(store, early, 10);
    await holdFor(store, late, 100);
    await holdFor(store, used, 5);
    // Three are too many, and the newest one would have gone first of all.
    expect(store.has(sha(used))).toBe(false);
    const lease = await store.put(used, sha(used), '.png');
    await holdFor(store, last, 50);
    expect([early, late, last].map((bytes) => store.has(sha(bytes)))).toEqual([false, true, true]);
    expect(readFileSync(path.join(root, lease.value))).toEqual(used);
    await lease.release();
    await expect.poll(() => names().length).toBe(2);
  });

  it('does not hold a file that is larger than all that it may hold', async () => {
    const store = open({ maxHeldBytes: 50_000 });
    await holdFor(store, picture('large'), 100);
    expect(names()).toEqual([]);
  });

  it('says that the disk is full rather than filling it', async () => {
    await expect(open().makeRoom(Number.MAX_SAFE_INTEGER / 2)).rejects.toMatchObject({ code: 'WORKSPACE_FULL' });
  });

  it('gives held files up when a job needs their room', async () => {
    const store = open();
    await holdFor(store, picture('mine'), 100);
    await expect(store.makeRoom(Number.MAX_SAFE_INTEGER / 2)).rejects.toMatchObject({ code: 'WORKSPACE_FULL' });
    expect(names()).toEqual([]);
  });

  it('wipes everything when it is closed, removes its folder, and takes nothing more', async () => {
    const store = open();
    const bytes = picture('mine');
    const file = await holdFor(store, bytes, 100);
    const lease = await store.put(picture('used'), sha(picture('used')), '.png');
    const held = openSync(file, 'r');
    await Promise.all([store.close(), store.close()]);
    expect(existsSync(path.join(root, 'held'))).toBe(false);
    expect(clock.timers).toBe(0);
    const after = Buffer.alloc(10, 1);
    readSync(held, after, 0, 10, 0);
    closeSync(held);
    expect(after).toEqual(Buffer.alloc(10));
    await expect(lease.release()).resolves.toMatchObject({ kind: 'wiped' });
    await expect(store.put(bytes, sha(bytes), '.png')).rejects.toMatchObject({ code: 'WORKER_SHUTDOWN' });
  });

  it('never hands out a file whose wipe failed, tries again, and says so when it is closed with it', async () => {
    let broken = true;
    const wipe = (file: string) => (broken ? Promise.reject(new Error('no')) : wipeFile(file, 0));
    const store = open({ wipe });
    const bytes = picture('mine');
    const lease = await store.put(bytes, sha(bytes), '.png');
    await expect(lease.release()).resolves.toEqual({ kind: 'not-wiped' });
    expect(store.has(sha(bytes))).toBe(false);
    await expect(store.lease(sha(bytes), '.png')).resolves.toBeUndefined();
    await expect(store.put(bytes, sha(bytes), '.png')).rejects.toMatchObject({ code: 'WORKSPACE_FAILED' });
    broken = false;
    const again = await store.put(bytes, sha(bytes), '.png');
    expect(readFileSync(path.join(root, again.value))).toEqual(bytes);
    broken = true;
    await expect(store.close()).rejects.toMatchObject({ code: 'WIPE_FAILED' });
  });

  it('never gives a job other bytes than it named, nor takes them away, whatever other jobs do at the same time', async () => {
    const contents = [0, 1, 2].map((index) => picture(`content ${index}`, 3_000 + index));
    const step = fc.record({
      content: fc.nat(2),
      how: fc.constantFrom('put', 'lease', 'receive'),
      hold: fc.constantFrom(0, 1, 5),
      advance: fc.constantFrom(0, 0, 1_000, 5_000),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 5 }), async (jobs) => {
        const store = open({ folder: path.join(root, `run${++run}`), prefix: `run${run}/`, maxHeldBytes: 7_000 });
        const job = async (steps: (typeof jobs)[number]) => {
          for (const { content, how, hold, advance } of steps) {
            const bytes = contents[content] ?? Buffer.alloc(0);
            const lease = await take(store, bytes, how);
            if (lease === undefined) continue;
            lease.keepFor(hold * 1_000);
            clock.advance(advance);
            expect(readFileSync(path.join(root, lease.value)).equals(bytes)).toBe(true);
            await lease.release();
          }
        };
        await Promise.all(jobs.map(job));
        // Time goes on while the store wipes: what it puts off until later must come, too.
        const later = () => {
          clock.advance(10_000);
          return store.stored;
        };
        await expect.poll(later, { interval: 1, timeout: 5_000 }).toEqual({ files: 0, bytes: 0 });
        await store.close();
        expect(existsSync(path.join(root, `run${run}`))).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});

function take(store: HeldInputs, bytes: Buffer, how: string) {
  if (how === 'lease') return store.lease(sha(bytes), '.png');
  if (how === 'put') return store.put(bytes, sha(bytes), '.jpg');
  return store.receive('.png', async (writer) => {
    await writer.write(bytes);
    return { sha256: sha(bytes) };
  });
}
