/** A signed address to read one object for a limited time: AWS Signature Version 4 in the query, path-style. Pure. */
import { createHash, createHmac } from 'node:crypto';
import type { Bucket } from './bucket.ts';

/** Longest life that signature version 4 allows. */
export const maxPresignSeconds = 7 * 86_400;

/** The address and when it stops working. */
export function presignGet(
  { endpoint, bucket, accessKeyId, secretAccessKey, region }: Bucket,
  key: string,
  seconds: number,
  now: Date,
): { readonly url: string; readonly expiresAt: string } {
  const lifetime = Math.min(seconds, maxPresignSeconds);
  const stamp = `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
  const scope = `${stamp.slice(0, 8)}/${region}/s3/aws4_request`;
  const { host } = new URL(endpoint);
  const path = `/${[bucket, ...key.split('/')].map(encode).join('/')}`;
  const query = [
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${accessKeyId}/${scope}`],
    ['X-Amz-Date', stamp],
    ['X-Amz-Expires', String(lifetime)],
    ['X-Amz-SignedHeaders', 'host'],
  ]
    .map(([name = '', value = '']) => `${encode(name)}=${encode(value)}`)
    .join('&');
  const canonical = ['GET', path, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  const hashed = createHash('sha256').update(canonical).digest('hex');
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, hashed].join('\n');
  const signingKey = [stamp.slice(0, 8), region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${secretAccessKey}`,
  );
  const signature = createHmac('sha256', signingKey).update(toSign).digest('hex');
  return {
    url: `${endpoint}${path}?${query}&X-Amz-Signature=${signature}`,
    expiresAt: new Date(now.getTime() + lifetime * 1_000).toISOString(),
  };
}

/** Percent-encoding as the signature wants it: everything but unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
