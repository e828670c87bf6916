// One job's life as a pure state machine: `transition(job, event, rules)` answers the next job and what has to happen
// outside of it. No clock, no I/O, no timers in here; endpoint.ts owns those. Invariants:
//   J1  an ended job changes only by retry or removal: late progress, results and pings have no effect (notes §2.12, §2.23.6)
//   J2  only a worker's own attempt can renew, progress or give back a job; the first result wins, whoever posts it
//   J3  a lost job is queued again at most `leaseRetries` times, then it ends
import type { RawJson } from './raw-json.ts';

/** The route a job was submitted on; decides id shape, limits and retention. */
export type SubmitRoute = 'run' | 'runsync';

/** Job statuses on the wire (RunPod protocol notes §1.5). */
export type JobStatus = 'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT';

/** One hand-out of a job to a worker. */
export interface Attempt {
  readonly number: number;
  readonly workerId: string;
  readonly startedAt: number;
}

/** Where a job stands, with what belongs to that state only. */
export type JobState =
  | { readonly kind: 'queued'; readonly lastAttempt: Attempt | undefined }
  | {
      readonly kind: 'running';
      readonly attempt: Attempt;
      /** When the worker was last heard to hold this job: the take, then each ping that names it. */
      readonly seenAt: number;
      readonly progress: RawJson | undefined;
    }
  | {
      readonly kind: 'ended';
      readonly status: Exclude<JobStatus, 'IN_QUEUE' | 'IN_PROGRESS'>;
      readonly attempt: Attempt | undefined;
      readonly endedAt: number;
      readonly retainUntil: number;
      readonly output: RawJson | undefined;
      readonly error: string | undefined;
    };

/** A job; immutable, replaced as a whole by {@link transition}. Times are clock milliseconds. */
export interface Job {
  readonly id: string;
  readonly route: SubmitRoute;
  readonly submittedAt: number;
  /** End of the ttl: a job that has not ended by then is removed. */
  readonly expiresAt: number;
  readonly executionTimeoutMs: number;
  readonly retentionMs: number;
  readonly lowPriority: boolean;
  /** `undefined` when the caller sent none or null. */
  readonly input: RawJson | undefined;
  readonly webhook: string | undefined;
  readonly policy: RawJson | undefined;
  readonly s3Config: RawJson | undefined;
  /** Times the platform dispatched the job again after a lost lease. */
  readonly retries: number;
  readonly attempts: number;
  readonly state: JobState;
}

/** Everything that can happen to a job. `at` is the clock's time of the event. */
export type JobEvent =
  | { readonly kind: 'take'; readonly workerId: string; readonly at: number }
  | { readonly kind: 'give-back'; readonly attempt: number }
  | { readonly kind: 'renew'; readonly workerId: string; readonly at: number }
  | { readonly kind: 'progress'; readonly workerId: string; readonly output: RawJson | undefined }
  | {
      readonly kind: 'result';
      readonly workerId: string;
      readonly at: number;
      readonly output: RawJson | undefined;
      readonly error: string | undefined;
    }
  | { readonly kind: 'lease-ended'; readonly at: number }
  | { readonly kind: 'execution-timeout'; readonly at: number }
  | { readonly kind: 'ttl-ended'; readonly at: number }
  | { readonly kind: 'retention-ended' }
  | { readonly kind: 'cancel'; readonly at: number }
  | { readonly kind: 'purge'; readonly at: number }
  | { readonly kind: 'retry'; readonly at: number }
  | { readonly kind: 'shorten-retention'; readonly at: number; readonly ms: number };

/** What a transition asks the endpoint to do. */
export type JobEffect =
  | { readonly kind: 'queue'; readonly where: 'front' | 'back' }
  | { readonly kind: 'leave-queue' }
  | { readonly kind: 'stop-worker'; readonly workerId: string }
  | { readonly kind: 'drop-chunks' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'remove' };

/** The settings that decide between outcomes. */
export interface JobRules {
  readonly leaseMs: number;
  readonly leaseRetries: number;
  readonly lostJobStatus: 'FAILED' | 'TIMED_OUT';
  readonly queuedTtlOutcome: 'TIMED_OUT' | 'deleted';
}

/** A change of a job; `undefined` in place of it means that the event has no effect in the job's state. */
export interface Transition {
  readonly job: Job;
  readonly effects: readonly JobEffect[];
}

/** The status that the public API shows for a job. */
export function statusOf(job: Job): JobStatus {
  switch (job.state.kind) {
    case 'queued':
      return 'IN_QUEUE';
    case 'running':
      return 'IN_PROGRESS';
    case 'ended':
      return job.state.status;
  }
}

/** Applies one event to one job. */
export function transition(job: Job, event: JobEvent, rules: JobRules): Transition | undefined {
  switch (job.state.kind) {
    case 'queued':
      return fromQueued(job, job.state, event, rules);
    case 'running':
      return fromRunning(job, job.state, event, rules);
    case 'ended':
      return fromEnded(job, job.state, event);
  }
}

/** When the next thing happens to a job by itself, and what. */
export function nextDeadline(
  job: Job,
  rules: JobRules,
): { readonly at: number; readonly event: (at: number) => JobEvent } {
  switch (job.state.kind) {
    case 'queued':
      return { at: job.expiresAt, event: (at) => ({ kind: 'ttl-ended', at }) };
    case 'ended':
      return { at: job.state.retainUntil, event: () => ({ kind: 'retention-ended' }) };
    case 'running': {
      const ttl = job.expiresAt;
      const execution = job.state.attempt.startedAt + job.executionTimeoutMs;
      const lease = job.state.seenAt + rules.leaseMs;
      if (ttl <= execution && ttl <= lease) return { at: ttl, event: (at) => ({ kind: 'ttl-ended', at }) };
      if (execution <= lease) return { at: execution, event: (at) => ({ kind: 'execution-timeout', at }) };
      return { at: lease, event: (at) => ({ kind: 'lease-ended', at }) };
    }
  }
}

type Queued = Extract<JobState, { kind: 'queued' }>;
type Running = Extract<JobState, { kind: 'running' }>;
type Ended = Extract<JobState, { kind: 'ended' }>;

function fromQueued(job: Job, state: Queued, event: JobEvent, rules: JobRules): Transition | undefined {
  switch (event.kind) {
    case 'take': {
      const attempt = { number: job.attempts + 1, workerId: event.workerId, startedAt: event.at };
      const running: Running = { kind: 'running', attempt, seenAt: event.at, progress: undefined };
      return { job: { ...job, attempts: attempt.number, state: running }, effects: [{ kind: 'leave-queue' }] };
    }
    case 'result': {
      // A worker that lost its lease may still be first with a result; one that never had the job may not.
      if (!state.lastAttempt) return undefined;
      const ended = end(job, resultStatus(event.error), event.at, { ...event, attempt: state.lastAttempt });
      return { job: ended, effects: [{ kind: 'leave-queue' }, { kind: 'ended' }] };
    }
    case 'ttl-ended': {
      if (rules.queuedTtlOutcome === 'deleted') return { job, effects: [{ kind: 'leave-queue' }, { kind: 'remove' }] };
      const ended = end(job, 'TIMED_OUT', event.at, { attempt: state.lastAttempt });
      return { job: ended, effects: [{ kind: 'leave-queue' }, { kind: 'ended' }] };
    }
    case 'cancel':
    case 'purge': {
      const ended = end(job, 'CANCELLED', event.at, { attempt: state.lastAttempt });
      return { job: ended, effects: [{ kind: 'leave-queue' }, { kind: 'ended' }] };
    }
    case 'shorten-retention':
      return { job: { ...job, retentionMs: Math.min(job.retentionMs, event.ms) }, effects: [] };
    default:
      return undefined;
  }
}

function fromRunning(job: Job, state: Running, event: JobEvent, rules: JobRules): Transition | undefined {
  const stop: JobEffect = { kind: 'stop-worker', workerId: state.attempt.workerId };
  switch (event.kind) {
    case 'give-back': {
      if (state.attempt.number !== event.attempt) return undefined;
      return {
        job: { ...job, state: { kind: 'queued', lastAttempt: undefined } },
        effects: [{ kind: 'queue', where: 'front' }],
      };
    }
    case 'renew':
      if (state.attempt.workerId !== event.workerId) return undefined;
      return { job: { ...job, state: { ...state, seenAt: event.at } }, effects: [] };
    case 'progress':
      if (state.attempt.workerId !== event.workerId) return undefined;
      return { job: { ...job, state: { ...state, progress: event.output } }, effects: [] };
    case 'result': {
      const attempt = { ...state.attempt, workerId: event.workerId };
      return {
        job: end(job, resultStatus(event.error), event.at, { ...event, attempt }),
        effects: [{ kind: 'ended' }],
      };
    }
    case 'lease-ended':
      return lose(job, state, event.at, rules);
    case 'execution-timeout': {
      const error = 'executionTimeout exceeded';
      return {
        job: end(job, 'FAILED', event.at, { attempt: state.attempt, error }),
        effects: [stop, { kind: 'ended' }],
      };
    }
    case 'ttl-ended':
      return { job, effects: [stop, { kind: 'remove' }] };
    case 'cancel':
      return { job: end(job, 'CANCELLED', event.at, { attempt: state.attempt }), effects: [stop, { kind: 'ended' }] };
    case 'shorten-retention':
      return { job: { ...job, retentionMs: Math.min(job.retentionMs, event.ms) }, effects: [] };
    default:
      return undefined;
  }
}

function fromEnded(job: Job, state: Ended, event: JobEvent): Transition | undefined {
  switch (event.kind) {
    case 'retention-ended':
      return { job, effects: [{ kind: 'remove' }] };
    case 'shorten-retention': {
      const retainUntil = Math.min(state.retainUntil, event.at + event.ms);
      return { job: { ...job, state: { ...state, retainUntil } }, effects: [] };
    }
    case 'retry': {
      if (state.status !== 'FAILED' && state.status !== 'TIMED_OUT') return undefined;
      // A job whose ttl ran out has to live again to be run; otherwise the ttl goes on counting from the submission.
      const ttl = job.expiresAt - job.submittedAt;
      const expiresAt = job.expiresAt > event.at ? job.expiresAt : event.at + ttl;
      const queued: Queued = { kind: 'queued', lastAttempt: undefined };
      return {
        job: { ...job, expiresAt, retries: 0, state: queued },
        effects: [{ kind: 'drop-chunks' }, { kind: 'queue', where: 'back' }],
      };
    }
    default:
      return undefined;
  }
}

/** A lease that ran out: once more into the queue, or the end. */
function lose(job: Job, state: Running, at: number, rules: JobRules): Transition {
  if (job.retries < rules.leaseRetries) {
    return {
      job: { ...job, retries: job.retries + 1, state: { kind: 'queued', lastAttempt: state.attempt } },
      effects: [{ kind: 'lost' }, { kind: 'drop-chunks' }, { kind: 'queue', where: 'front' }],
    };
  }
  const error = `job timed out after ${job.retries} retries`;
  return { job: end(job, rules.lostJobStatus, at, { attempt: state.attempt, error }), effects: [{ kind: 'ended' }] };
}

function resultStatus(error: string | undefined): 'COMPLETED' | 'FAILED' {
  return error === undefined ? 'COMPLETED' : 'FAILED';
}

interface Ending {
  readonly attempt: Attempt | undefined;
  readonly output?: RawJson | undefined;
  readonly error?: string | undefined;
}

function end(job: Job, status: Ended['status'], at: number, ending: Ending): Job {
  const { attempt, output, error } = ending;
  return {
    ...job,
    state: { kind: 'ended', status, attempt, endedAt: at, retainUntil: at + job.retentionMs, output, error },
  };
}
