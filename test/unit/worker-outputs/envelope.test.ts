// The envelope as text: exact in length, base64 in pieces, readable by the contract.
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readResultEnvelope } from '../../../shared/index.ts';
import { buildEnvelope, createJsonBody, listOutputs } from '../../../worker/outputs/index.ts';
import type { JsonBody } from '../../../worker/types.ts';

async function chunksOf(body: JsonBody): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body.chunks()) chunks.push(chunk);
  return chunks;
}

const textOf = async (body: JsonBody) => Buffer.concat(await chunksOf(body)).toString('utf8');

describe('a JSON body', () => {
  it('is as long as it says and the same every time, whatever is in it', async () => {
    const part = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.uint8Array({ maxLength: 2_000 }).map((bytes) => ({ base64: Buffer.from(bytes) })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part), async (parts) => {
        const body = createJsonBody(parts);
        const text = await textOf(body);
        const expected = parts.map((one) => (typeof one === 'string' ? one : one.base64.toString('base64'))).join('');
        expect(text).toBe(expected);
        expect(Buffer.byteLength(text)).toBe(body.byteLength);
        expect(await textOf(body)).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  it('encodes a large file in small pieces and lets others run in between', async () => {
    const bytes = randomBytes(3 * 1024 * 1024 + 1);
    let turns = 0;
    const ticking = setInterval(() => turns++, 0);
    const chunks = await chunksOf(createJsonBody([{ base64: bytes }]));
    clearInterval(ticking);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(256 * 1024);
    expect(Buffer.from(Buffer.concat(chunks).toString(), 'base64').equals(bytes)).toBe(true);
    expect(turns).toBeGreaterThan(0);
  });
});

describe('the envelope', () => {
  const receipt = {
    promptId: 'p',
    workerId: 'w',
    workerVersion: '0',
    comfyVersion: '0.3.64',
    timings: { stageMs: 1, runMs: 2, collectMs: 3, totalMs: 6 },
    nodes: [],
    bytes: { in: 0, out: 3 },
    cached: [],
    wipe: { mode: 'wiped' as const, files: 0, bytes: 0, kept: [] },
    retries: 0,
  };
  const described = {
    name: 'ü "quoted".png',
    subfolder: '',
    type: 'output' as const,
    node: '9',
    classType: 'SaveImage',
    key: 'images',
    index: 0,
    kind: 'image' as const,
    contentType: 'image/png',
    size: 3,
    sha256: '0'.repeat(64),
    metadata: 'stripped' as const,
  };

  it.each([0, 1, 3])('with %s artifacts is what the contract reads', async (count) => {
    const artifacts = Array.from({ length: count }, () => ({ described, bytes: Buffer.from('abc') }));
    const values = [{ node: '2', classType: 'PreviewAny', key: 'text', value: ['ä'] }];
    const body = buildEnvelope('success', { artifacts, values }, receipt);
    const text = await textOf(body);
    expect(Buffer.byteLength(text)).toBe(body.byteLength);
    const read = readResultEnvelope(JSON.parse(text));
    expect(read?.artifacts).toEqual(
      artifacts.map(() => ({
        ...described,
        delivery: { via: 'inline', data: 'YWJj', reason: 'it fits into the answer' },
      })),
    );
    expect(read?.values).toEqual(values);
    expect(read?.receipt).toEqual(receipt);
  });
});

describe('listing outputs', () => {
  const order = (a: string, b: string) => Number(a) - Number(b);

  it('finds files under any key, once each, and keeps the rest as values', () => {
    const outputs = {
      '10': { gifs: [{ filename: 'v.mp4', subfolder: 's', type: 'temp', fullpath: '/x' }], text: ['a', 'b'] },
      '9': {
        images: [{ filename: 'a.png' }, null, 'words', { filename: 'a.png', subfolder: '', type: 'output' }],
        animated: [true],
        result: ['mesh/a.glb', { fov: 35 }],
        odd: { filename: 7 },
      },
    };
    expect(listOutputs(outputs, order)).toEqual({
      files: [
        { node: '9', key: 'images', index: 0, filename: 'a.png', subfolder: '', type: 'output' },
        { node: '10', key: 'gifs', index: 0, filename: 'v.mp4', subfolder: 's', type: 'temp' },
      ],
      values: [
        { node: '9', key: 'images', value: ['words'] },
        { node: '9', key: 'result', value: ['mesh/a.glb', { fov: 35 }] },
        { node: '9', key: 'odd', value: [{ filename: 7 }] },
        { node: '10', key: 'text', value: ['a', 'b'] },
      ],
    });
  });

  it('takes any JSON that a custom node may put out', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.jsonValue())), (outputs) => {
        expect(listOutputs(outputs, order).files).toBeInstanceOf(Array);
      }),
    );
  });
});
