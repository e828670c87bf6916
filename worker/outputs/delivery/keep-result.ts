/**
 * A result that RunPod would not take, or did not take before the worker had to end, is kept where a person can find it: on the network
 * volume, else in the bucket. What is kept is the text of the answer, artifacts included.
 */

import path from 'node:path';
import { isComfyRunpodError } from '../../../shared/index.ts';
import type { JsonBody } from '../../types.ts';
import { keepInBucket } from './bucket-rung.ts';
import type { DeliveryPlaces } from './ladder.ts';
import { safeFolder } from './object-name.ts';
import { uploadPatience } from './upload-retry.ts';
import { writeDurable } from './volume-rung.ts';

/** Where a result was put: a path on the volume, or a key in the bucket. */
export interface KeptResult {
  readonly where: 'volume' | 'bucket';
  readonly name: string;
}

const fileName = 'undelivered.json';

/** Keeps a result. Undefined when there is no place for it or none took it. Never throws. */
export async function keepResult(
  places: DeliveryPlaces,
  jobId: string,
  body: JsonBody,
  signal: AbortSignal,
): Promise<KeptResult | undefined> {
  const folder = safeFolder(jobId);
  try {
    if (places.volumeDir !== undefined) {
      const target = path.join(places.volumeDir, folder, fileName);
      await writeDurable(target, body.chunks(), signal);
      return { where: 'volume', name: target };
    }
  } catch (error) {
    if (!isComfyRunpodError(error)) return undefined;
  }
  try {
    if (!places.bucket) return undefined;
    const patience = places.patience ?? uploadPatience;
    const name = await keepInBucket(places.bucket, [folder, fileName], () => body.chunks(), patience, signal);
    return { where: 'bucket', name };
  } catch {
    return undefined;
  }
}
