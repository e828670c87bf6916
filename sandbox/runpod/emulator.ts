// Puts the emulator together: endpoints, HTTP, webhooks, faults, and a window to look inside. See docs/sandbox-runpod.md.
import { type Clock, systemClock } from './clock.ts';
import { Endpoint, type HealthCounters, type JobEntry } from './endpoint.ts';
import { clientEnvironment, type WorkerIdentity, workerEnvironment } from './environment.ts';
import { type EmulatorEvent, RequestLog, type SeenRequest } from './events.ts';
import { createFaultScript, type FaultRuleWithMatch, type FaultScript } from './fault-script.ts';
import { EmulatorServer } from './http-server.ts';
import { type JobStatus, type SubmitRoute, statusOf } from './job.ts';
import { attemptOf, delayTime, executionTime } from './job-view.ts';
import { DEFAULT_API_KEY, DEFAULT_ENDPOINT_ID, type EndpointOptions, endpointSettingsSchema } from './options.ts';
import { WebhookSender } from './webhook-sender.ts';

/** How to start an emulator; every field is optional. */
export interface RunpodEmulatorOptions {
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** Port to listen on; 0 (the default) picks a free one. */
  readonly port?: number;
  /** Endpoints to offer. Default: one, `ep1`, with the defaults of options.ts. */
  readonly endpoints?: readonly EndpointOptions[];
  /** Key of the public routes. Default `sandbox`; null accepts any and none. */
  readonly apiKey?: string | null;
  /** Key of the worker routes. Default: the API key. */
  readonly workerKey?: string | null;
  readonly clock?: Clock;
  /** A script, or rules to begin one with. */
  readonly faults?: FaultScript | readonly FaultRuleWithMatch[];
  /** Closes the emulator when it aborts. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: EmulatorEvent) => void;
  /** Keep this many bytes of each request body in the request log. Default 0. */
  readonly recordBodies?: number;
}

/** A job as tests and tools look at it. */
export interface JobSnapshot {
  readonly id: string;
  readonly endpointId: string;
  readonly route: SubmitRoute;
  readonly status: JobStatus;
  readonly workerId: string | undefined;
  /** Re-dispatches after a lost lease. */
  readonly retries: number;
  /** Hand-outs to workers, given-back ones included. */
  readonly attempts: number;
  readonly submittedAt: number;
  readonly delayTime: number | undefined;
  readonly executionTime: number | undefined;
  readonly error: string | undefined;
  /** Chunks that nobody has read from /stream yet. */
  readonly unreadChunks: number;
  /** Parses the output, or the latest progress; undefined when there is none. */
  readonly output: () => unknown;
}

/** A registered worker. */
export interface WorkerSnapshot {
  readonly id: string;
  readonly endpointId: string;
  readonly lastSeenAt: number;
  readonly stopping: boolean;
  readonly unhealthy: { readonly check: string; readonly reason: string } | undefined;
  readonly jobIds: readonly string[];
  /** job-take requests held for it right now. */
  readonly heldTakes: number;
}

/** A look inside; `endpointId` may be left out where an emulator has one endpoint only, or for all of them. */
export interface EmulatorInspector {
  /** Newest first. */
  jobs(endpointId?: string): readonly JobSnapshot[];
  job(jobId: string): JobSnapshot | undefined;
  workers(endpointId?: string): readonly WorkerSnapshot[];
  /** The counters of `/health`; default: of the first endpoint. */
  counters(endpointId?: string): HealthCounters;
  /** Requests so far, oldest first: all of them or those of one route. */
  requestsSeen(route?: SeenRequest['route']): readonly SeenRequest[];
}

/** A running emulator. */
export interface RunpodEmulator extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** `url` + `/v2`: what a client takes for `https://api.runpod.ai/v2`. */
  readonly baseUrl: string;
  readonly endpointIds: readonly string[];
  endpointUrl(endpointId: string): string;
  workerEnvironment(worker: WorkerIdentity): Record<string, string>;
  clientEnvironment(client: { readonly endpointId: string }): Record<string, string>;
  readonly faults: FaultScript;
  readonly inspect: EmulatorInspector;
  readonly clock: Clock;
  /** Ends a worker's registration, as the platform does when it resets a pod after `stopPod`. */
  releaseWorker(endpointId: string, workerId: string): void;
  /** Resolves when no webhook is under way. */
  webhooksSettled(): Promise<void>;
  /** Ends held requests, webhooks and timers, and closes every connection. Idempotent. */
  close(): Promise<void>;
}

/** Starts an emulator of RunPod Serverless. Throws a ZodError for wrong settings, or the system's error for a taken port. */
export async function startRunpodEmulator(options: RunpodEmulatorOptions = {}): Promise<RunpodEmulator> {
  const { host = '127.0.0.1', port = 0, clock = systemClock(), recordBodies = 0, signal } = options;
  const apiKey = options.apiKey === undefined ? DEFAULT_API_KEY : options.apiKey;
  const workerKey = options.workerKey === undefined ? apiKey : options.workerKey;
  const faults = scriptOf(options.faults);
  const closing = new AbortController();
  const emit = (event: EmulatorEvent): void => options.onEvent?.(event);
  const webhooks = new WebhookSender({ clock, faults, signal: closing.signal, emit });
  const endpoints = createEndpoints(options.endpoints ?? [{ id: DEFAULT_ENDPOINT_ID }], {
    clock,
    emit,
    sendWebhook: (endpoint, job) => webhooks.send(endpoint, job),
  });
  const log = new RequestLog();
  const server = new EmulatorServer({
    clock,
    faults,
    log,
    endpoints,
    keys: { public: apiKey, worker: workerKey },
    recordBodies,
    onRequestOver: (seen, startedAt) => emit(requestEvent(seen, startedAt, clock.now())),
  });

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      signal?.removeEventListener('abort', onAbort);
      closing.abort(new Error('the emulator is closing'));
      for (const endpoint of endpoints.values()) endpoint.close();
      await server.close();
      await webhooks.settled();
    })();
    return closed;
  };
  const onAbort = (): void => void close();

  signal?.throwIfAborted();
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${await server.listen(host, port)}`;
  if (signal?.aborted) await close();
  signal?.throwIfAborted();
  signal?.addEventListener('abort', onAbort, { once: true });

  const baseUrl = `${url}/v2`;
  const endpointOf = (endpointId: string): Endpoint => {
    const endpoint = endpoints.get(endpointId);
    if (!endpoint) throw new RangeError(`no endpoint ${endpointId}; there are: ${[...endpoints.keys()].join(', ')}`);
    return endpoint;
  };
  return {
    url,
    baseUrl,
    endpointIds: [...endpoints.keys()],
    endpointUrl: (endpointId) => `${baseUrl}/${endpointOf(endpointId).id}`,
    workerEnvironment: (worker) => {
      const { pingIntervalMs } = endpointOf(worker.endpointId).settings;
      return workerEnvironment(baseUrl, worker, { workerKey, pingIntervalMs });
    },
    clientEnvironment: ({ endpointId }) => clientEnvironment(baseUrl, endpointOf(endpointId).id, apiKey),
    faults,
    inspect: createInspector(endpoints, log, clock),
    clock,
    releaseWorker: (endpointId, workerId) => endpointOf(endpointId).workers.release(workerId),
    webhooksSettled: () => webhooks.settled(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function scriptOf(faults: RunpodEmulatorOptions['faults']): FaultScript {
  if (faults && 'plan' in faults) return faults;
  return createFaultScript(faults ?? []);
}

function createEndpoints(
  list: readonly EndpointOptions[],
  host: ConstructorParameters<typeof Endpoint>[1],
): ReadonlyMap<string, Endpoint> {
  const endpoints = new Map<string, Endpoint>();
  for (const options of list) {
    const settings = endpointSettingsSchema.parse(options);
    if (endpoints.has(settings.id)) throw new RangeError(`endpoint ${settings.id} is given twice`);
    endpoints.set(settings.id, new Endpoint(settings, host));
  }
  if (endpoints.size === 0) throw new RangeError('an emulator needs at least one endpoint');
  return endpoints;
}

function createInspector(endpoints: ReadonlyMap<string, Endpoint>, log: RequestLog, clock: Clock): EmulatorInspector {
  const chosen = (endpointId: string | undefined): Endpoint[] =>
    [...endpoints.values()].filter((endpoint) => endpointId === undefined || endpoint.id === endpointId);
  const jobs = (endpointId?: string): readonly JobSnapshot[] =>
    chosen(endpointId).flatMap((endpoint) => endpoint.list().map((entry) => snapshotOf(endpoint, entry, clock.now())));
  return {
    jobs,
    job: (jobId) => {
      const endpoint = [...endpoints.values()].find((candidate) => candidate.find(jobId));
      const entry = endpoint?.find(jobId);
      return endpoint && entry && snapshotOf(endpoint, entry, clock.now());
    },
    workers: (endpointId) =>
      chosen(endpointId).flatMap((endpoint) =>
        endpoint.workers.list().map(({ id, lastSeenAt, stopping, unhealthy }) => {
          const heldTakes = endpoint.dispatcher.held(id);
          return {
            id,
            endpointId: endpoint.id,
            lastSeenAt,
            stopping,
            unhealthy,
            jobIds: endpoint.jobsOf(id),
            heldTakes,
          };
        }),
      ),
    counters: (endpointId) => {
      const [endpoint] = chosen(endpointId);
      if (!endpoint) throw new RangeError(`no endpoint ${endpointId ?? ''}`);
      return endpoint.health();
    },
    requestsSeen: (route) => log.list(route),
  };
}

function snapshotOf(endpoint: Endpoint, { job, chunks }: JobEntry, now: number): JobSnapshot {
  const { state } = job;
  const text = state.kind === 'ended' ? state.output : state.kind === 'running' ? state.progress : undefined;
  return {
    id: job.id,
    endpointId: endpoint.id,
    route: job.route,
    status: statusOf(job),
    workerId: attemptOf(job)?.workerId,
    retries: job.retries,
    attempts: job.attempts,
    submittedAt: job.submittedAt,
    delayTime: delayTime(job),
    executionTime: executionTime(job, now),
    error: state.kind === 'ended' ? state.error : undefined,
    unreadChunks: chunks.length,
    output: (): unknown => (text === undefined ? undefined : JSON.parse(text.toString())),
  };
}

function requestEvent(seen: SeenRequest, startedAt: number, now: number): EmulatorEvent {
  const { route, method, endpointId, jobId, workerId, status } = seen;
  return { type: 'request', at: now, route, method, endpointId, jobId, workerId, status, durationMs: now - startedAt };
}
