// The emulator's HTTP side: one server, one pipeline for every route. Order of a request:
//   route -> key (401) -> endpoint (404) -> rate limit (429) -> body within its limit (400) -> faults before -> handler ->
//   faults after -> answer. A handler that waits is ended by its client going away or by close().
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import FindMyWay from 'find-my-way';
import { acceptsKey, authorizationKind } from './authorization.ts';
import type { Call, Route } from './call.ts';
import type { Clock } from './clock.ts';
import type { Endpoint } from './endpoint.ts';
import type { RequestLog, SeenRequest } from './events.ts';
import { endWithFault, truncateReply, writeReply } from './fault-effects.ts';
import type { EndingFault, FaultPlan, FaultScript } from './fault-script.ts';
import { pause } from './held.ts';
import { PUBLIC_ROUTES } from './public-routes.ts';
import { RateLimiter } from './rate-limits.ts';
import { parseRawObject, type RawObject } from './raw-json.ts';
import { failure, type Reply } from './reply.ts';
import { discardRest, readBody, tooLargeMessage } from './request-body.ts';
import { WORKER_ROUTES } from './worker-routes.ts';

/** What the server needs of the emulator. */
export interface ServerHost {
  readonly clock: Clock;
  readonly faults: FaultScript;
  readonly log: RequestLog;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** Keys per face; null = any key, or none. */
  readonly keys: Readonly<Record<Route['face'], string | null>>;
  /** Bytes of each request body to keep in the log. */
  readonly recordBodies: number;
  onRequestOver(request: SeenRequest, startedAt: number): void;
}

/** Headers of a ping carry up to 64 KiB of job ids in the request line (notes §2.14). */
const MAX_HEADER_BYTES = 128 * 1024;
const KEEP_ALIVE_MS = 75_000;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  readonly seen: SeenRequest;
  readonly abort: AbortController;
}

/** Serves the endpoints of one emulator. */
export class EmulatorServer {
  readonly #host: ServerHost;
  readonly #server: Server;
  readonly #router = FindMyWay({ maxParamLength: 500 });
  readonly #limits = new Map<string, RateLimiter>();
  #closed: Promise<void> | undefined;

  constructor(host: ServerHost) {
    this.#host = host;
    for (const endpoint of host.endpoints.values()) {
      this.#limits.set(endpoint.id, new RateLimiter(host.clock, endpoint.settings.rateLimits));
    }
    for (const route of [...PUBLIC_ROUTES, ...WORKER_ROUTES]) {
      this.#router.on([...route.methods], `/v2/:endpointId${route.path}`, () => undefined, route);
    }
    const options = { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 };
    this.#server = createServer(options, (request, response) => void this.#accept(request, response));
    this.#server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** Starts listening and answers the port. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Ends held requests, closes every connection. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      // Each closed connection aborts what its request is waiting for.
      this.#server.closeAllConnections();
    });
    return this.#closed;
  }

  async #accept(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = this.#host.clock.now();
    const url = new URL(request.url ?? '/', 'http://emulator.invalid');
    const abort = new AbortController();
    const found = this.#router.find(request.method === 'POST' ? 'POST' : 'GET', url.pathname);
    const route: Route | undefined = found?.store;
    const params = found?.params ?? {};
    const seen = this.#note(request, route, params);
    const exchange: Exchange = { request, response, url, seen, abort };
    response.once('close', () => {
      if (!response.writableFinished) abort.abort(new Error('the client went away'));
    });
    try {
      await this.#serve(exchange, route);
    } catch (error) {
      if (!abort.signal.aborted) await this.#crashed(exchange, error);
    } finally {
      this.#host.onRequestOver(seen, startedAt);
    }
  }

  async #serve(exchange: Exchange, route: Route | undefined): Promise<void> {
    const { request, seen } = exchange;
    const methodKnown = request.method === 'GET' || request.method === 'POST';
    if (!route || !methodKnown) return this.#answer(exchange, failure(404, 'no such operation'));
    if (!seen.authorized) return this.#answer(exchange, failure(401, 'unauthorized'));
    const endpoint = this.#host.endpoints.get(seen.endpointId ?? '');
    if (!endpoint) return this.#answer(exchange, failure(404, 'endpoint not found'));

    const admission = this.#limits.get(endpoint.id)?.admit(route.name);
    if (admission?.admitted === false) {
      const seconds = Math.max(1, Math.ceil(admission.retryAfterMs / 1000));
      return this.#answer(exchange, failure(429, 'rate limit exceeded', { 'retry-after': String(seconds) }));
    }
    try {
      await this.#serveAdmitted(exchange, route, endpoint);
    } finally {
      admission?.release();
    }
  }

  async #serveAdmitted(exchange: Exchange, route: Route, endpoint: Endpoint): Promise<void> {
    const { request, response, seen, abort } = exchange;
    const limit = route.bodyLimit(endpoint, seen.jobId ?? '');
    const outcome = await readBody(request, limit);
    if (outcome.kind === 'aborted') return;
    if (outcome.kind === 'too-large') {
      await this.#answer(exchange, failure(400, tooLargeMessage(limit)));
      discardRest(request);
      return;
    }
    const { body } = outcome;
    this.#noteBody(seen, body);
    const call = this.#callOf(exchange, route, endpoint, body);

    const { plan } = call;
    await this.#delay(plan, abort.signal);
    if (plan.ending && plan.ending.kind !== 'truncate' && plan.ending.at === 'before') {
      return this.#fail(exchange, plan.ending, undefined);
    }
    const reply = await route.handle(call);
    if (reply.plan) this.#noteFaults(seen, reply.plan);
    await this.#delay(reply.plan, abort.signal).catch((error: unknown) => {
      reply.onLost?.();
      throw error;
    });
    const ending = reply.plan?.ending ?? plan.ending;
    if (ending) return this.#fail(exchange, ending, reply);
    if (!call.alive()) {
      reply.onLost?.();
      response.destroy();
      return;
    }
    await this.#answer(exchange, reply);
  }

  /** Lets a fault end the request. One that strikes `before` undoes what the route already did for this client. */
  async #fail(exchange: Exchange, fault: EndingFault, reply: Reply | undefined): Promise<void> {
    const { request, response, seen, abort } = exchange;
    if (fault.kind === 'truncate') {
      if (!reply) return;
      seen.status = reply.status;
      await truncateReply(response, reply, fault.bytes);
      return;
    }
    if (fault.at === 'before') reply?.onLost?.();
    if (fault.kind === 'answer') seen.status = fault.status;
    await endWithFault(fault, request, response, abort.signal);
  }

  async #answer({ response, seen }: Exchange, reply: Reply): Promise<void> {
    seen.status = reply.status;
    const written = await writeReply(response, reply);
    if (!written) reply.onLost?.();
  }

  /** A defect of the emulator itself: answered as RunPod answers its own, and told to whoever watches the process. */
  async #crashed(exchange: Exchange, error: unknown): Promise<void> {
    if (!exchange.response.headersSent) await this.#answer(exchange, failure(500, 'internal server error'));
    process.emitWarning(error instanceof Error ? error : String(error), 'RunpodEmulatorWarning');
  }

  async #delay(plan: FaultPlan | undefined, signal: AbortSignal): Promise<void> {
    if (!plan || plan.delayMs === 0) return;
    await pause({ clock: this.#host.clock, ms: plan.delayMs, signal, label: 'fault-delay' });
  }

  #callOf({ request, response, url, seen, abort }: Exchange, route: Route, endpoint: Endpoint, body: Buffer): Call {
    const { clock, faults } = this.#host;
    const { socket } = request;
    let parsed: { readonly object: RawObject | undefined } | undefined;
    const object = (): RawObject | undefined => {
      parsed ??= { object: parseRawObject(body) };
      return parsed.object;
    };
    const { jobId, workerId } = seen;
    const part = route.partOf?.(object());
    const plan = faults.plan({ route: route.name, part, endpointId: endpoint.id, jobId, workerId });
    this.#noteFaults(seen, plan);
    return {
      endpoint,
      settings: endpoint.settings,
      clock,
      jobId: jobId ?? '',
      workerId: workerId ?? '',
      query: url.searchParams,
      path: url.pathname,
      body,
      object,
      socket,
      signal: abort.signal,
      alive: () => !abort.signal.aborted && !socket.destroyed && socket.readable && !response.destroyed,
      faults,
      plan,
    };
  }

  #note(request: IncomingMessage, route: Route | undefined, params: Record<string, string | undefined>): SeenRequest {
    const { authorization, cookie: _, ...headers } = request.headers;
    const key = route ? this.#host.keys[route.face] : null;
    const seen: SeenRequest = {
      at: this.#host.clock.now(),
      route: route?.name ?? 'unknown',
      method: request.method ?? '',
      target: request.url ?? '',
      endpointId: params['endpointId'],
      jobId: params['jobId'],
      workerId: params['workerId'],
      authorization: authorizationKind(authorization),
      authorized: acceptsKey(authorization, key),
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
      bodyBytes: 0,
      bodyReadAt: undefined,
      body: undefined,
      status: undefined,
      faults: [],
    };
    this.#host.log.add(seen);
    return seen;
  }

  #noteBody(seen: SeenRequest, body: Buffer): void {
    seen.bodyBytes = body.length;
    seen.bodyReadAt = this.#host.clock.now();
    if (this.#host.recordBodies > 0) seen.body = body.toString('utf8', 0, this.#host.recordBodies);
  }

  #noteFaults(seen: SeenRequest, plan: FaultPlan): void {
    if (plan.delayMs > 0) seen.faults.push('delay');
    if (plan.deliverTwice) seen.faults.push('deliver-twice');
    if (plan.dropEmptyInput) seen.faults.push('drop-empty-input');
    if (plan.loseLease) seen.faults.push('lose-lease');
    if (plan.ending) seen.faults.push(plan.ending.kind);
  }
}
