// RunPod's published limits per endpoint and operation (RunPod protocol notes §1.12): requests in any ten seconds, and
// requests at the same time. The platform's second factor (running workers times requests per worker) is not published.
import type { Clock } from './clock.ts';
import {
  type EndpointSettings,
  PUBLISHED_RATE_LIMITS,
  RATE_LIMITED_OPERATIONS,
  type RateLimit,
  type RateLimitedOperation,
} from './options.ts';

const WINDOW_MS = 10_000;

/** Leave to go on, with how to say that the request is over; or how long to stay away. */
export type Admission =
  | { readonly admitted: true; readonly release: () => void }
  | { readonly admitted: false; readonly retryAfterMs: number };

/** The limits of one endpoint. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #setting: EndpointSettings['rateLimits'];
  readonly #recent = new Map<string, number[]>();
  readonly #active = new Map<string, number>();

  constructor(clock: Clock, setting: EndpointSettings['rateLimits']) {
    this.#clock = clock;
    this.#setting = setting;
  }

  /** Counts a request of this route in, or refuses it. */
  admit(route: string): Admission {
    const limit = this.#limitOf(route);
    if (!limit) return { admitted: true, release: () => undefined };
    const now = this.#clock.now();
    const recent = (this.#recent.get(route) ?? []).filter((at) => now - at < WINDOW_MS);
    this.#recent.set(route, recent);
    const oldest = recent[0];
    if (oldest !== undefined && recent.length >= limit.perTenSeconds) {
      return { admitted: false, retryAfterMs: oldest + WINDOW_MS - now };
    }
    const active = this.#active.get(route) ?? 0;
    if (limit.concurrent !== null && active >= limit.concurrent) return { admitted: false, retryAfterMs: 1000 };
    recent.push(now);
    this.#active.set(route, active + 1);
    return { admitted: true, release: () => this.#active.set(route, (this.#active.get(route) ?? 1) - 1) };
  }

  #limitOf(route: string): RateLimit | undefined {
    if (this.#setting === false || !isLimited(route)) return undefined;
    return this.#setting === true ? PUBLISHED_RATE_LIMITS[route] : this.#setting[route];
  }
}

function isLimited(route: string): route is RateLimitedOperation {
  return RATE_LIMITED_OPERATIONS.some((operation) => operation === route);
}
