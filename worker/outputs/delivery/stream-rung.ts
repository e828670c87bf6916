/**
 * Results over /stream (RunPod protocol notes §1.8, §2.11): pieces below 1 MB, two of them on their way at a time, because a line that waits for
 * every answer is idle for a round trip per piece, which is paid for. A piece that fails is posted again with the identical body and never skipped: the
 * poster either gets it through or throws, and then no later piece is posted. Where they pass one another, their index tells the order.
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
      const failing = new AbortController();
      const live = AbortSignal.any([signal, failing.signal]);
      let ahead: Promise<void> | undefined;
      try {
        for await (const piece of source.pieces(limits.streamChunkFileBytes, live)) {
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
          const posted = post(chunkBody({ ...head, sha256 }, piece), live);
          index += 1;
          // Its failure is told when it is waited for.
          posted.catch(() => undefined);
          const before = ahead;
          ahead = posted;
          await before;
        }
        await ahead;
      } catch (error) {
        failing.abort(error);
        await ahead?.catch(() => undefined);
        throw error;
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
