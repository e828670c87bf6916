/**
 * Results in an S3-compatible bucket: streamed in parts, read back through a signed address. The AWS client is loaded when the first result
 * needs it. Its errors name buckets and requests, so only their status or code goes on.
 */
import { createHash } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { ComfyRunpodError, isComfyRunpodError } from '../../../shared/index.ts';
import { guardUrl, pinHost, type Reach } from '../../net/index.ts';
import type { Bucket } from './bucket.ts';
import { objectName } from './object-name.ts';
import { maxPresignSeconds, presignGet } from './presign-get.ts';
import type { Rung } from './rung.ts';
import { failedStatus, type UploadAttempt, type UploadPatience, uploadWithRetries } from './upload-retry.ts';

/** Bytes of one part; two are in memory at once. S3's smallest is 5 MiB. */
const partBytes = 5 * 1024 * 1024;
const pieceBytes = 256 * 1024;
const attemptMs = 1_800_000;
const prefix = 'comfy-runpod';

type Client = import('@aws-sdk/client-s3').S3Client;

/** Sends to a bucket. `reach`: how far its address may lead, when the job brought it; that of the worker's own configuration leads anywhere. */
export function bucketRung(bucket: Bucket, jobId: string, patience: UploadPatience, reach: Reach | undefined): Rung {
  let client: Promise<Client> | undefined;
  return {
    via: 'bucket',
    maxBytes: Number.POSITIVE_INFINITY,
    maxArtifacts: Number.POSITIVE_INFINITY,
    async send({ source, described, extension }, index, reason, signal) {
      client ??= reach ? connectChecked(bucket, reach, signal) : connect(bucket);
      const connected = await client;
      const key = [prefix, ...objectName(jobId, index, extension)].join('/');
      const object = {
        key,
        contentType: described.contentType,
        pieces: (live: AbortSignal) => source.pieces(pieceBytes, live),
      };
      const attempt = (live: AbortSignal) => putObject(connected, bucket, object, live);
      const sha256 = await uploadWithRetries('The bucket', attempt, patience, signal);
      return { sha256, delivery: { via: 'url', ...presignGet(bucket, key, maxPresignSeconds, new Date()), reason } };
    },
    close: () => void client?.then((connected) => connected.destroy()).catch(() => undefined),
  };
}

/** Connects to network addresses that were checked, and to no other. Throws `RESULT_UNDELIVERED`. */
async function connectChecked(bucket: Bucket, reach: Reach, signal: AbortSignal): Promise<Client> {
  const guarded = guardUrl(bucket.endpoint, { allowPrivate: reach.allowPrivate ?? false });
  const pinned = guarded.kind === 'refused' ? guarded : await pinHost(guarded.url, reach, signal);
  if (pinned.kind === 'pinned') return connect(bucket, { lookup: pinned.lookup, ca: reach.ca });
  throw new ComfyRunpodError('RESULT_UNDELIVERED', `The address of the bucket that came with the job ${pinned.why}.`, {
    details: { reason: pinned.kind },
    nextStep: 'Give s3Config an https address of a public host.',
  });
}

type AgentOptions = { readonly lookup?: LookupFunction; readonly ca?: string | undefined };

async function connect(
  { endpoint, accessKeyId, secretAccessKey, region }: Bucket,
  { lookup, ca }: AgentOptions = {},
): Promise<Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  const agent = { keepAlive: true, maxSockets: 4, ...(lookup && { lookup }) };
  return new S3Client({
    endpoint,
    requestHandler: { httpAgent: agent, httpsAgent: { ...agent, ...(ca !== undefined && { ca }) } },
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    // Repeats are ours: theirs can't read a stream twice.
    maxAttempts: 1,
    // Servers that are only compatible know no trailing checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

/** What is put into a bucket. */
interface BucketObject {
  readonly key: string;
  readonly contentType: string;
  pieces(signal: AbortSignal): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

async function putObject(
  client: Client,
  { bucket }: Bucket,
  { key, contentType, pieces }: BucketObject,
  signal: AbortSignal,
): Promise<UploadAttempt<string>> {
  const { Upload } = await import('@aws-sdk/lib-storage');
  const limited = AbortSignal.any([signal, AbortSignal.timeout(attemptMs)]);
  const hash = createHash('sha256');
  const upload = new Upload({
    client,
    params: { Bucket: bucket, Key: key, Body: Readable.from(hashed(pieces(limited), hash)), ContentType: contentType },
    partSize: partBytes,
    queueSize: 2,
    leavePartsOnError: false,
  });
  const onAbort = () => void upload.abort();
  limited.addEventListener('abort', onAbort, { once: true });
  try {
    await upload.done();
    return { kind: 'done', value: hash.digest('hex') };
  } catch (error) {
    if (isComfyRunpodError(error)) throw error;
    const status = statusOf(error);
    if (status !== undefined) return failedStatus(status);
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return { kind: 'retry', reason: typeof code === 'string' ? code : 'network' };
  } finally {
    limited.removeEventListener('abort', onAbort);
  }
}

/** HTTP status in an error of the AWS client. */
function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined;
  const { $metadata: metadata } = error;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

async function* hashed(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, hash: ReturnType<typeof createHash>) {
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
}

/** Puts text or bytes of unknown meaning into a bucket and answers the key. Throws `RESULT_UNDELIVERED`. */
export async function keepInBucket(
  bucket: Bucket,
  path: readonly string[],
  pieces: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  patience: UploadPatience,
  signal: AbortSignal,
): Promise<string> {
  const client = await connect(bucket);
  try {
    const object = { key: [prefix, ...path].join('/'), contentType: 'application/json', pieces };
    await uploadWithRetries('The bucket', (live) => putObject(client, bucket, object, live), patience, signal);
    return object.key;
  } finally {
    client.destroy();
  }
}
