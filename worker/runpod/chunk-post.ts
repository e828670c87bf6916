/**
 * Posts one value to job-stream. Source: RunPod protocol notes §2.11. The SDK logs a failed chunk and goes on, so that values go missing
 * silently; here a chunk is repeated like a result, and one that can't be posted ends the stream.
 */
import { ComfyRunpodError } from '../../shared/core.ts';
import type { JsonBody } from '../types.ts';
import { type DeliveryOptions, deliverResult } from './result-delivery.ts';

/** Posts `body` until RunPod has it. Throws `RESULT_UNDELIVERED`, what the body threw, or the signal's reason. */
export async function postChunk(body: JsonBody, options: DeliveryOptions): Promise<void> {
  const result = await deliverResult(body, options);
  switch (result.kind) {
    case 'delivered':
      return;
    case 'broken':
      throw result.error;
    case 'aborted':
      throw options.signal.reason;
    case 'refused':
    case 'gone':
    case 'expired': {
      const status = 'status' in result ? { status: result.status } : {};
      const size = body.byteLength;
      throw new ComfyRunpodError('RESULT_UNDELIVERED', 'RunPod did not take a chunk of the result.', {
        details: { ending: result.kind, size, ...status },
      });
    }
  }
}
