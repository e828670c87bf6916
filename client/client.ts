/** The library's entry: a client for one endpoint. It reads no environment; config.ts does that for programs that want it. */
import * as z from 'zod';
import {
  ComfyRunpodError,
  contractVersion,
  type Description,
  type HealthView,
  isLoopbackUrl,
  type JobInputWire,
  type Pong,
  parseJobInput,
  readDescription,
  readPong,
} from '../shared/index.ts';
import { askWorker } from './introspection/ask-worker.ts';
import { JobHandle, type WaitOptions } from './job-handle.ts';
import type { JobResult } from './job-result.ts';
import { Receivers } from './receiving/receivers.ts';
import { createRunpodTransport } from './transport/runpod/runpod-transport.ts';
import type { JobPolicy, PurgeResult, SubmitRoute, Transport } from './transport/transport.ts';

const transportSchema = z.custom<Transport>(
  (value) => typeof value === 'object' && value !== null && 'submit' in value && 'follow' in value,
  'not a transport',
);

const optionsSchema = z.strictObject({
  /** Key of the RunPod account. */
  apiKey: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'has characters that no key has')
    .optional(),
  endpointId: z.string().min(1).optional(),
  /** https, or http to loopback: the key must not cross a network in clear. Default `https://api.runpod.ai/v2`. */
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .refine((url) => url.startsWith('https:') || isLoopbackUrl(url), 'must be https, or http to loopback only')
    .transform((url) => url.replace(/\/+$/, ''))
    .default('https://api.runpod.ai/v2'),
  /** Milliseconds that one request may take, long polls aside. Default 30 000. */
  requestTimeoutMs: z.number().positive().default(30_000),
  /** Longest pause between two status requests where no long poll answers, milliseconds. Default 3 000. */
  pollIntervalMs: z.number().positive().default(3_000),
  /** Milliseconds that a wait lasts before `WAIT_TIMEOUT`. Default one day. */
  maxPollDurationMs: z.number().positive().default(86_400_000),
  /** Attempts of a request that may be repeated, first included. Default 4. */
  attempts: z.int().min(1).optional(),
  /** How long a wait that has reached RunPod once bears with a dead network, milliseconds. Default 120 000. */
  outagePatienceMs: z.number().min(0).optional(),
  /** Folder in which the processes of this machine count their calls together, so that RunPod's limits hold for all. Default: each for itself. */
  callsFolder: z.string().min(1).optional(),
  /**
   * Folder in which results that come in chunks wait until they are saved. Another process with the same folder goes on from what is there, so that
   * one that is stopped or killed loses nothing that it had. Default: temporary files that are gone with the client.
   */
  resultsFolder: z.string().min(1).optional(),
  /** Replaces RunPod's API; then key, endpoint and address are not needed. */
  transport: transportSchema.optional(),
  /** Closes the client when aborted. */
  signal: z.instanceof(AbortSignal).optional(),
});

/** Options of {@link createClient}. */
export type ClientOptions = z.input<typeof optionsSchema>;

/** Options of {@link Client.submit}. */
export interface ClientSubmitOptions extends WaitOptions {
  readonly policy?: JobPolicy;
  /** Absolute address that RunPod posts the finished job to. */
  readonly webhook?: string;
  /** `run` (default): 10 MiB each way. `runsync`: 20 MiB each way, but the result is kept for a minute only: wait for it at once. */
  readonly route?: SubmitRoute;
  /** With `runsync`: how long RunPod may hold the answer, 1 000 to 300 000 ms. Default 1 000, so that the id is known early. */
  readonly waitMs?: number;
  /** Seeds that were chosen for the job, by `NODE.input`. Sends nothing: a client that keeps a ledger writes them into it. */
  readonly seeds?: Readonly<Record<string, number>>;
  /** Name of the job in a series. Sends nothing: a client that keeps a ledger writes it into it. */
  readonly item?: string;
}

/** Submits jobs to one endpoint. */
export interface Client extends AsyncDisposable {
  /**
   * Checks and submits a job. Throws coded errors before anything is sent (`INPUT_*`, `WORKFLOW_*`, `FILE_*`, `BODY_TOO_LARGE`) and after
   * (`UNAUTHORIZED`, `ENDPOINT_NOT_FOUND`, `NETWORK_*`, `SUBMIT_UNCERTAIN`, ...).
   */
  submit(input: JobInputWire, options?: ClientSubmitOptions): Promise<JobHandle>;
  /** Submits with /runsync and waits for the end. The id is in the result, not before. */
  runSync(input: JobInputWire, options?: Omit<ClientSubmitOptions, 'route'>): Promise<JobResult>;
  /** A job that was submitted earlier. Asks nobody. */
  job(id: string): JobHandle;
  health(options?: WaitOptions): Promise<HealthView>;
  /** Asks one worker who it is. A queued job like any other: an endpoint that is scaled to zero starts a worker for it. */
  ping(options?: WaitOptions): Promise<Pong>;
  /**
   * Asks one worker what it has: node classes, models, versions, limits, space. The answer may be megabytes; `describeCached` keeps it. Throws
   * the job's own error, or `RESULT_INVALID` when the worker answers with something else.
   */
  describe(options?: WaitOptions): Promise<Description>;
  /** Removes queued jobs; running ones go on. */
  purgeQueue(options?: WaitOptions): Promise<PurgeResult>;
  /**
   * Ends open requests, and removes the temporary files of results that came in chunks and were not saved. An answer that holds chunks is read to
   * its end first, for ten seconds at most: RunPod hands them out once. Idempotent.
   */
  close(): Promise<void>;
}

/** Creates a client. Throws `CONFIG_MISSING` or `CONFIG_INVALID`; opens nothing until the first call. */
export function createClient(options: ClientOptions): Client {
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), message: issue.message }));
    const listed = issues.map((issue) => `${issue.field}: ${issue.message}`).join('; ');
    throw new ComfyRunpodError('CONFIG_INVALID', `Wrong client options: ${listed}.`, { issues });
  }
  const settings = parsed.data;
  const transport = settings.transport ?? runpodTransport(settings);
  const receivers = new Receivers(transport, settings.resultsFolder);
  const handle = (id: string, view?: Awaited<ReturnType<Transport['status']>>, mayStream = false) =>
    new JobHandle({
      ...{ id, transport, receivers, maxPollDurationMs: settings.maxPollDurationMs, mayStream },
      ...(view && { view }),
    });
  const onAbort = () => void client.close();

  const client: Client = {
    async submit(input, { policy, webhook, route = 'run', waitMs = 1_000, signal } = {}) {
      const job = parseJobInput(input);
      const view = await transport.submit(
        {
          input: { ...job, contract: job.contract ?? contractVersion },
          ...(policy && { policy }),
          ...(webhook !== undefined && { webhook }),
        },
        { route, waitMs, ...(signal && { signal }) },
      );
      const kind = job.destination?.kind ?? 'auto';
      return handle(view.id, view, kind === 'auto' || kind === 'stream');
    },
    async runSync(input, submitOptions = {}) {
      const job = await client.submit(input, { waitMs: 90_000, ...submitOptions, route: 'runsync' });
      return job.wait(submitOptions.signal ? { signal: submitOptions.signal } : {});
    },
    job: (id) => {
      if (id.trim() === '') throw new ComfyRunpodError('USAGE', 'The job id is empty.');
      return handle(id.trim());
    },
    ping: (waiting) => askWorker(transport, 'ping', readPong, settings.maxPollDurationMs, waiting),
    describe: (waiting) => askWorker(transport, 'describe', readDescription, settings.maxPollDurationMs, waiting),
    health: ({ signal } = {}) => transport.health(signal),
    purgeQueue: ({ signal } = {}) => transport.purgeQueue(signal),
    close: async () => {
      settings.signal?.removeEventListener('abort', onAbort);
      await receivers.leave();
      await transport.close();
      await receivers.close();
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
  if (settings.signal?.aborted) onAbort();
  else settings.signal?.addEventListener('abort', onAbort, { once: true });
  return client;
}

function runpodTransport(settings: z.output<typeof optionsSchema>): Transport {
  const { apiKey, endpointId, attempts, outagePatienceMs, callsFolder } = settings;
  if (apiKey === undefined) throw new ComfyRunpodError('CONFIG_MISSING', 'The client has no apiKey (RUNPOD_API_KEY).');
  if (endpointId === undefined) {
    throw new ComfyRunpodError('CONFIG_MISSING', 'The client has no endpointId (RUNPOD_ENDPOINT_ID).');
  }
  return createRunpodTransport({
    apiKey,
    endpointId,
    baseUrl: settings.baseUrl,
    requestTimeoutMs: settings.requestTimeoutMs,
    pollIntervalMs: settings.pollIntervalMs,
    ...(attempts !== undefined && { attempts }),
    ...(outagePatienceMs !== undefined && { outagePatienceMs }),
    callsFolder,
  });
}
