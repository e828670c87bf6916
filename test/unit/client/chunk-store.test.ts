// Pieces of a result make the file that the worker sent, or none.
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeArtifact } from '../../../client/index.ts';
import { ChunkStore } from '../../../client/receiving/chunk-store.ts';
import { ResultSpool } from '../../../client/receiving/result-spool.ts';
import type { Artifact } from '../../../shared/index.ts';

describe('chunks', () => {
  const pieces = [randomBytes(300), randomBytes(300), randomBytes(7)];
  const chunkOf = (index: number, data = pieces[index] ?? Buffer.alloc(0)) => ({
    kind: 'comfy-runpod/chunk',
    contract: 1,
    transfer: 't',
    artifact: 0,
    index,
    total: 3,
    sha256: createHash('sha256')
      .update(pieces[index] ?? '')
      .digest('hex'),
    data: data.toString('base64'),
  });
  const delivery = { via: 'chunked' as const, transfer: 't', chunks: 3, size: 607, reason: 'too large' };
  const sha256 = createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
  const artifact = { node: '9', index: 0, size: 607, sha256, delivery } as Artifact;

  async function storeWith(chunks: readonly unknown[]): Promise<ChunkStore> {
    const spool = new ResultSpool();
    onTestFinished(() => spool.close());
    const store = new ChunkStore('job', spool);
    for (const chunk of chunks) await store.take(chunk);
    return store;
  }

  it.each([
    ['in order', [0, 1, 2]],
    ['in any order and twice', [2, 0, 1, 1, 2]],
    ['with the last one first and again', [2, 2, 1, 0]],
    ['from the middle', [1, 2, 0]],
  ])('%s make the file', async (_how, order) => {
    const store = await storeWith(order.map((index) => chunkOf(index)));
    expect(await store.has([artifact])).toBe(true);
    const whole = await store.assemble(artifact, 0, delivery);
    expect(decodeArtifact(whole).equals(Buffer.concat(pieces))).toBe(true);
    // For whoever looks at the envelope it came in the answer.
    expect(JSON.parse(JSON.stringify(whole.delivery))).toEqual({
      via: 'inline',
      data: Buffer.concat(pieces).toString('base64'),
      reason: 'in 3 chunks: too large',
    });
  });

  it.each([
    ['is missing', [chunkOf(0), chunkOf(2)]],
    ['is damaged', [chunkOf(0), chunkOf(1, randomBytes(300)), chunkOf(2)]],
    ['belongs to another attempt', [chunkOf(0), { ...chunkOf(1), transfer: 'u' }, chunkOf(2)]],
  ])('of which one %s are never taken for the file', async (_how, chunks) => {
    const store = await storeWith(chunks);
    expect(await store.has([artifact])).toBe(false);
    await expect(store.assemble(artifact, 0, delivery)).rejects.toThrow(/Chunk 2 of 3/);
  });

  it('that together are another file than the envelope says are refused', async () => {
    const store = await storeWith([0, 1, 2].map((index) => chunkOf(index)));
    await expect(store.assemble({ ...artifact, sha256: '0'.repeat(64) }, 0, delivery)).rejects.toThrow('wrong SHA-256');
    await expect(store.assemble({ ...artifact, size: 600 }, 0, delivery)).rejects.toThrow('607 bytes instead of 600');
  });

  it('that find no room among the temporary files end with what to do', async () => {
    const store = new ChunkStore('job', new ResultSpool({ base: '/proc/no-such-folder' }));
    await expect(store.take(chunkOf(0))).rejects.toMatchObject({
      code: 'RESULT_NOT_SAVED',
      nextStep: expect.stringContaining('TMPDIR'),
    });
  });
});
