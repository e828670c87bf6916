/** What a job says about where its result goes. */
import type { DeliveryRequest } from '../../outputs/index.ts';
import type { JobRun } from './job-run.ts';

/** The request of a job. */
export function deliveryRequest({ job, input, request, context }: JobRun): DeliveryRequest {
  return {
    jobId: job.id,
    // An encrypted answer holds its files: put elsewhere they would lie there in clear.
    destination: request.respond.sealed ? { kind: 'inline' } : (input.destination ?? { kind: 'auto' }),
    ...(job.s3Config !== undefined && { s3Config: job.s3Config }),
    // Only our own client puts the pieces on /stream together.
    ...(context.postChunk && request.dialect === 'canonical' && { postChunk: context.postChunk }),
  };
}
