/**
 * Which ways are there for the result of one job, in order, and how a result goes down them: the first that carries all artifacts wins; one
 * that fails on the way is left and the next one starts from the first artifact again. A job may force one way.
 */
import { ComfyRunpodError, type Destination, isComfyRunpodError, toComfyRunpodError } from '../../../shared/index.ts';
import type { Reach } from '../../net/index.ts';
import { type Bucket, readS3Config } from './bucket.ts';
import { bucketRung } from './bucket-rung.ts';
import { putRefusal, putRung } from './put-rung.ts';
import type { PreparedArtifact, Rung, SentArtifact } from './rung.ts';
import { type PostChunk, streamRung } from './stream-rung.ts';
import { type UploadPatience, uploadPatience } from './upload-retry.ts';
import { volumeRung } from './volume-rung.ts';

/** Where results of this worker may be put. */
export interface DeliveryPlaces {
  readonly bucket?: Bucket;
  /** Absolute folder on a network volume. */
  readonly volumeDir?: string;
  readonly patience?: UploadPatience;
  /** Where addresses that a job brings may lead. Default: public hosts only. */
  readonly reach?: Reach;
}

/** What the job brings along. */
export interface DeliveryRequest {
  readonly jobId: string;
  readonly destination: Destination;
  /** `s3Config` as RunPod handed it over; untrusted. */
  readonly s3Config?: unknown;
  /** Absent where nobody reads /stream. */
  readonly postChunk?: PostChunk;
}

/** The ways that are open, best first; empty when there is none, or when only the answer itself is allowed. */
export function openRungs(places: DeliveryPlaces, request: DeliveryRequest): readonly Rung[] {
  const { destination, jobId } = request;
  const patience = places.patience ?? uploadPatience;
  const wants = (kind: Destination['kind']) => destination.kind === 'auto' || destination.kind === kind;
  const reach = places.reach ?? {};
  const own = readS3Config(request.s3Config);
  const bucket = own ?? places.bucket;
  return [
    ...(request.postChunk && wants('stream') ? [streamRung(request.postChunk)] : []),
    ...(destination.kind === 'put' ? [putRung(destination, patience, reach)] : []),
    ...(bucket && wants('bucket') ? [bucketRung(bucket, jobId, patience, own && reach)] : []),
    ...(places.volumeDir !== undefined && wants('volume') ? [volumeRung(places.volumeDir, jobId)] : []),
  ];
}

/**
 * Refuses, before anything runs, a job that forces a way which this worker doesn't have (`CONFIG_MISSING`) or names an address that it may not
 * use (`DESTINATION_REFUSED`).
 */
export function assertDestination(places: DeliveryPlaces, request: DeliveryRequest): void {
  const { kind } = request.destination;
  if (request.destination.kind === 'put') assertAddresses(request.destination, places.reach ?? {});
  if (kind === 'auto' || kind === 'inline' || kind === 'put') return;
  const rungs = openRungs(places, request);
  for (const rung of rungs) rung.close();
  if (rungs.length > 0) return;
  const lacking = { stream: 'no way to /stream', bucket: 'no bucket', volume: 'no network volume' }[kind];
  throw new ComfyRunpodError(
    'CONFIG_MISSING',
    `The job wants its result by "${kind}", but this worker has ${lacking}.`,
    {
      issues: [{ field: 'destination', message: lacking }],
      nextStep: {
        stream: 'Send the job through RunPod, or leave destination out.',
        bucket:
          'Set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY, or send s3Config with the job.',
        volume: 'Attach a network volume to the endpoint, or set RESULT_VOLUME_DIR.',
      }[kind],
    },
  );
}

function assertAddresses(destination: Extract<Destination, { kind: 'put' }>, reach: Reach): void {
  const why = putRefusal(destination, reach);
  if (why === undefined) return;
  throw new ComfyRunpodError('DESTINATION_REFUSED', `The address of a destination ${why}.`, {
    issues: [{ field: 'destination', message: why }],
  });
}

/** A result that goes down the ladder. */
export interface DescendingResult {
  readonly count: number;
  /** Bytes of all artifacts, at most. */
  readonly bytes: number;
  /** Makes artifact number `index` ready; called anew for every way. */
  readonly prepare: (index: number, signal: AbortSignal) => Promise<PreparedArtifact>;
  /** Why the answer itself doesn't carry it. */
  readonly reason: string;
  /** The error when no way carries it. */
  readonly refusal: ComfyRunpodError;
  readonly onFailure: (via: Rung['via'], error: ComfyRunpodError) => void;
}

/** An artifact that has travelled. */
export interface DescendedArtifact extends SentArtifact {
  readonly described: PreparedArtifact['described'];
}

/** Sends all artifacts the first way that carries them. Throws `RESULT_TOO_LARGE` when none is there, else what the last one threw. */
export async function descend(
  rungs: readonly Rung[],
  result: DescendingResult,
  signal: AbortSignal,
): Promise<readonly DescendedArtifact[]> {
  let { reason } = result;
  let failure: ComfyRunpodError | undefined;
  for (const rung of rungs) {
    if (result.bytes > rung.maxBytes || result.count > rung.maxArtifacts) {
      reason += `; too large for ${rung.via}`;
      continue;
    }
    try {
      return await sendAll(rung, result, reason, signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = toComfyRunpodError(error);
      // The file itself is at fault: no other way carries it.
      if (isComfyRunpodError(error) && /^(OUTPUT|WORKSPACE)_/.test(error.code)) throw error;
      result.onFailure(rung.via, failure);
      reason += `; ${rung.via} failed`;
    } finally {
      rung.close();
    }
  }
  throw failure ?? noWayLeft(result.refusal, reason);
}

async function sendAll(
  rung: Rung,
  result: DescendingResult,
  reason: string,
  signal: AbortSignal,
): Promise<readonly DescendedArtifact[]> {
  const sent: DescendedArtifact[] = [];
  for (let index = 0; index < result.count; index++) {
    const artifact = await result.prepare(index, signal);
    sent.push({ described: artifact.described, ...(await rung.send(artifact, index, reason, signal)) });
  }
  return sent;
}

function noWayLeft({ code, message, details }: ComfyRunpodError, reason: string): ComfyRunpodError {
  return new ComfyRunpodError(code, `${message} No other way is left (${reason}).`, {
    details,
    nextStep:
      'Give the worker a bucket (BUCKET_ENDPOINT_URL and its keys) or a network volume, leave destination out so that every way may be used, or save smaller or fewer files (output.format webp or jpeg helps).',
  });
}
