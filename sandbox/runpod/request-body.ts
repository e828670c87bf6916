// Reads request bodies up to a limit, never further: past it the rest is thrown away unread, so that the sender gets its
// answer instead of a broken pipe, and no more than the limit is ever in memory.
import type { IncomingMessage } from 'node:http';

/** A body within the limit, or the fact that it is larger. */
export type BodyOutcome =
  | { readonly kind: 'complete'; readonly body: Buffer }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'aborted' };

/**
 * Reads a body of at most `limit` bytes. A larger one is noticed by its Content-Length before the first byte, else as soon
 * as the limit is passed; the caller answers then and calls {@link discardRest}.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<BodyOutcome> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) return Promise.resolve({ kind: 'too-large' });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (outcome: BodyOutcome): void => {
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      // Whatever still comes must not stop the connection, nor an error the process.
      request.on('error', () => undefined);
      resolve(outcome);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limit) {
        request.pause();
        finish({ kind: 'too-large' });
      } else {
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => finish({ kind: 'complete', body: Buffer.concat(chunks) });
    const onClose = (): void => finish({ kind: 'aborted' });
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

const LINGER_MS = 5000;

/** Lets the sender finish a refused body: its bytes are dropped as they come, for a few seconds at most. */
export function discardRest(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  // Real time on purpose: this is about a socket, not about anything the emulator models.
  const linger = setTimeout(() => request.destroy(), LINGER_MS);
  request.once('close', () => clearTimeout(linger));
  request.once('end', () => clearTimeout(linger));
  request.resume();
}

/** RunPod's own words for a body over its limit (RunPod protocol notes §1.7), for limits in whole MiB and others. */
export function tooLargeMessage(limit: number): string {
  const mebibytes = limit / (1024 * 1024);
  return `exceeded max body size of ${Number.isInteger(mebibytes) ? `${mebibytes}MiB` : `${limit}B`}`;
}
