/**
 * The heartbeat seen from the main thread. It beats in a thread of its own, so that a busy main thread never costs a lease, and it dies with
 * the process, so that a killed worker never looks alive. Source: RunPod protocol notes §2.14 and §2.24.
 */
import { Worker } from 'node:worker_threads';
import type { Logger } from '../types.ts';
import type { HeartbeatNote, HeartbeatSetup } from './heartbeat-thread.ts';
import type { RunpodConfig } from './runpod-config.ts';
import { pingBaseUrl } from './url-template.ts';

/** A running heartbeat. */
export interface Heartbeat {
  /** Ids of all queued, running and delivering jobs, reported from the next beat on. */
  setJobs(ids: readonly string[]): void;
  /** Stops beating. Idempotent. */
  close(): Promise<void>;
}

const silent: Heartbeat = { setJobs: () => undefined, close: () => Promise.resolve() };
const restartPauseMs = 1_000;
const smallestIntervalMs = 1_000;

/** Starts the heartbeat; the first beat goes out as soon as the thread is up. Without key, pod id or ping address there is none. */
export function startHeartbeat(config: RunpodConfig, logger: Logger): Heartbeat {
  const url = pingBaseUrl(config);
  if (url === undefined || config.apiKey === undefined) {
    logger.warn({}, 'No heartbeat: RUNPOD_AI_API_KEY, RUNPOD_POD_ID or RUNPOD_WEBHOOK_PING is missing.');
    return silent;
  }
  const setup: HeartbeatSetup = {
    url,
    apiKey: config.apiKey,
    userAgent: config.userAgent,
    reportedVersion: config.reportedVersion,
    intervalMs: Math.max(smallestIntervalMs, config.pingIntervalMs),
  };
  let ids: readonly string[] = [];
  let closed: Promise<void> | undefined;
  let restart: NodeJS.Timeout | undefined;

  const spawn = (): Worker => {
    // Compiled and source tree alike: the thread's file lies beside this one.
    const file = import.meta.url.endsWith('.ts') ? './heartbeat-thread.ts' : './heartbeat-thread.js';
    const worker = new Worker(new URL(file, import.meta.url), { workerData: { ...setup, ids }, execArgv: [] });
    worker.unref();
    worker.on('message', (note: HeartbeatNote) => logNote(note, logger));
    worker.on('error', (error) =>
      logger.error({ reason: error.name }, 'The heartbeat thread failed; it is started again.'),
    );
    worker.on('exit', () => {
      if (closed !== undefined) return;
      restart = setTimeout(() => {
        thread = spawn();
      }, restartPauseMs).unref();
    });
    return worker;
  };
  let thread = spawn();

  return {
    setJobs(next) {
      ids = next.toSorted();
      thread.postMessage(ids);
    },
    close() {
      clearTimeout(restart);
      closed ??= thread.terminate().then(() => undefined);
      return closed;
    },
  };
}

function logNote(note: HeartbeatNote, logger: Logger): void {
  if (note.kind === 'failing') {
    logger.warn({ reason: note.reason }, 'The heartbeat does not get through; it goes on trying.');
  } else {
    logger.info({ failures: note.failures }, 'The heartbeat gets through again.');
  }
}
