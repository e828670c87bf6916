/** What a job says about where its result goes. */
import type { DeliveryRequest } from '../../outputs/index.ts';
import type { JobRun } from './job-run.ts';

/** The request of a job. */
export function deliveryRequest({ job, input, context }: JobRun): DeliveryRequest {
  return {
    jobId: job.id,
    destination: input.destination ?? { kind: 'auto' },
    ...(job.s3Config !== undefined && { s3Config: job.s3Config }),
    ...(context.postChunk && { postChunk: context.postChunk }),
  };
}
