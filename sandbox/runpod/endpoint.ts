// One serverless endpoint: its jobs, queue, workers and stop signals, without any HTTP. Routes call it, the clock drives it.
// Neighbours: job.ts decides what an event does to a job; this file carries the effects out.
import { randomUUID } from 'node:crypto';
import type { Clock, ClockTimer } from './clock.ts';
import { type Delivery, Dispatcher, type TakeRequest } from './dispatcher.ts';
import type { EmulatorEvent } from './events.ts';
import { held } from './held.ts';
import {
  type Job,
  type JobEffect,
  type JobEvent,
  nextDeadline,
  type SubmitRoute,
  statusOf,
  transition,
} from './job.ts';
import { JobQueue } from './job-queue.ts';
import { attemptOf } from './job-view.ts';
import type { EndpointSettings } from './options.ts';
import type { RawJson } from './raw-json.ts';
import { StopSignals } from './stop-signals.ts';
import type { Submission } from './submission.ts';
import { type WorkerCounts, WorkerRegistry } from './worker-registry.ts';

/** A job with what changes around it. `job` is replaced on every transition; `removed` marks a job that is gone. */
export interface JobEntry {
  job: Job;
  removed: boolean;
  chunks: RawJson[];
  timer: ClockTimer | undefined;
  readonly watchers: Set<() => void>;
}

/** What an endpoint needs of the emulator around it. */
export interface EndpointHost {
  readonly clock: Clock;
  emit(event: EmulatorEvent): void;
  /** Called once for each end of a job that has a webhook. */
  sendWebhook(endpoint: Endpoint, job: Job): void;
}

/** The eleven counters of `/health`. */
export interface HealthCounters {
  readonly jobs: {
    readonly completed: number;
    readonly failed: number;
    readonly inProgress: number;
    readonly inQueue: number;
    readonly retried: number;
  };
  readonly workers: WorkerCounts;
}

/** An emulated endpoint. */
export class Endpoint {
  readonly id: string;
  readonly settings: EndpointSettings;
  readonly workers: WorkerRegistry;
  readonly stops: StopSignals;
  readonly dispatcher: Dispatcher;
  readonly #host: EndpointHost;
  readonly #entries = new Map<string, JobEntry>();
  readonly #queue = new JobQueue();
  readonly #totals = { completed: 0, failed: 0, retried: 0 };

  constructor(settings: EndpointSettings, host: EndpointHost) {
    const { clock } = host;
    this.id = settings.id;
    this.settings = settings;
    this.#host = host;
    this.stops = new StopSignals(clock);
    this.workers = new WorkerRegistry(clock, settings, (workerId, change) => {
      host.emit({ type: 'worker', at: clock.now(), endpointId: this.id, workerId, change });
      this.dispatcher.wake();
    });
    this.dispatcher = new Dispatcher(clock, {
      assign: (workerId, count) => this.#assign(workerId, count),
      mayTake: (workerId) => this.workers.get(workerId)?.stopping !== true,
    });
  }

  /** Jobs waiting for a worker. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Accepts a job. `wait` is the caller's `?wait=` of /runsync in ms; it lengthens the retention (notes §1.7). */
  submit(route: SubmitRoute, submission: Submission, wait = 0): JobEntry {
    const { settings } = this;
    const now = this.#host.clock.now();
    const sync = Math.min(Math.max(settings.retentionRunsyncMs, wait), settings.retentionRunsyncMaxMs);
    const { executionTimeoutMs, ttlMs, ...rest } = submission;
    const job: Job = {
      ...rest,
      id: `${route === 'runsync' ? 'sync-' : ''}${randomUUID()}-${settings.region}`,
      route,
      submittedAt: now,
      expiresAt: now + ttlMs,
      executionTimeoutMs,
      retentionMs: route === 'runsync' ? sync : settings.retentionRunMs,
      retries: 0,
      attempts: 0,
      state: { kind: 'queued', lastAttempt: undefined },
    };
    const entry: JobEntry = { job, removed: false, chunks: [], timer: undefined, watchers: new Set() };
    this.#entries.set(job.id, entry);
    this.#emitJob(entry, undefined);
    this.#queue.push(job);
    this.#arm(entry);
    this.dispatcher.wake();
    return entry;
  }

  find(jobId: string): JobEntry | undefined {
    return this.#entries.get(jobId);
  }

  /** Every job, newest first. */
  list(): readonly JobEntry[] {
    return [...this.#entries.values()].reverse();
  }

  /** Applies an event; answers whether it had any effect in the job's state. */
  apply(entry: JobEntry, event: JobEvent): boolean {
    if (entry.removed) return false;
    const next = transition(entry.job, event, this.settings);
    if (!next) return false;
    const before = entry.job;
    entry.job = next.job;
    for (const effect of next.effects) this.#carryOut(entry, effect);
    if (statusOf(before) !== statusOf(entry.job) || entry.removed) this.#emitJob(entry, before);
    this.#arm(entry);
    this.#notify(entry);
    return true;
  }

  /** A ping of a worker: renews the leases of the jobs it names. */
  renew(workerId: string, jobIds: readonly string[]): void {
    const at = this.#host.clock.now();
    for (const id of jobIds) {
      const entry = this.#entries.get(id);
      if (entry) this.apply(entry, { kind: 'renew', workerId, at });
    }
  }

  addChunk(entry: JobEntry, chunk: RawJson): void {
    entry.chunks.push(chunk);
    this.#notify(entry);
  }

  /** Takes every chunk that nobody has read yet. */
  drainChunks(entry: JobEntry): readonly RawJson[] {
    const { chunks } = entry;
    entry.chunks = [];
    return chunks;
  }

  /** Puts chunks back whose reader went away before they could be written. */
  restoreChunks(entry: JobEntry, chunks: readonly RawJson[]): void {
    entry.chunks = [...chunks, ...entry.chunks];
    this.#notify(entry);
  }

  /** Waits until `done(entry)` holds or the job is removed, at most `ms`. */
  async waitFor(entry: JobEntry, ms: number, signal: AbortSignal, done: (entry: JobEntry) => boolean): Promise<void> {
    if (entry.removed || done(entry)) return;
    await held<true>({ clock: this.#host.clock, ms, signal, label: 'job-change' }, (resolve) => {
      const watch = (): void => {
        if (entry.removed || done(entry)) resolve(true);
      };
      entry.watchers.add(watch);
      return () => void entry.watchers.delete(watch);
    });
  }

  /** Waits for jobs for a worker; see {@link Dispatcher.take}. */
  take(request: TakeRequest): Promise<readonly Delivery[] | undefined> {
    return this.dispatcher.take(request);
  }

  /** Returns jobs to the front of the queue whose delivery never reached the worker (no retry is counted). */
  giveBack(deliveries: readonly Delivery[]): void {
    for (const { jobId, attempt } of [...deliveries].reverse()) {
      const entry = this.#entries.get(jobId);
      if (entry && attempt !== undefined) this.apply(entry, { kind: 'give-back', attempt });
    }
  }

  /** Cancels every queued job and answers how many there were. */
  purge(): number {
    const ids = this.#queue.ids();
    const at = this.#host.clock.now();
    for (const id of ids) {
      const entry = this.#entries.get(id);
      if (entry) this.apply(entry, { kind: 'purge', at });
    }
    return ids.length;
  }

  health(): HealthCounters {
    const running = this.#running();
    return {
      jobs: {
        completed: this.#totals.completed,
        failed: this.#totals.failed,
        inProgress: running.length,
        inQueue: this.#queue.size,
        retried: this.#totals.retried,
      },
      workers: this.workers.counts((workerId) => running.some((job) => attemptOf(job)?.workerId === workerId)),
    };
  }

  /** Ids of the jobs a worker holds. */
  jobsOf(workerId: string): readonly string[] {
    return this.#running()
      .filter((job) => attemptOf(job)?.workerId === workerId)
      .map((job) => job.id);
  }

  close(): void {
    this.dispatcher.close();
    this.stops.close();
    for (const entry of this.#entries.values()) entry.timer?.cancel();
  }

  #running(): readonly Job[] {
    return [...this.#entries.values()].map((entry) => entry.job).filter((job) => job.state.kind === 'running');
  }

  #assign(workerId: string, count: number): readonly Delivery[] {
    const at = this.#host.clock.now();
    return this.#queue.peek(count).flatMap((jobId): Delivery[] => {
      const entry = this.#entries.get(jobId);
      if (!entry || !this.apply(entry, { kind: 'take', workerId, at })) return [];
      // A stop signal of an earlier attempt must not end this one.
      this.stops.forget(jobId);
      return [{ jobId, attempt: entry.job.attempts }];
    });
  }

  #carryOut(entry: JobEntry, effect: JobEffect): void {
    const { job } = entry;
    switch (effect.kind) {
      case 'queue':
        if (effect.where === 'front') this.#queue.unshift(job);
        else this.#queue.push(job);
        this.dispatcher.wake();
        return;
      case 'leave-queue':
        this.#queue.remove(job);
        return;
      case 'stop-worker':
        this.stops.push(effect.workerId, job.id);
        return;
      case 'drop-chunks':
        entry.chunks = [];
        return;
      case 'lost':
        this.#totals.retried += 1;
        return;
      case 'ended':
        this.#countEnd(job);
        if (job.webhook !== undefined) this.#host.sendWebhook(this, job);
        return;
      case 'remove':
        entry.removed = true;
        this.#entries.delete(job.id);
        return;
    }
  }

  #countEnd(job: Job): void {
    const status = statusOf(job);
    if (status === 'COMPLETED') this.#totals.completed += 1;
    if (status === 'FAILED' || status === 'TIMED_OUT') this.#totals.failed += 1;
  }

  /** One timer per job, for its next deadline; a timer that fires early (longer than the machine can wait) arms itself again. */
  #arm(entry: JobEntry): void {
    entry.timer?.cancel();
    entry.timer = undefined;
    if (entry.removed) return;
    const { clock } = this.#host;
    const { at } = nextDeadline(entry.job, this.settings);
    entry.timer = clock.setTimeout(() => this.#onDeadline(entry), at - clock.now(), 'job-deadline');
  }

  #onDeadline(entry: JobEntry): void {
    const now = this.#host.clock.now();
    const { at, event } = nextDeadline(entry.job, this.settings);
    if (now < at) this.#arm(entry);
    else this.apply(entry, event(at));
  }

  #notify(entry: JobEntry): void {
    for (const watch of [...entry.watchers]) watch();
  }

  #emitJob(entry: JobEntry, before: Job | undefined): void {
    this.#host.emit({
      type: 'job',
      at: this.#host.clock.now(),
      endpointId: this.id,
      jobId: entry.job.id,
      from: before && statusOf(before),
      to: entry.removed ? undefined : statusOf(entry.job),
      workerId: attemptOf(entry.job)?.workerId,
    });
  }
}
