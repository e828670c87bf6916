/** A job as job-take hands it out, read leniently. Source: RunPod protocol notes §2.6. */
import * as z from 'zod';

/** One delivered job. `input` is untrusted and read by the runner. */
export interface DeliveredJob {
  readonly id: string;
  readonly input: unknown;
  /** `policy.executionTimeout` in milliseconds, when it came along. */
  readonly executionTimeoutMs?: number;
  /** `policy.ttl` in milliseconds, when it came along. */
  readonly ttlMs?: number;
  /** `s3Config` as it came: where the caller wants results. Holds keys; read where it is used, never logged. */
  readonly s3Config?: unknown;
  /** Prefix of the job's log lines, when it belongs to a batch. */
  readonly batchId?: string;
}

/** What one answer delivered. */
export interface Delivery {
  readonly jobs: readonly DeliveredJob[];
  /** Why elements were skipped, without their content. */
  readonly problems: readonly string[];
}

const positive = z.number().positive().optional().catch(undefined);
// An id goes into an address, a header and every log line: printable ASCII without spaces, bounded.
const jobSchema = z.object({
  id: z.string().regex(/^[\x21-\x7e]{1,512}$/),
  input: z.unknown().optional(),
  policy: z.object({ executionTimeout: positive, ttl: positive }).nullish().catch(undefined),
  batchId: z.string().max(512).optional().catch(undefined),
  s3Config: z.unknown().optional(),
});

/** Reads a decoded 200 answer: one object or an array of them; null, numbers and strings mean no job. */
export function readDelivery(value: unknown): Delivery {
  const elements = Array.isArray(value) ? (value as unknown[]) : isObject(value) ? [value] : [];
  const jobs: DeliveredJob[] = [];
  const problems: string[] = [];
  for (const element of elements) {
    const parsed = jobSchema.safeParse(element);
    if (!parsed.success) {
      problems.push(isObject(element) ? 'a job without a usable id' : 'an element that is not an object');
      continue;
    }
    const { id, input, policy, batchId, s3Config } = parsed.data;
    jobs.push({
      id,
      // The platform drops empty inputs (§1.3); such a job must still be answered, so it runs with {}.
      input: input ?? {},
      ...(policy?.executionTimeout !== undefined && { executionTimeoutMs: policy.executionTimeout }),
      ...(policy?.ttl !== undefined && { ttlMs: policy.ttl }),
      ...(batchId !== undefined && { batchId }),
      ...(s3Config !== undefined && s3Config !== null && { s3Config }),
    });
  }
  return { jobs, problems };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
