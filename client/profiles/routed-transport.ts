/**
 * Several endpoints as one {@link Transport}: a job goes to the best of them, to the next one when that refuses, and to another when it waits in
 * a queue that nobody works on. A job never runs twice: it is only sent again when the first endpoint provably did not take it, or has
 * confirmed that it was cancelled before a worker began. An uncertain submit stays an error.
 */
import {
  ComfyRunpodError,
  delay,
  type HealthView,
  isComfyRunpodError,
  isTerminalStatus,
  type JobView,
} from '../../shared/index.ts';
import { abortableIterable } from '../transport/abortable-iterable.ts';
import type { FollowOptions, PurgeResult, Submission, SubmitOptions, Transport } from '../transport/transport.ts';
import { type Candidate, isEmptyOfWorkers, type JobNeeds, rankEndpoints } from './rank-endpoints.ts';

/** One endpoint behind the route. */
export interface RouteMember extends Omit<Candidate, 'health' | 'pastMs'> {
  readonly transport: Transport;
  /** How long such a job took there before, milliseconds, when that is known. */
  readonly pastMs?: (submission: Submission) => number | undefined;
}

/** Options of {@link createRoutedTransport}. */
export interface RoutedTransportOptions {
  /** At least one; the route owns their transports. */
  readonly members: readonly RouteMember[];
  /** What a job needs. Default: nothing. */
  readonly needs?: (submission: Submission) => JobNeeds;
  /** A job that has waited this long in a queue without any worker is moved. Milliseconds, default 60 000. */
  readonly moveAfterMs?: number;
  /** Pause between two looks at the workers of a waiting job. Milliseconds, default 10 000. */
  readonly lookEveryMs?: number;
  /** The one member that may have the job, by its name: it was sent there before, and another would render it a second time. */
  readonly only?: (submission: Submission) => string | undefined;
  /** Told before a job is sent to a member. */
  readonly onTrying?: (submission: Submission, name: string) => void;
  /** Told where a job was sent, and where it was moved to with the id that it had before. */
  readonly onRouted?: (route: { readonly id: string; readonly name: string; readonly before?: string }) => void;
}

/** Milliseconds that an endpoint has to tell its counters before a job is routed without them. */
const healthPatienceMs = 5_000;

/** Codes after which the job is provably not queued and another endpoint may take it. */
const refusals: ReadonlySet<string> = new Set([
  'UNAUTHORIZED',
  'ENDPOINT_NOT_FOUND',
  'RATE_LIMITED',
  'PLATFORM_ERROR',
  'NETWORK_UNREACHABLE',
]);

interface Route {
  member: RouteMember;
  /** Id at that member. */
  id: string;
  /** Kept while the job may still have to be sent elsewhere. */
  waiting?: { readonly submission: Submission; readonly options: SubmitOptions; readonly tried: Set<RouteMember> };
  /** Settles when a move that is under way has ended. */
  moving?: Promise<unknown>;
}

/** Creates the route. Throws `CONFIG_MISSING` without members. */
export function createRoutedTransport(options: RoutedTransportOptions): Transport {
  return new RoutedTransport(options);
}

class RoutedTransport implements Transport {
  readonly #options: RoutedTransportOptions;
  /** By every id that the job ever had. */
  readonly #routes = new Map<string, Route>();

  constructor(options: RoutedTransportOptions) {
    if (options.members.length === 0) throw new ComfyRunpodError('CONFIG_MISSING', 'There is no endpoint to send to.');
    this.#options = options;
  }

  async submit(submission: Submission, options: SubmitOptions = {}): Promise<JobView> {
    const tried = new Set<RouteMember>();
    const { member, view } = await this.#send(submission, options, tried);
    if (!isTerminalStatus(view.status)) {
      const mayMove = this.#options.only?.(submission) === undefined;
      this.#routes.set(view.id, { member, id: view.id, ...(mayMove && { waiting: { submission, options, tried } }) });
    }
    this.#options.onRouted?.({ id: view.id, name: member.name });
    return view;
  }

  /** Sends to the best member that was not tried; refusals go on to the next one. */
  async #send(submission: Submission, options: SubmitOptions, tried: Set<RouteMember>) {
    const only = this.#options.only?.(submission);
    const members = this.#options.members.filter(
      (member) => !tried.has(member) && (only === undefined || member.name === only),
    );
    const needs = this.#options.needs?.(submission) ?? {};
    const candidates = await Promise.all(members.map((member) => this.#look(member, submission, options.signal)));
    const { order, refused } = rankEndpoints(candidates, needs);
    const against = [...refused].map(([index, message]) => ({ field: candidates[index]?.name ?? '', message }));
    let last: ComfyRunpodError | undefined;
    for (const index of order) {
      const member = members[index];
      if (member === undefined) continue;
      tried.add(member);
      this.#options.onTrying?.(submission, member.name);
      try {
        return { member, view: await member.transport.submit(submission, options) };
      } catch (error) {
        if (options.signal?.aborted || !isComfyRunpodError(error) || !refusals.has(error.code)) throw error;
        against.push({ field: member.name, message: `it refused: ${error.code}` });
        last = error;
      }
    }
    throw this.#nobody(against, last);
  }

  #nobody(issues: { field: string; message: string }[], last: ComfyRunpodError | undefined): ComfyRunpodError {
    const listed = issues.map(({ field, message }) => `${field}: ${message}`).join('; ');
    return new ComfyRunpodError(last?.code ?? 'CONFIG_INVALID', `No endpoint can take the job (${listed}).`, {
      issues,
      ...(last && { cause: last, nextStep: last.nextStep }),
      ...(!last && { nextStep: 'Name another profile with --profile, or change what the job needs.' }),
    });
  }

  async #look(member: RouteMember, submission: Submission, signal: AbortSignal | undefined): Promise<Candidate> {
    const { transport, pastMs, ...known } = member;
    const timeout = AbortSignal.timeout(healthPatienceMs);
    const health = await transport
      .health(signal ? AbortSignal.any([signal, timeout]) : timeout)
      .catch((error: unknown) => {
        signal?.throwIfAborted();
        if (isComfyRunpodError(error)) return error;
        return new ComfyRunpodError('NETWORK_TIMEOUT', `${member.name} did not tell its counters in time.`);
      });
    return { ...known, health, pastMs: pastMs?.(submission) };
  }

  follow(id: string, options: FollowOptions = {}): AsyncIterable<JobView> {
    return abortableIterable((signal) => this.#follow(id, { ...options, signal }), options.signal);
  }

  async *#follow(id: string, options: FollowOptions & { signal: AbortSignal }): AsyncGenerator<JobView, void, void> {
    const route = this.#routes.get(id) ?? (await this.#find(id, options.signal));
    for (;;) {
      const before = route.id;
      using watch = new QueuedTooLong(route, this.#options, options.signal);
      try {
        for await (const view of route.member.transport.follow(route.id, { ...options, signal: watch.signal })) {
          if (view.status !== 'IN_QUEUE') {
            watch.stop();
            delete route.waiting;
          }
          yield view;
          if (isTerminalStatus(view.status)) {
            this.#forget(route);
            return;
          }
        }
      } catch (error) {
        if (options.signal.aborted || !watch.signal.aborted) throw error;
      }
      options.signal.throwIfAborted();
      const moving = this.#move(route, options.signal);
      // Whoever reads the stream waits for the same move; its failure is thrown here.
      route.moving = moving.catch(() => undefined);
      const ended = await moving;
      if (ended !== undefined) {
        yield ended;
        return;
      }
      if (route.id !== before) this.#options.onRouted?.({ id: route.id, name: route.member.name, before });
    }
  }

  /** Takes the job out of a queue that nobody works on and sends it elsewhere. Answers with a view when the job has ended instead. */
  async #move(route: Route, signal: AbortSignal): Promise<JobView | undefined> {
    const { waiting } = route;
    delete route.waiting;
    if (waiting === undefined || waiting.tried.size === this.#options.members.length) return undefined;
    const { transport } = route.member;
    const view = await transport
      .cancel(route.id, signal)
      .then(() => transport.status(route.id, signal))
      .catch(() => undefined);
    signal.throwIfAborted();
    // Whether it was cancelled is not known: the wait goes on and will tell.
    if (view === undefined) return undefined;
    // A worker was faster: the job goes on where it is, or has ended there. Sending it elsewhere would run it twice.
    if (view.status !== 'CANCELLED' || view.workerId !== undefined)
      return isTerminalStatus(view.status) ? view : undefined;
    const { member, view: sent } = await this.#send(waiting.submission, { ...waiting.options, signal }, waiting.tried);
    route.member = member;
    route.id = sent.id;
    route.waiting = waiting;
    this.#routes.set(sent.id, route);
    return undefined;
  }

  async *#stream(
    id: string,
    signal: AbortSignal,
    leaving: AbortSignal | undefined,
  ): AsyncGenerator<unknown, void, void> {
    const route = this.#routes.get(id) ?? (await this.#find(id, signal));
    for (let read: string | undefined; read !== route.id && !leaving?.aborted; ) {
      read = route.id;
      yield* route.member.transport.stream(route.id, signal, leaving);
      await route.moving;
    }
  }

  stream(id: string, signal?: AbortSignal, leaving?: AbortSignal): AsyncIterable<unknown> {
    return abortableIterable((linked) => this.#stream(id, linked, leaving), signal);
  }

  async status(id: string, signal?: AbortSignal): Promise<JobView> {
    const route = this.#routes.get(id) ?? (await this.#find(id, signal));
    return route.member.transport.status(route.id, signal);
  }

  async cancel(id: string, signal?: AbortSignal): Promise<JobView> {
    const route = this.#routes.get(id) ?? (await this.#find(id, signal));
    delete route.waiting;
    return route.member.transport.cancel(route.id, signal);
  }

  /** A job that was submitted elsewhere: the member that knows it. Throws `JOB_NOT_FOUND` when none does. */
  async #find(id: string, signal: AbortSignal | undefined): Promise<Route> {
    const { members } = this.#options;
    let unknown: unknown;
    for (const member of members) {
      if (members.length === 1) return { member, id };
      try {
        await member.transport.status(id, signal);
        return { member, id };
      } catch (error) {
        if (!isComfyRunpodError(error) || error.code !== 'JOB_NOT_FOUND') throw error;
        unknown = error;
      }
    }
    throw unknown;
  }

  #forget(route: Route): void {
    for (const [id, known] of this.#routes) if (known === route) this.#routes.delete(id);
  }

  /** The sum of all counters. */
  async health(signal?: AbortSignal): Promise<HealthView> {
    const views = await Promise.all(this.#options.members.map(({ transport }) => transport.health(signal)));
    return views.reduce((sum, view) => ({
      jobs: added(sum.jobs, view.jobs),
      workers: added(sum.workers, view.workers),
    }));
  }

  async purgeQueue(signal?: AbortSignal): Promise<PurgeResult> {
    const results = await Promise.all(this.#options.members.map(({ transport }) => transport.purgeQueue(signal)));
    return { removed: results.reduce((sum, { removed }) => sum + removed, 0) };
  }

  bodyLimit(route: 'run' | 'runsync'): number {
    return Math.min(...this.#options.members.map(({ transport }) => transport.bodyLimit(route)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#options.members.map(({ transport }) => transport.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function added<T extends Readonly<Record<string, number>>>(a: T, b: T): T {
  return Object.fromEntries(Object.entries(a).map(([key, value]) => [key, value + (b[key] ?? 0)])) as T;
}

/** Aborts its signal when a job waits in a queue without workers and there is another place for it. */
class QueuedTooLong implements Disposable {
  readonly #done = new AbortController();
  readonly #moved = new AbortController();
  readonly signal: AbortSignal;

  constructor(route: Route, options: RoutedTransportOptions, signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#moved.signal]);
    const elsewhere = (route.waiting?.tried.size ?? Number.POSITIVE_INFINITY) < options.members.length;
    if (elsewhere)
      this.#watch(route.member, options, AbortSignal.any([signal, this.#done.signal])).catch(() => undefined);
  }

  async #watch(member: RouteMember, options: RoutedTransportOptions, signal: AbortSignal): Promise<void> {
    const { moveAfterMs = 60_000, lookEveryMs = 10_000 } = options;
    let emptySince: number | undefined;
    for (;;) {
      await delay(lookEveryMs, signal);
      // An endpoint that does not answer is no reason: the wait itself bears with outages.
      const health = await member.transport.health(signal).catch(() => undefined);
      if (health === undefined || !isEmptyOfWorkers(health)) emptySince = undefined;
      else emptySince ??= performance.now() - lookEveryMs;
      if (emptySince !== undefined && performance.now() - emptySince >= moveAfterMs) break;
    }
    this.#moved.abort(new DOMException('The job is moved to another endpoint.', 'AbortError'));
  }

  stop(): void {
    this.#done.abort();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
