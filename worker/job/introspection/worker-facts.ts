import type { Pong } from '../../../shared/index.ts';
import type { BootFacts } from '../../types.ts';

/** What is known about the worker itself, for introspection jobs. */
export interface WorkerFacts {
  readonly workerId: string;
  /** From `performance.now()`. */
  readonly startedAt: number;
  /** Name of the container image. */
  readonly image?: string;
  /** How it started. */
  readonly boot?: BootFacts;
  /** Folders whose space is told, by what they are for. */
  readonly folders: Readonly<Record<string, string>>;
}

/** What answers say of the start. */
export function bootAnswer({ boot }: WorkerFacts): Pick<Pong, 'boot' | 'missingModels'> {
  if (!boot) return {};
  const missing = boot.missingModels();
  return { boot: boot.report(), ...(missing.length > 0 && { missingModels: [...missing] }) };
}
