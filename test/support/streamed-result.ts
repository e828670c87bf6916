// A finished job with one file of noise that comes over /stream, and a RunPod that hands it out, for tests that decide how its bytes flow.
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { type Artifact, contractVersion, limits, type ResultEnvelope } from '../../shared/index.ts';

/** The result of `bytes` bytes: its envelope, and the elements of the list in /stream as JSON. */
export interface StreamedResult {
  readonly artifact: Artifact;
  readonly envelope: ResultEnvelope;
  readonly total: number;
  elementAt(index: number): string;
}

/** Noise of `bytes` bytes, never in memory as a whole. */
export function streamedResult(bytes: number): StreamedResult {
  const piece = randomBytes(limits.streamChunkFileBytes);
  const total = Math.ceil(bytes / piece.length);
  const pieceAt = (index: number) => piece.subarray(0, Math.min(piece.length, bytes - index * piece.length));
  const whole = createHash('sha256');
  for (let index = 0; index < total; index++) whole.update(pieceAt(index));
  const artifact: Artifact = {
    ...{ name: 'large.bin', subfolder: '', type: 'output', node: '1', classType: 'Save', key: 'files', index: 0 },
    ...{ kind: 'other', contentType: 'application/octet-stream', size: bytes, sha256: whole.digest('hex') },
    metadata: 'kept',
    delivery: { via: 'chunked', transfer: 't', chunks: total, size: bytes, reason: 'too large for the answer' },
  };
  const envelope: ResultEnvelope = {
    ...{ kind: 'comfy-runpod/result', contract: contractVersion, status: 'success', artifacts: [artifact], values: [] },
    receipt: {
      ...{ promptId: 'p', workerId: 'w', workerVersion: '1', comfyVersion: '1', nodes: [], cached: [], retries: 0 },
      timings: { stageMs: 0, runMs: 0, collectMs: 0, totalMs: 0 },
      bytes: { in: 0, out: bytes },
      wipe: { mode: 'wiped', files: 0, bytes: 0, kept: [] },
    },
  };
  const elementAt = (index: number) => {
    const data = pieceAt(index);
    const head = { kind: 'comfy-runpod/chunk', contract: contractVersion, transfer: 't', artifact: 0, index, total };
    const sha256 = createHash('sha256').update(data).digest('hex');
    return JSON.stringify({ output: { ...head, sha256, data: data.toString('base64') } });
  };
  return { artifact, envelope, total, elementAt };
}

/** Serves the job `j`: each element once, in the first answer of /stream. `between` is awaited before each element. */
export async function serveStreamedResult(
  result: StreamedResult,
  between: (index: number) => void | Promise<void>,
): Promise<{ readonly baseUrl: string; readonly server: Server }> {
  let drained = false;
  async function* answer(): AsyncGenerator<Buffer> {
    const total = drained ? 0 : result.total;
    drained = true;
    yield Buffer.from('{"stream":[');
    for (let index = 0; index < total; index++) {
      await between(index);
      yield Buffer.from(`${index === 0 ? '' : ','}${result.elementAt(index)}`);
    }
    yield Buffer.from('],"status":"COMPLETED"}');
  }
  const server = createServer((incoming, response) => {
    response.setHeader('content-type', 'application/json');
    if (incoming.url?.includes('/stream') === true) Readable.from(answer(), { highWaterMark: 1 }).pipe(response);
    else response.end(JSON.stringify({ id: 'j', status: 'COMPLETED', output: result.envelope }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2`, server };
}
