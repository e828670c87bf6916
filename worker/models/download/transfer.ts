/**
 * Brings the bytes of one source into its part file: several ranges at once where the server has them, in one stream where it has not.
 *
 * 1. What was received is never asked for again, unless the source has changed in between.
 * 2. A range that breaks off goes on from its last byte. Only attempts in a row that bring nothing count as failures.
 * 3. A changed source is begun anew, a bounded number of times.
 */
import type { Agent } from 'undici';
import { backoffMs, ComfyRunpodError, delay, limits } from '../../../shared/index.ts';
import { type ModelAddress, requestRange, SourceChanged, TransientFailure } from './model-http.ts';
import { missingSpans, type PartFile, type Span } from './part-file.ts';

/** How a transfer goes about it. */
export interface TransferPace {
  /** Bytes of one range. */
  readonly pieceBytes: number;
  /** Ranges at once. */
  readonly connections: number;
  /** Attempts in a row without a single new byte. */
  readonly attempts: number;
  readonly pause: { readonly baseMs: number; readonly maxMs: number };
}

export const defaultPace: TransferPace = {
  pieceBytes: limits.modelPieceBytes,
  connections: limits.modelConnections,
  attempts: limits.modelAttempts,
  pause: { baseMs: 500, maxMs: 30_000 },
};

/** One transfer. */
export interface Transfer {
  readonly agent: Agent;
  readonly address: ModelAddress;
  readonly part: PartFile;
  /** Bytes of the file, when they are known beforehand. */
  readonly size?: number | undefined;
  readonly pace: TransferPace;
  readonly signal: AbortSignal;
  /** Called when the size is known, before more than a first piece is stored; may throw. */
  readonly onSize?: (size: number) => Promise<void>;
  readonly onBytes?: (count: number) => void;
}

const maxRestarts = 3;
/** Bytes that are collected before they are written. */
const writeBytes = 1024 * 1024;

/**
 * Transfers everything that is missing. Answers the size of the file. Throws `MODEL_UNAVAILABLE`, `MODEL_DOWNLOAD_FAILED`, `MODEL_CORRUPT`
 * (another size than announced), what `onSize` throws, or the signal's reason.
 */
export async function transfer(options: Transfer): Promise<number> {
  for (let restarts = 0; ; restarts++) {
    try {
      return await transferVersion(options);
    } catch (error) {
      options.signal.throwIfAborted();
      if (!(error instanceof SourceChanged)) throw error;
      await options.part.reset();
      if (restarts >= maxRestarts) throw failed(options.address.label, 'its source changes all the time', error);
    }
  }
}

async function transferVersion(options: Transfer): Promise<number> {
  const { part, pace } = options;
  const known = part.version.size;
  if (known === undefined) {
    const size = await persist(options, () => firstPiece(options));
    if (size !== undefined) return size;
  } else await assertSize(options, known);
  const size = part.version.size;
  if (size === undefined) throw failed(options.address.label, 'the server does not tell its size');
  const queue = missingSpans(part.done, size, pace.pieceBytes);
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const work = async () => {
    for (let span = queue.shift(); span !== undefined; span = queue.shift()) {
      await fillSpan({ ...options, signal }, span);
    }
  };
  const workers = Array.from({ length: Math.min(pace.connections, queue.length) }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    stop.abort(error);
    // None may write any more when this has ended.
    await Promise.allSettled(workers);
    throw error;
  }
  return size;
}

/** Asks for the first piece, which tells what the server can do. Answers the size when it sent the whole file. */
async function firstPiece(options: Transfer): Promise<number | undefined> {
  const { agent, address, part, pace, signal } = options;
  const answer = await requestRange(agent, address, { start: 0, end: pace.pieceBytes }, undefined, signal);
  try {
    if (answer.size !== undefined) await assertSize(options, answer.size);
    if (answer.ranged) {
      part.setVersion({ etag: answer.etag, size: answer.size });
      const end = Math.min(pace.pieceBytes, answer.size ?? pace.pieceBytes);
      // A break is no failure here: the rest of the piece is one of the missing spans.
      await store(options, answer.body, { start: 0, end }).catch(ignoreTransient);
      return undefined;
    }
    const stored = await store(options, answer.body, { start: 0, end: answer.size ?? Number.POSITIVE_INFINITY });
    if (answer.size !== undefined && stored !== answer.size) throw new TransientFailure('broke off');
    return stored;
  } catch (error) {
    // Without ranges a broken stream leaves nothing that could be gone on with.
    if (!answer.ranged && error instanceof TransientFailure) await part.reset();
    throw error;
  } finally {
    answer.body.destroy();
  }
}

async function fillSpan(options: Transfer, span: Span): Promise<void> {
  const { agent, address, part } = options;
  let at = span.start;
  await persist(
    options,
    async () => {
      const rest = { start: at, end: span.end };
      const answer = await requestRange(agent, address, rest, part.version.etag, options.signal);
      try {
        if (!answer.ranged) throw new SourceChanged('the server no longer sends parts');
        if (answer.size !== undefined && answer.size !== part.version.size)
          throw new SourceChanged('the size is another');
        await store(options, answer.body, rest, (position) => {
          at = position;
        });
      } finally {
        answer.body.destroy();
      }
    },
    () => at,
  );
}

/** Tries again after what is worth it. `progress` grows when an attempt brought something. */
async function persist<T>(options: Transfer, attempt: () => Promise<T>, progress: () => number = () => 0): Promise<T> {
  const { pace, signal, address } = options;
  for (let failures = 0, before = progress(); ; ) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TransientFailure)) throw error;
      failures = progress() > before ? 0 : failures + 1;
      before = progress();
      if (failures >= pace.attempts) throw failed(address.label, error.message, error);
      await delay(error.afterMs ?? backoffMs(failures, pace.pause), signal);
    }
  }
}

/** Writes a body to its place. Answers the position after its last byte. Throws `TransientFailure` when it ends before `span` does. */
async function store(
  options: Transfer,
  body: AsyncIterable<Uint8Array>,
  span: Span,
  onPosition: (position: number) => void = () => undefined,
): Promise<number> {
  const { part, signal, onBytes } = options;
  let position = span.start;
  let chunks: Uint8Array[] = [];
  let waiting = 0;
  const flush = async () => {
    await part.write(chunks, position);
    position += waiting;
    onBytes?.(waiting);
    onPosition(position);
    chunks = [];
    waiting = 0;
  };
  const iterator = body[Symbol.asyncIterator]();
  for (;;) {
    const next = await iterator.next().catch(async (error: unknown) => {
      await flush();
      signal.throwIfAborted();
      throw new TransientFailure('broke off', undefined, error);
    });
    if (next.done === true) break;
    if (position + waiting + next.value.byteLength > span.end) throw new SourceChanged('more bytes than announced');
    chunks.push(next.value);
    waiting += next.value.byteLength;
    if (waiting >= writeBytes) await flush();
  }
  await flush();
  if (position < span.end && Number.isFinite(span.end)) throw new TransientFailure('broke off');
  return position;
}

async function assertSize(options: Transfer, size: number): Promise<void> {
  if (options.size !== undefined && size !== options.size) {
    await options.part.reset();
    const { label } = options.address;
    throw new ComfyRunpodError(
      'MODEL_CORRUPT',
      `Model ${label}: its source has ${size} bytes and not ${options.size}.`,
      { details: { model: label, size, expectedSize: options.size } },
    );
  }
  await options.onSize?.(size);
}

function ignoreTransient(error: unknown): void {
  if (!(error instanceof TransientFailure)) throw error;
}

function failed(label: string, why: string, cause?: unknown): ComfyRunpodError {
  const text = why.startsWith(`${label}: `) ? why.slice(label.length + 2) : why;
  return new ComfyRunpodError('MODEL_DOWNLOAD_FAILED', `Model ${label} could not be downloaded: ${text}.`, {
    cause,
    details: { model: label },
  });
}
