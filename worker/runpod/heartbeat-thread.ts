/**
 * The thread that sends heartbeats. Small on purpose: node:http only, so that the first beat does not wait for a library to load.
 * Source: RunPod protocol notes §2.14.
 *
 * 1. One beat at a time; a beat that takes longer than the interval makes the next one due at once, never two together.
 * 2. The answer is not interpreted, except that 429, 5xx and a failed connection are retried.
 * 3. Nothing ends the loop but the end of the thread.
 */
import http from 'node:http';
import https from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

/** What the thread is told at its start. */
export interface HeartbeatSetup {
  /** The ping address without ids and version. */
  readonly url: string;
  readonly apiKey: string;
  readonly userAgent: string;
  readonly reportedVersion: string;
  readonly intervalMs: number;
}

/** What the thread tells the main thread: the begin and the end of an outage. */
export type HeartbeatNote =
  | { readonly kind: 'failing'; readonly reason: string }
  | { readonly kind: 'recovered'; readonly failures: number };

const setup = workerData as HeartbeatSetup & { ids: readonly string[] };
const client = setup.url.startsWith('https:') ? https : http;
const agent = new client.Agent({ keepAlive: true });
/** Pauses before the retries of one beat; none is longer than the interval. */
const retryPausesMs = [0, 2_000, 4_000].map((pause) => Math.min(pause, setup.intervalMs));
const retriedStatuses = new Set([429, 500, 502, 503, 504]);
let ids = setup.ids;
let failures = 0;

parentPort?.on('message', (next: readonly string[]) => {
  ids = next;
});

/** The ping address now. The `+` signs of the template survive because nothing re-serialises it. */
function beatUrl(): string {
  const jobs = ids.length === 0 ? '' : `job_id=${encodeURIComponent(ids.join(','))}&`;
  const own = `${jobs}runpod_version=${encodeURIComponent(setup.reportedVersion)}`;
  return `${setup.url}${setup.url.includes('?') ? '&' : '?'}${own}`;
}

interface BeatResult {
  /** Undefined when it went through. */
  readonly failure?: string;
  readonly retryAfterMs?: number;
}

function beat(): Promise<BeatResult> {
  const headers = { authorization: setup.apiKey, 'user-agent': setup.userAgent };
  const signal = AbortSignal.timeout(2 * setup.intervalMs);
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) => resolve({ failure: error.code ?? error.name });
    const request = client.get(beatUrl(), { agent, headers, signal }, (response) => {
      const status = response.statusCode ?? 0;
      response.on('error', fail);
      response.on('end', () => {
        const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
        if (!retriedStatuses.has(status)) resolve({});
        else resolve({ failure: `status ${status}`, ...(seconds >= 0 && { retryAfterMs: seconds * 1000 }) });
      });
      response.resume();
    });
    request.on('error', fail);
  });
}

/** One beat with its retries. */
async function beatUntilThrough(): Promise<void> {
  let last = await beat();
  for (const pause of retryPausesMs) {
    if (last.failure === undefined) break;
    note(last.failure);
    await sleep(Math.min(last.retryAfterMs ?? pause, setup.intervalMs));
    last = await beat();
  }
  note(last.failure);
}

function note(failure: string | undefined): void {
  if (failure !== undefined) {
    failures += 1;
    if (failures === 1) tell({ kind: 'failing', reason: failure });
  } else if (failures > 0) {
    tell({ kind: 'recovered', failures });
    failures = 0;
  }
}

function tell(message: HeartbeatNote): void {
  parentPort?.postMessage(message);
}

for (;;) {
  const startedAt = performance.now();
  await beatUntilThrough().catch((error: unknown) => note(error instanceof Error ? error.name : 'unknown'));
  await sleep(Math.max(0, setup.intervalMs - (performance.now() - startedAt)));
}
