// Brings queued jobs and waiting takes together (RunPod protocol notes §2.23.1-3). Like stop-signals.ts it hands out in an
// immediate: by then a client that disconnected in the same turn is known to be gone.
import type { Clock } from './clock.ts';
import { held } from './held.ts';

/** One job-take or job-take-batch request. */
export interface TakeRequest {
  readonly workerId: string;
  /** Jobs wanted: 1 for job-take, `batch_size` for job-take-batch. */
  readonly size: number;
  readonly holdMs: number;
  readonly signal: AbortSignal;
  /** Whether the answer can still be written. */
  readonly alive: () => boolean;
}

/** A job handed to a take. `attempt` is undefined for a duplicate, which changes nothing about the job. */
export interface Delivery {
  readonly jobId: string;
  readonly attempt: number | undefined;
}

/** What the dispatcher needs of its endpoint. */
export interface DispatchSource {
  /** Starts up to `count` queued jobs for a worker. */
  assign(workerId: string, count: number): readonly Delivery[];
  /** Whether a worker may have jobs at all. */
  mayTake(workerId: string): boolean;
}

interface Waiting {
  readonly request: TakeRequest;
  readonly resolve: (deliveries: readonly Delivery[]) => void;
}

/** Held takes, served first come, first served. */
export class Dispatcher {
  readonly #clock: Clock;
  readonly #source: DispatchSource;
  readonly #waiting = new Set<Waiting>();
  #duplicates: string[] = [];
  #immediate: NodeJS.Immediate | undefined;

  constructor(clock: Clock, source: DispatchSource) {
    this.#clock = clock;
    this.#source = source;
  }

  /** Waits for jobs; `undefined` when the hold passes without one. */
  take(request: TakeRequest): Promise<readonly Delivery[] | undefined> {
    const { holdMs, signal } = request;
    return held<readonly Delivery[]>({ clock: this.#clock, ms: holdMs, signal, label: 'job-take' }, (resolve) => {
      const waiting: Waiting = { request, resolve };
      this.#waiting.add(waiting);
      this.wake();
      return () => void this.#waiting.delete(waiting);
    });
  }

  /** Hands the same job to one more take (the `deliver-twice` fault). */
  duplicate(jobId: string): void {
    this.#duplicates.push(jobId);
    this.wake();
  }

  /** Looks for matches soon; call it whenever jobs or workers change. */
  wake(): void {
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      for (const waiting of [...this.#waiting]) this.#serve(waiting);
    });
  }

  /** Takes held by a worker right now. */
  held(workerId: string): number {
    return [...this.#waiting].filter(({ request }) => request.workerId === workerId).length;
  }

  close(): void {
    clearImmediate(this.#immediate);
  }

  #serve({ request, resolve }: Waiting): void {
    if (!request.alive() || !this.#source.mayTake(request.workerId)) return;
    const copies = this.#duplicates.slice(0, request.size).map((jobId): Delivery => ({ jobId, attempt: undefined }));
    this.#duplicates = this.#duplicates.slice(copies.length);
    const deliveries = [...copies, ...this.#source.assign(request.workerId, request.size - copies.length)];
    if (deliveries.length > 0) resolve(deliveries);
  }
}
