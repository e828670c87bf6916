// The workers of one endpoint as the platform sees them. A worker registers with its first ping or take; its registration
// ends when it falls silent, or, after `stopPod`, when the last of its connections closes (the process is gone).
import type { Clock } from './clock.ts';
import type { EndpointSettings } from './options.ts';

/** A connection a worker talks over; a net.Socket, or anything that says when it closes. */
export interface WorkerConnection {
  readonly destroyed: boolean;
  once(event: 'close', listener: () => void): unknown;
}

/** One registered worker. */
export interface WorkerRecord {
  readonly id: string;
  readonly registeredAt: number;
  lastSeenAt: number;
  /** A worker that has asked for a job at least once is past its initialisation. */
  hasTaken: boolean;
  /** After `stopPod`: no further job under this registration (RunPod protocol notes §2.16). */
  stopping: boolean;
  unhealthy: { readonly check: string; readonly reason: string } | undefined;
  readonly connections: Set<WorkerConnection>;
}

/** Counters of `/health.workers` (RunPod protocol notes §1.10). */
export interface WorkerCounts {
  readonly idle: number;
  readonly initializing: number;
  readonly ready: number;
  readonly running: number;
  readonly throttled: number;
  readonly unhealthy: number;
}

type WorkerChange = 'registered' | 'stopping' | 'unhealthy' | 'gone';

/** Registered workers by id. */
export class WorkerRegistry {
  readonly #workers = new Map<string, WorkerRecord>();
  readonly #clock: Clock;
  readonly #settings: EndpointSettings;
  readonly #onChange: (workerId: string, change: WorkerChange) => void;

  constructor(clock: Clock, settings: EndpointSettings, onChange: (workerId: string, change: WorkerChange) => void) {
    this.#clock = clock;
    this.#settings = settings;
    this.#onChange = onChange;
  }

  /** Notes a request of a worker, registering it when it is new. */
  touch(id: string, connection: WorkerConnection): WorkerRecord {
    this.#sweep();
    const now = this.#clock.now();
    let worker = this.#workers.get(id);
    if (!worker) {
      worker = {
        id,
        registeredAt: now,
        lastSeenAt: now,
        hasTaken: false,
        stopping: false,
        unhealthy: undefined,
        connections: new Set(),
      };
      this.#workers.set(id, worker);
      this.#onChange(id, 'registered');
    }
    worker.lastSeenAt = now;
    this.#track(worker, connection);
    return worker;
  }

  get(id: string): WorkerRecord | undefined {
    return this.#workers.get(id);
  }

  list(): readonly WorkerRecord[] {
    this.#sweep();
    return [...this.#workers.values()];
  }

  /** The worker asked for a job: it is up and, whatever it said before, healthy. */
  noteTake(worker: WorkerRecord): void {
    worker.hasTaken = true;
    worker.unhealthy = undefined;
  }

  markStopping(id: string): void {
    const worker = this.#workers.get(id);
    if (!worker || worker.stopping) return;
    worker.stopping = true;
    this.#onChange(id, 'stopping');
  }

  markUnhealthy(worker: WorkerRecord, check: string, reason: string): void {
    worker.unhealthy = { check, reason };
    this.#onChange(worker.id, 'unhealthy');
  }

  /** Ends a registration, as a platform does that resets the pod. The worker's next request registers it anew. */
  release(id: string): void {
    if (this.#workers.delete(id)) this.#onChange(id, 'gone');
  }

  /** Counts the workers; `isRunning` says which of them hold a job. */
  counts(isRunning: (workerId: string) => boolean): WorkerCounts {
    this.#sweep();
    const now = this.#clock.now();
    let [idle, initializing, running, unhealthy] = [0, 0, 0, 0];
    for (const worker of this.#workers.values()) {
      const stuck = !worker.hasTaken && now - worker.registeredAt > this.#settings.workerInitTimeoutMs;
      if (worker.unhealthy || stuck) unhealthy += 1;
      else if (isRunning(worker.id)) running += 1;
      else if (!worker.hasTaken) initializing += 1;
      else if (!worker.stopping) idle += 1;
    }
    // In every observed sample ready equals idle (notes §1.10).
    return { idle, initializing, ready: idle, running, throttled: this.#settings.throttledWorkers, unhealthy };
  }

  #track(worker: WorkerRecord, connection: WorkerConnection): void {
    if (worker.connections.has(connection) || connection.destroyed) return;
    worker.connections.add(connection);
    connection.once('close', () => {
      worker.connections.delete(connection);
      const current = this.#workers.get(worker.id) === worker;
      if (current && worker.stopping && worker.connections.size === 0) this.release(worker.id);
    });
  }

  /** Forgets workers that fell silent. An unhealthy one stays visible: the platform goes on retrying it for days. */
  #sweep(): void {
    const now = this.#clock.now();
    for (const worker of this.#workers.values()) {
      const silent = worker.connections.size === 0 && now - worker.lastSeenAt > this.#settings.workerGoneMs;
      if (silent && !worker.unhealthy) this.release(worker.id);
    }
  }
}
