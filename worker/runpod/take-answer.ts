/** Every answer that job-take can give, as one of a few kinds. Source: the table of RunPod protocol notes §2.6. */
import type { ComfyRunpodError } from '../../shared/index.ts';
import { type Delivery, readDelivery } from './delivered-job.ts';
import type { HttpAnswer } from './transport.ts';

/** What one take came to. */
export type TakeAnswer =
  | ({ readonly kind: 'jobs' } & Delivery)
  /** 204, 400 (FlashBoot), or a 200 that holds no job. */
  | { readonly kind: 'none' }
  /** A 200 that can't be read: whatever it delivered is lost until its lease ends. */
  | { readonly kind: 'unreadable'; readonly why: string }
  | { readonly kind: 'rate-limited'; readonly retryAfter: string | undefined }
  | { readonly kind: 'unauthorized'; readonly status: number }
  | { readonly kind: 'failed'; readonly status?: number; readonly error?: ComfyRunpodError }
  /** The server held the request longer than we wait. */
  | { readonly kind: 'timed-out' };

/** Classifies an answer of job-take. */
export function readTakeAnswer(answer: HttpAnswer): TakeAnswer {
  const { status } = answer;
  if (status === 204 || status === 400) return { kind: 'none' };
  if (status === 429) return { kind: 'rate-limited', retryAfter: answer.retryAfter };
  if (status === 401 || status === 403) return { kind: 'unauthorized', status };
  if (status !== 200) return { kind: 'failed', status };
  if (answer.mediaType !== 'application/json') return { kind: 'unreadable', why: 'it is not application/json' };
  if (answer.body.byteLength === 0) return { kind: 'unreadable', why: 'it is empty' };
  let value: unknown;
  try {
    value = JSON.parse(answer.body.toString('utf8'));
  } catch {
    return { kind: 'unreadable', why: 'it is not valid JSON' };
  }
  const delivery = readDelivery(value);
  return delivery.jobs.length + delivery.problems.length === 0 ? { kind: 'none' } : { kind: 'jobs', ...delivery };
}
