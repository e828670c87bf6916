/**
 * Results over /stream (RunPod protocol notes §1.8, §2.11): pieces below 1 MB, posted one after the other. A piece that fails is posted again
 * with the identical body and never skipped: the poster either gets it through or throws, and then no later piece is posted.
 */
import { createHash, randomUUID } from 'node:crypto';
import { contractVersion, limits, type ResultChunk } from '../../../shared/index.ts';
import type { JsonBody } from '../../types.ts';
import { createJsonBody } from '../json-body.ts';
import type { Rung } from './rung.ts';

/** Posts one value to /stream and resolves once the platform has it. Throws a coded error, or the signal's reason. */
export type PostChunk = (body: JsonBody, signal: AbortSignal) => Promise<void>;

/** Sends over /stream. */
export function streamRung(post: PostChunk): Rung {
  const transfer = randomUUID();
  return {
    via: 'stream',
    maxBytes: limits.streamResultBytes,
    maxArtifacts: Number.POSITIVE_INFINITY,
    async send({ source }, artifact, reason, signal) {
      const total = Math.max(1, Math.ceil(source.size / limits.streamChunkFileBytes));
      const whole = createHash('sha256');
      let index = 0;
      for await (const piece of source.pieces(limits.streamChunkFileBytes, signal)) {
        whole.update(piece);
        const sha256 = createHash('sha256').update(piece).digest('hex');
        const head = {
          kind: 'comfy-runpod/chunk' as const,
          contract: contractVersion,
          transfer,
          artifact,
          index,
          total,
        };
        await post(chunkBody({ ...head, sha256 }, piece), signal);
        index += 1;
      }
      return {
        sha256: whole.digest('hex'),
        delivery: { via: 'chunked', transfer, chunks: total, size: source.size, reason },
      };
    },
    close: () => undefined,
  };
}

function chunkBody(head: Omit<ResultChunk, 'data'>, piece: Buffer): JsonBody {
  return createJsonBody([`{"output":${JSON.stringify(head).slice(0, -1)},"data":"`, { base64: piece }, '"}}']);
}
