/**
 * Drains /stream beside a wait, so that a result which comes in chunks is there when the job ends, and turns its artifacts into ones that
 * carry their bytes. A short job never causes a request: draining starts after a moment, or at the end when the result needs it.
 */
import {
  type ComfyRunpodError,
  delay,
  isComfyRunpodError,
  type ResultEnvelope,
  toComfyRunpodError,
} from '../../shared/index.ts';
import type { JobResult } from '../job-result.ts';
import type { Transport } from '../transport/transport.ts';
import type { ChunkCollector } from './chunk-collector.ts';

/** How long a job may run before its stream is read. */
const startAfterMs = 2_000;

/** Reads the stream of one job. */
export class ChunkReceiver implements Disposable {
  readonly #collector: ChunkCollector;
  readonly #hurry = new AbortController();
  readonly #stop = new AbortController();
  readonly #open: () => AsyncIterable<unknown>;
  readonly #signal: AbortSignal;
  #early: Promise<void> | undefined;

  /** `collector`: holds what earlier waits for the same job have read. */
  constructor(transport: Transport, jobId: string, collector: ChunkCollector, signal: AbortSignal | undefined) {
    this.#collector = collector;
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    this.#open = () => transport.stream(jobId, this.#signal);
  }

  /** Begins to read soon. Its failure shows when the result turns out to need what it would have read. */
  startSoon(): void {
    const paused = delay(startAfterMs, AbortSignal.any([this.#signal, this.#hurry.signal])).catch(() => undefined);
    this.#early ??= paused.then(() => this.#drain()).catch(() => undefined);
  }

  /** The result with all bytes in it. A result that doesn't come in chunks comes back as it is. */
  async complete(result: JobResult): Promise<JobResult> {
    const envelope = envelopeOf(result);
    if (!envelope?.artifacts.some(({ delivery }) => delivery.via === 'chunked')) return result;
    try {
      // Whatever was read before, the rest is there now: the platform answers at once, and says when it was the last.
      this.#hurry.abort();
      await this.#early;
      await this.#drain();
      return withEnvelope(result, this.#assembled(envelope));
    } catch (error) {
      if (!isComfyRunpodError(error)) this.#signal.throwIfAborted();
      return incomplete(result, toComfyRunpodError(error));
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new DOMException('The wait has ended.', 'AbortError'));
  }

  async #drain(): Promise<void> {
    for await (const value of this.#open()) this.#collector.take(value);
  }

  #assembled(envelope: ResultEnvelope): ResultEnvelope {
    const artifacts = envelope.artifacts.map((artifact, position) =>
      artifact.delivery.via === 'chunked' ? this.#collector.assemble(artifact, position, artifact.delivery) : artifact,
    );
    return { ...envelope, artifacts };
  }
}

function envelopeOf(result: JobResult): ResultEnvelope | undefined {
  if (result.kind === 'succeeded') return result.envelope;
  return result.kind === 'failed' ? result.partial : undefined;
}

function withEnvelope(result: JobResult, envelope: ResultEnvelope): JobResult {
  if (result.kind === 'succeeded') return { ...result, envelope };
  return result.kind === 'failed' ? { ...result, partial: envelope } : result;
}

/** A result whose bytes are not there is no success; a failure keeps its own error and loses what was made before it. */
function incomplete(result: JobResult, error: ComfyRunpodError): JobResult {
  const { jobId, times } = result;
  if (result.kind === 'succeeded') return { jobId, times, kind: 'failed', error };
  return result.kind === 'failed' ? { jobId, times, kind: 'failed', error: result.error } : result;
}
