/**
 * Pieces of results as they come from /stream, checked and kept as the text they came in. Reading /stream drains it, so a piece is taken when
 * it is there; what it belongs to is known only from the envelope at the end.
 *
 * 1. A piece counts only with the SHA-256 that it names; a damaged one is as good as missing, and said to be.
 * 2. The same piece may come twice (a post that was repeated); pieces of an earlier attempt have another transfer and are ignored.
 */
import { createHash } from 'node:crypto';
import {
  type Artifact,
  ComfyRunpodError,
  type Delivery,
  type ResultChunk,
  readResultChunk,
} from '../../shared/index.ts';

type Chunked = Extract<Delivery, { via: 'chunked' }>;

/** Collects pieces of one job. */
export class ChunkCollector {
  readonly #pieces = new Map<string, string>();
  #damaged = 0;

  /** Takes a value of /stream; values that are no piece of a result are ignored. */
  take(value: unknown): void {
    const chunk = readResultChunk(value);
    if (!chunk) return;
    if (sha256Of(chunk.data) !== chunk.sha256) this.#damaged += 1;
    else this.#pieces.set(nameOf(chunk), chunk.data);
  }

  /** The artifact with its bytes in it. `position`: of the artifact in the envelope. Throws `RESULT_CORRUPT` that says what is missing. */
  assemble(artifact: Artifact, position: number, delivery: Chunked): Artifact {
    const pieces: string[] = [];
    const { transfer, chunks: total, reason } = delivery;
    for (let index = 0; index < total; index++) {
      const piece = this.#pieces.get(nameOf({ transfer, artifact: position, index, total }));
      if (piece === undefined) throw this.#missing(artifact, index, total, transfer);
      pieces.push(piece);
    }
    return { ...artifact, delivery: { via: 'inline', data: pieces.join(''), reason: `in ${total} chunks: ${reason}` } };
  }

  #missing({ node, index: output }: Artifact, index: number, total: number, transfer: string): ComfyRunpodError {
    const none = ![...this.#pieces.keys()].some((name) => name.startsWith(transfer));
    const message =
      none && this.#damaged === 0
        ? 'The result was sent in chunks over /stream, and they were read before: RunPod hands each chunk out once.'
        : `Chunk ${index + 1} of ${total} of output ${output} of node ${node.slice(0, 60)} is missing or damaged.`;
    return new ComfyRunpodError('RESULT_CORRUPT', message, {
      details: { node: node.slice(0, 60), index: output, chunk: index, chunks: total, damaged: this.#damaged },
      nextStep: none
        ? 'Take the result from the process that waited first, or submit again. A bucket or a network volume on the endpoint (destination bucket or volume) makes results readable more than once.'
        : 'Submit again; if it repeats, give the endpoint a bucket or a network volume (destination bucket or volume).',
    });
  }
}

function nameOf(chunk: Pick<ResultChunk, 'transfer' | 'artifact' | 'index' | 'total'>): string {
  return `${chunk.transfer} ${chunk.artifact} ${chunk.index} ${chunk.total}`;
}

function sha256Of(base64: string): string {
  return createHash('sha256').update(Buffer.from(base64, 'base64')).digest('hex');
}
