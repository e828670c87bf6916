/**
 * Says what the endpoint is doing while a job waits in RunPod's queue: RunPod does not tell a job's position, but how many wait and what the
 * workers do explains most waits. Asks rarely; a question that fails is not repeated loudly, because the wait itself reports real trouble.
 */
import type { HealthView } from '../../shared/index.ts';

/** Pause between two questions, milliseconds. */
const askEveryMs = 10_000;

/** Asks `health` now and then until disposed and hands out one sentence each time. */
export class QueueWatch implements Disposable {
  readonly #stop = new AbortController();
  readonly #health: (signal: AbortSignal) => Promise<HealthView>;
  readonly #show: (text: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #active = false;

  constructor(health: (signal: AbortSignal) => Promise<HealthView>, show: (text: string) => void) {
    this.#health = health;
    this.#show = show;
  }

  /** The job waits: ask at once and then now and then. Idempotent. */
  start(): void {
    if (this.#active || this.#stop.signal.aborted) return;
    this.#active = true;
    void this.#ask();
  }

  /** The job waits no more. */
  pause(): void {
    this.#active = false;
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.pause();
    this.#stop.abort();
  }

  async #ask(): Promise<void> {
    const text = await this.#health(this.#stop.signal).then(queueText, () => undefined);
    if (!this.#active) return;
    if (text !== undefined) this.#show(text);
    this.#timer = setTimeout(() => void this.#ask(), askEveryMs);
  }
}

/** `3 jobs in the queue; workers: 1 running, 2 throttled`. What is zero is left out. */
export function queueText({ jobs, workers }: HealthView): string {
  const named: readonly [number, string][] = [
    [workers.running, 'running'],
    [workers.idle, 'idle'],
    [workers.initializing, 'starting'],
    [workers.throttled, 'throttled'],
    [workers.unhealthy, 'unhealthy'],
  ];
  const present = named.filter(([count]) => count > 0).map(([count, name]) => `${count} ${name}`);
  const queue = jobs.inQueue === 1 ? 'alone in the queue' : `${jobs.inQueue} jobs in the queue`;
  return `${queue}; workers: ${present.length === 0 ? 'none yet' : present.join(', ')}`;
}
