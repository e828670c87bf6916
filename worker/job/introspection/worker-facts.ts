/** What is known about the worker itself, for introspection jobs. */
export interface WorkerFacts {
  readonly workerId: string;
  /** From `performance.now()`. */
  readonly startedAt: number;
  /** Name of the container image. */
  readonly image?: string;
  /** Folders whose space is told, by what they are for. */
  readonly folders: Readonly<Record<string, string>>;
}
