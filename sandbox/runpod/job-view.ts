// Jobs as others see them: the public view, the webhook body, the worker's view. Bodies are lists of pieces so that a
// 20 MiB output is written as the bytes it arrived in. Keys come in alphabetical order, as in RunPod's published samples.
import { type Attempt, type Job, statusOf } from './job.ts';
import type { RawJson } from './raw-json.ts';

/** A body in pieces: JSON text, or bytes of JSON. */
export type BodyParts = readonly (string | Buffer)[];

type Member = readonly [key: string, value: BodyParts | RawJson | string | undefined];

/** The job object of /status and its relatives (RunPod protocol notes §1.5). */
export function jobView(job: Job, now: number): BodyParts {
  const { state } = job;
  return objectOf([
    ['delayTime', numberText(delayTime(job))],
    ['error', state.kind === 'ended' && state.error !== undefined ? JSON.stringify(state.error) : undefined],
    ['executionTime', numberText(executionTime(job, now))],
    ['id', JSON.stringify(job.id)],
    ['output', outputOf(job)],
    ['retries', job.retries > 0 ? numberText(job.retries) : undefined],
    ['status', JSON.stringify(statusOf(job))],
    ['workerId', textOf(attemptOf(job)?.workerId)],
  ]);
}

/** `{id, status}` only, as /run and /retry answer. */
export function shortView(job: Job): BodyParts {
  return objectOf([
    ['id', JSON.stringify(job.id)],
    ['status', JSON.stringify(statusOf(job))],
  ]);
}

/** `/stream`'s answer: the array is always there, even when empty (RunPod protocol notes §1.8). */
export function streamView(status: string, chunks: readonly RawJson[]): BodyParts {
  const stream = chunks.flatMap((chunk, index) => (index === 0 ? [chunk] : [',', chunk]));
  return objectOf([
    ['status', JSON.stringify(status)],
    ['stream', ['[', ...stream, ']']],
  ]);
}

/** What a webhook receiver gets: the view without the worker, with `input` and `webhook` (RunPod protocol notes §1.11). */
export function webhookBody(job: Job, now: number): BodyParts {
  const { state } = job;
  return objectOf([
    ['delayTime', numberText(delayTime(job) ?? 0)],
    ['error', state.kind === 'ended' && state.error !== undefined ? JSON.stringify(state.error) : undefined],
    ['executionTime', numberText(executionTime(job, now) ?? 0)],
    ['id', JSON.stringify(job.id)],
    ['input', job.input ?? 'null'],
    ['output', outputOf(job)],
    ['retries', job.retries > 0 ? numberText(job.retries) : undefined],
    ['status', JSON.stringify(statusOf(job))],
    ['webhook', textOf(job.webhook)],
  ]);
}

/** The job as a worker takes it. With `dropEmptyInput`, empty or missing input leaves no `input` key (notes §1.3). */
export function workerView(job: Job, dropEmptyInput: boolean): BodyParts {
  return objectOf([
    ['id', JSON.stringify(job.id)],
    ['input', dropEmptyInput && isEmptyInput(job) ? undefined : (job.input ?? '{}')],
    ['policy', job.policy],
    ['s3Config', job.s3Config],
    ['webhook', textOf(job.webhook)],
  ]);
}

/** `[a,b,...]` of bodies. */
export function arrayOf(items: readonly BodyParts[]): BodyParts {
  return ['[', ...items.flatMap((item, index) => (index === 0 ? item : [',', ...item])), ']'];
}

/** `{"key":[...]}` around a list of bodies. */
export function wrapArray(key: string, items: readonly BodyParts[]): BodyParts {
  return objectOf([[key, arrayOf(items)]]);
}

/** Milliseconds from submission to the start of the latest attempt; undefined before the first. */
export function delayTime(job: Job): number | undefined {
  const attempt = attemptOf(job);
  return attempt && Math.round(attempt.startedAt - job.submittedAt);
}

/** Milliseconds of the latest attempt: when it ended, or so far once progress was posted. */
export function executionTime(job: Job, now: number): number | undefined {
  const { state } = job;
  if (state.kind === 'ended') return state.attempt && Math.round(state.endedAt - state.attempt.startedAt);
  if (state.kind === 'running' && state.progress !== undefined) return Math.round(now - state.attempt.startedAt);
  return undefined;
}

/** The attempt that runs or ran last; a job waiting for its second attempt shows none. */
export function attemptOf(job: Job): Attempt | undefined {
  return job.state.kind === 'queued' ? undefined : job.state.attempt;
}

function outputOf(job: Job): RawJson | undefined {
  switch (job.state.kind) {
    case 'queued':
      return undefined;
    case 'running':
      return job.state.progress;
    case 'ended':
      return job.state.output;
  }
}

function isEmptyInput(job: Job): boolean {
  return job.input === undefined || /^\{\s*\}$/.test(job.input.toString('utf8', 0, 4096));
}

function numberText(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function textOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

function objectOf(members: readonly Member[]): BodyParts {
  const parts: (string | Buffer)[] = ['{'];
  for (const [key, value] of members) {
    if (value === undefined) continue;
    parts.push(`${parts.length === 1 ? '' : ','}${JSON.stringify(key)}:`);
    if (typeof value === 'string' || Buffer.isBuffer(value)) parts.push(value);
    else parts.push(...value);
  }
  parts.push('}');
  return parts;
}
