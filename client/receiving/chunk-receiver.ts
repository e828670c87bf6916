/**
 * Drains /stream beside the waits for one job, so that a result which comes in chunks is there when the job ends, and turns its artifacts into
 * ones that carry their bytes. A short job never causes a request: draining starts after a moment, or at the end when the result needs it.
 *
 * 1. All waits of one client for a job share one receiver: RunPod hands each chunk out once, and two readers would each get a part.
 * 2. It reads while somebody waits, and stops with the last one who leaves: after the answer that is arriving then, whose pieces nobody gets again.
 * 3. A read that fails is repeated: pieces have names, so that what is lost shows when the result is put together, and only then.
 */
import {
  type Artifact,
  backoffMs,
  type ComfyRunpodError,
  delay,
  isComfyRunpodError,
  type ResultEnvelope,
  raceSignal,
  toComfyRunpodError,
} from '../../shared/index.ts';
import type { JobResult } from '../job-result.ts';
import type { Transport } from '../transport/transport.ts';
import { ChunkStore } from './chunk-store.ts';
import type { ResultSpool } from './result-spool.ts';

/** How long a job may run before its stream is read. */
const startAfterMs = 2_000;
/** Reads that fail in a row before the stream is given up. */
const attempts = 4;

/** How long an answer that is arriving is read on when nobody waits any more. */
const graceMs = 10_000;
/** Another process may have read what is missing here: how long its files are waited for once none came. */
const settleMs = 3_000;

/** One reading of the stream. */
interface Reading {
  readonly done: Promise<void>;
  /** Ends it after the answer that is arriving. */
  readonly leaving: AbortController;
  /** Lets it begin at once. */
  readonly hurry: AbortController;
}

/** One wait's part in a receiver. Dispose it when the wait ends. */
export interface ReceiverLease extends Disposable {
  /** The result with all bytes behind it. A result that doesn't come in chunks comes back as it is. */
  complete(result: JobResult): Promise<JobResult>;
}

/** Reads the stream of one job. */
export class ChunkReceiver {
  readonly #store: ChunkStore;
  readonly #isShared: boolean;
  readonly #open: (signal: AbortSignal, leaving: AbortSignal) => AsyncIterable<unknown>;
  readonly #leases = new Set<ReceiverLease>();
  #reading: Reading | undefined;

  constructor(transport: Transport, jobId: string, spool: ResultSpool) {
    this.#store = new ChunkStore(jobId, spool);
    this.#isShared = spool.isShared;
    this.#open = (signal, leaving) => transport.stream(jobId, signal, leaving);
  }

  /** True when nobody waits and nothing was kept. */
  get isIdle(): boolean {
    return this.#leases.size === 0 && this.#store.isEmpty;
  }

  /** A wait begins. `soon`: the job may well send chunks, so that reading begins in a moment. */
  join(soon: boolean, signal: AbortSignal | undefined): ReceiverLease {
    const lease: ReceiverLease = {
      complete: (result) => this.#complete(result, signal),
      [Symbol.dispose]: () => {
        this.#leases.delete(lease);
        if (this.#leases.size === 0) void this.leave();
      },
    };
    this.#leases.add(lease);
    if (soon) this.#read(startAfterMs);
    return lease;
  }

  /** Resolves when nothing is being read, or what is has ended. Never rejects. */
  async quiet(): Promise<void> {
    await this.#reading?.done.catch(() => undefined);
  }

  /** Ends the reading as soon as that loses nothing. Resolves when it has ended; never rejects. */
  async leave(): Promise<void> {
    this.#reading?.leaving.abort(new DOMException('The wait has ended.', 'AbortError'));
    await this.quiet();
  }

  async #complete(result: JobResult, signal: AbortSignal | undefined): Promise<JobResult> {
    const envelope = envelopeOf(result);
    if (!envelope?.artifacts.some(({ delivery }) => delivery.via === 'chunked')) return result;
    try {
      for (let early = this.#reading !== undefined; !(await this.#store.has(envelope.artifacts)); early = false) {
        // Whatever was read before, the rest is there now: the platform answers at once, and says when it was the last.
        const reading = this.#read(0);
        reading.hurry.abort();
        try {
          await raceSignal(reading.done, signal);
        } catch (error) {
          // One that began before the end may have failed for a reason that is past.
          if (!early || signal?.aborted) throw error;
        }
        if (early) continue;
        await this.#settle(envelope.artifacts, signal);
        break;
      }
      return withEnvelope(result, await this.#assembled(envelope));
    } catch (error) {
      signal?.throwIfAborted();
      if (!isComfyRunpodError(error) && isAbort(error)) throw error;
      return incomplete(result, toComfyRunpodError(error));
    }
  }

  /** The reading that goes on, or a new one that begins after `pauseMs`. */
  #read(pauseMs: number): Reading {
    if (this.#reading) return this.#reading;
    const leaving = new AbortController();
    const hurry = new AbortController();
    const paused = delay(pauseMs, AbortSignal.any([leaving.signal, hurry.signal])).catch(() => undefined);
    const done = paused.then(() => this.#drain(leaving.signal));
    const reading: Reading = { done, leaving, hurry };
    const end = () => {
      if (this.#reading === reading) this.#reading = undefined;
    };
    // Its failure shows when the result turns out to need what it would have read.
    done.then(end, end);
    this.#reading = reading;
    return reading;
  }

  /** What this process could not read may have gone to another one, which writes it now. */
  async #settle(artifacts: readonly Artifact[], signal: AbortSignal | undefined): Promise<void> {
    if (!this.#isShared) return void (await this.#store.has(artifacts));
    let changedAt = performance.now();
    for (let count = -1; !(await this.#store.has(artifacts)) && performance.now() - changedAt < settleMs; ) {
      if (this.#store.count !== count) changedAt = performance.now();
      count = this.#store.count;
      await delay(100, signal);
    }
  }

  async #drain(leaving: AbortSignal): Promise<void> {
    const cut = new AbortController();
    let grace: NodeJS.Timeout | undefined;
    const onLeaving = () => {
      grace = setTimeout(() => cut.abort(leaving.reason), graceMs);
    };
    leaving.addEventListener('abort', onLeaving, { once: true });
    try {
      await this.#drainUntil(leaving, cut.signal);
    } finally {
      clearTimeout(grace);
      leaving.removeEventListener('abort', onLeaving);
    }
  }

  async #drainUntil(leaving: AbortSignal, cut: AbortSignal): Promise<void> {
    for (let failures = 0; !leaving.aborted; ) {
      try {
        for await (const value of this.#open(cut, leaving)) {
          await this.#store.take(value);
          failures = 0;
        }
        return;
      } catch (error) {
        if (leaving.aborted) return;
        const failure = toComfyRunpodError(error);
        if (failure.policy.blame !== 'network' && failure.policy.blame !== 'platform') throw failure;
        if (++failures >= attempts) throw failure;
        // An answer with a status of its own had no values.
        if (failure.details['httpStatus'] === undefined) this.#store.noteInterruption();
        await delay(backoffMs(failures - 1, { baseMs: 250, maxMs: 4_000 }), leaving).catch(() => undefined);
      }
    }
  }

  async #assembled(envelope: ResultEnvelope): Promise<ResultEnvelope> {
    const artifacts = [];
    for (const [position, artifact] of envelope.artifacts.entries()) {
      const { delivery } = artifact;
      artifacts.push(delivery.via === 'chunked' ? await this.#store.assemble(artifact, position, delivery) : artifact);
    }
    return { ...envelope, artifacts };
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
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
