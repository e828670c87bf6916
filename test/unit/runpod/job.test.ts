// The job state machine on its own: a table of the transitions of RunPod protocol notes §1.6, and what holds for every
// sequence of events.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Job,
  type JobEvent,
  type JobRules,
  nextDeadline,
  statusOf,
  transition,
} from '../../../sandbox/runpod/job.ts';

const RULES: JobRules = { leaseMs: 40_000, leaseRetries: 1, lostJobStatus: 'FAILED', queuedTtlOutcome: 'TIMED_OUT' };

const QUEUED: Job = {
  id: 'j',
  route: 'run',
  submittedAt: 0,
  expiresAt: 86_400_000,
  executionTimeoutMs: 600_000,
  retentionMs: 1_800_000,
  lowPriority: false,
  input: undefined,
  webhook: undefined,
  policy: undefined,
  s3Config: undefined,
  retries: 0,
  attempts: 0,
  state: { kind: 'queued', lastAttempt: undefined },
};

const text = (value: string): Buffer => Buffer.from(JSON.stringify(value));
const take = (at = 0, workerId = 'w'): JobEvent => ({ kind: 'take', workerId, at });
const result = (at: number, error?: string, workerId = 'w'): JobEvent => ({
  kind: 'result',
  workerId,
  at,
  output: text('out'),
  error,
});

/** Applies events in turn; one without effect leaves the job as it is. */
function applied(job: Job, ...events: JobEvent[]): Job {
  return events.reduce((current, event) => transition(current, event, RULES)?.job ?? current, job);
}

describe('transitions', () => {
  it.each<[string, JobEvent[], string]>([
    ['a submit', [], 'IN_QUEUE'],
    ['a take', [take()], 'IN_PROGRESS'],
    ['a result', [take(), result(1)], 'COMPLETED'],
    ['a result with an error', [take(), result(1, 'boom')], 'FAILED'],
    ['executionTimeout', [take(), { kind: 'execution-timeout', at: 1 }], 'FAILED'],
    ['one lost lease', [take(), { kind: 'lease-ended', at: 1 }], 'IN_QUEUE'],
    ['two lost leases', [take(), { kind: 'lease-ended', at: 1 }, take(2), { kind: 'lease-ended', at: 3 }], 'FAILED'],
    ['ttl in the queue', [{ kind: 'ttl-ended', at: 1 }], 'TIMED_OUT'],
    ['a cancel in the queue', [{ kind: 'cancel', at: 1 }], 'CANCELLED'],
    ['a cancel of a running job', [take(), { kind: 'cancel', at: 1 }], 'CANCELLED'],
    ['a purge', [{ kind: 'purge', at: 1 }], 'CANCELLED'],
    ['a retry', [take(), result(1, 'boom'), { kind: 'retry', at: 2 }], 'IN_QUEUE'],
    ['a delivery that failed', [take(), { kind: 'give-back', attempt: 1 }], 'IN_QUEUE'],
    [
      'a stale failed delivery',
      [take(), { kind: 'lease-ended', at: 1 }, take(2), { kind: 'give-back', attempt: 1 }],
      'IN_PROGRESS',
    ],
  ])('%s', (_name, events, status) => {
    expect(statusOf(applied(QUEUED, ...events))).toBe(status);
  });

  it.each<[string, JobEvent[], JobEvent]>([
    ['a purge of a running job', [take()], { kind: 'purge', at: 1 }],
    ['a second take', [take()], take(1, 'other')],
    ['a result nobody took the job for', [], result(1)],
    ['progress of a stranger', [take()], { kind: 'progress', workerId: 'other', output: undefined }],
    ['a ping of a stranger', [take()], { kind: 'renew', workerId: 'other', at: 5 }],
    ['progress after the end', [take(), result(1)], { kind: 'progress', workerId: 'w', output: undefined }],
    ['a second result', [take(), result(1)], result(2, 'boom')],
    ['a cancel after the end', [take(), result(1)], { kind: 'cancel', at: 2 }],
    ['a retry of a completed job', [take(), result(1)], { kind: 'retry', at: 2 }],
    ['a retry of a cancelled job', [{ kind: 'cancel', at: 1 }], { kind: 'retry', at: 2 }],
    ['a retry of a queued job', [], { kind: 'retry', at: 1 }],
  ])('%s has no effect', (_name, events, event) => {
    expect(transition(applied(QUEUED, ...events), event, RULES)).toBeUndefined();
  });

  it('the switches choose the documented statuses instead of the observed ones', () => {
    const running = applied(QUEUED, take(), { kind: 'lease-ended', at: 1 }, take(2));
    const lost = transition(running, { kind: 'lease-ended', at: 3 }, { ...RULES, lostJobStatus: 'TIMED_OUT' });
    expect(lost && statusOf(lost.job)).toBe('TIMED_OUT');
    const expired = transition(QUEUED, { kind: 'ttl-ended', at: 1 }, { ...RULES, queuedTtlOutcome: 'deleted' });
    expect(expired?.effects).toEqual([{ kind: 'leave-queue' }, { kind: 'remove' }]);
  });

  it('the next deadline is the earliest of ttl, execution timeout and lease', () => {
    const running = applied(QUEUED, take(1000));
    expect(nextDeadline(running, RULES).at).toBe(41_000);
    expect(nextDeadline(running, { ...RULES, leaseMs: 1e9 }).at).toBe(601_000);
    expect(nextDeadline({ ...running, expiresAt: 30_000 }, RULES).at).toBe(30_000);
    expect(nextDeadline(applied(running, { kind: 'renew', workerId: 'w', at: 20_000 }), RULES).at).toBe(60_000);
    expect(nextDeadline(QUEUED, RULES).at).toBe(86_400_000);
    expect(nextDeadline(applied(running, result(2000)), RULES).at).toBe(1_802_000);
  });
});

const worker = fc.constantFrom('w', 'v');
const at = fc.nat(100_000);
const anyEvent: fc.Arbitrary<JobEvent> = fc.oneof(
  fc.record({ kind: fc.constant('take' as const), workerId: worker, at }),
  fc.record({ kind: fc.constant('give-back' as const), attempt: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('renew' as const), workerId: worker, at }),
  fc.record({ kind: fc.constant('progress' as const), workerId: worker, output: fc.constant(text('p')) }),
  fc.record({
    kind: fc.constant('result' as const),
    workerId: worker,
    at,
    output: fc.constant(text('o')),
    error: fc.constantFrom(undefined, 'boom'),
  }),
  fc.record({
    kind: fc.constantFrom('lease-ended' as const, 'execution-timeout' as const, 'cancel' as const, 'purge' as const),
    at,
  }),
  fc.record({ kind: fc.constant('retry' as const), at }),
);

describe('whatever happens', () => {
  it('an ended job changes by retry only, and only when it failed or timed out', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
        let job = QUEUED;
        for (const event of events) {
          const next = transition(job, event, RULES);
          if (job.state.kind === 'ended' && next) {
            expect(event.kind).toBe('retry');
            expect(['FAILED', 'TIMED_OUT']).toContain(job.state.status);
          }
          job = next?.job ?? job;
        }
      }),
    );
  });

  it('a job is never retried more often than allowed between two retries of its owner', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        expect(applied(QUEUED, ...events).retries).toBeLessThanOrEqual(RULES.leaseRetries);
      }),
    );
  });

  it('entering and leaving the queue match the state, and each end is announced once', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
        let job = QUEUED;
        let queued = true;
        for (const event of events) {
          const next = transition(job, event, RULES);
          if (!next) continue;
          const endedBefore = job.state.kind === 'ended';
          job = next.job;
          for (const effect of next.effects) {
            if (effect.kind === 'queue') queued = true;
            if (effect.kind === 'leave-queue') queued = false;
          }
          const ends = next.effects.filter((effect) => effect.kind === 'ended').length;
          expect(ends).toBe(job.state.kind === 'ended' && !endedBefore ? 1 : 0);
          expect(queued).toBe(job.state.kind === 'queued');
        }
      }),
    );
  });
});
