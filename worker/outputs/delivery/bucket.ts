/**
 * What a bucket is to the worker, from the variables BUCKET_* or from the `s3Config` that RunPod hands over with a job. Addresses with the
 * bucket in the host (AWS) or in the path are understood; all others are used path-style.
 */
import * as z from 'zod';

/** An S3-compatible bucket and the keys to it. Never logged. */
export interface Bucket {
  /** Origin of the service, without the bucket. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

const s3ConfigSchema = z.object({
  accessId: z.string().min(1),
  accessSecret: z.string().min(1),
  bucketName: z.string().min(1).optional(),
  endpointUrl: z.string().min(1),
});

/** Reads `s3Config` of a job; undefined when it is missing or not usable. */
export function readS3Config(value: unknown): Bucket | undefined {
  const parsed = s3ConfigSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { accessId, accessSecret, bucketName, endpointUrl } = parsed.data;
  return describeBucket({
    endpointUrl,
    accessKeyId: accessId,
    secretAccessKey: accessSecret,
    ...(bucketName !== undefined && { name: bucketName }),
  });
}

/** A bucket by its address, keys and, where the address doesn't hold it, name; undefined when there is no name or no usable address. */
export function describeBucket(given: {
  readonly endpointUrl: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly name?: string;
}): Bucket | undefined {
  const url = URL.parse(given.endpointUrl);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  const inHost = /^(.+)\.(s3[.-](?:[a-z0-9-]+\.)?amazonaws\.com)$/.exec(url.hostname);
  const inPath = url.pathname.split('/').find((part) => part !== '');
  const bucket = given.name ?? inHost?.[1] ?? inPath;
  if (bucket === undefined) return undefined;
  const host = inHost?.[2] === undefined ? url.host : inHost[2];
  return {
    endpoint: `${url.protocol}//${host}`,
    bucket,
    accessKeyId: given.accessKeyId,
    secretAccessKey: given.secretAccessKey,
    region: /s3[.-]([a-z]{2}-[a-z0-9-]+-\d)\.amazonaws\.com$/.exec(host)?.[1] ?? 'us-east-1',
  };
}
