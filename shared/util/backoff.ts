/** Pauses between attempts: exponential, bounded, jittered. Pure. */

export interface BackoffOptions {
  /** First pause, milliseconds. */
  readonly baseMs: number;
  /** Longest pause, milliseconds. */
  readonly maxMs: number;
  readonly factor?: number;
  /** 0: exact; 1: anywhere from 0 to the pause. Default 0.5. */
  readonly jitter?: number;
  /** Source of chance, for tests. */
  readonly random?: () => number;
}

/** Pause before attempt `attempt + 1`, where the first failed attempt is 0. */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const { baseMs, maxMs, factor = 2, jitter = 0.5, random = Math.random } = options;
  const full = Math.min(maxMs, baseMs * factor ** attempt);
  return Math.round(full * (1 - jitter * random()));
}

/** Milliseconds of a Retry-After header (seconds or an HTTP date), bounded by `maxMs`; undefined when absent or unreadable. */
export function retryAfterMs(
  header: string | null | undefined,
  maxMs: number,
  now: () => number = Date.now,
): number | undefined {
  if (header === null || header === undefined || header.trim() === '') return undefined;
  const value = header.trim();
  const ms = /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now();
  return Number.isNaN(ms) ? undefined : Math.min(maxMs, Math.max(0, ms));
}
