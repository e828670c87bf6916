// The prompt worker: takes prompts one at a time, runs them, moves them to history, then serves `/free`
// (ComfyUI protocol notes §1.7, §6.1, §6.6).
// Invariants: 1. history is written after the last event of execution and before `executing {node: null}`. 2. What escapes
// the executor ends the worker for good: the prompt stays running, HTTP goes on. 3. `/free` acts between prompts.
import { setImmediate as eventLoopTurn, setTimeout as wait } from 'node:timers/promises';
import { pythonErrorInfo } from '../python-error.ts';
import type { HistoryEntry } from '../queue/history-store.ts';
import type { PromptQueue, TakenItem } from '../queue/prompt-queue.ts';
import type { ExecutionResult, PromptExecutor } from './executor.ts';
import type { ExecutionSession } from './session.ts';

/** The worker's surroundings. */
export interface WorkerOptions {
  readonly queue: PromptQueue;
  readonly executor: PromptExecutor;
  readonly session: ExecutionSession;
  readonly closing: AbortSignal;
  readonly log: (level: 'INFO' | 'WARNING' | 'ERROR', text: string) => void;
  /** Milliseconds between the last event and the history entry. */
  readonly historyDelay: (promptId: string) => number;
  /** Runs before a prompt is executed; a rejection kills the worker (fault F09). */
  readonly beforePrompt: (promptId: string) => Promise<void>;
  /** May change a result before it is stored, and act on the stored entry. */
  readonly beforeHistory: (promptId: string, result: ExecutionResult) => Promise<ExecutionResult>;
  readonly afterHistory: (entry: HistoryEntry) => void;
}

/** Whether the worker lives. */
export interface WorkerHandle {
  readonly alive: boolean;
  /** Resolves when the worker ended. */
  readonly done: Promise<void>;
}

/** Starts the worker; it ends when `closing` aborts or something escapes. */
export function startWorker(options: WorkerOptions): WorkerHandle {
  let alive = true;
  const done = loop(options).then(
    () => {
      alive = false;
    },
    (error: unknown) => {
      alive = false;
      if (options.closing.aborted) return;
      const info = pythonErrorInfo(error);
      options.log('ERROR', `Exception in thread Thread-1 (prompt_worker):\n${info.type}: ${info.message}`);
    },
  );
  return {
    get alive() {
      return alive;
    },
    done,
  };
}

async function loop(options: WorkerOptions): Promise<void> {
  const { queue, closing } = options;
  while (!closing.aborted) {
    await queue.waitForWork(closing);
    // The answer to POST /prompt is written before the worker looks, as in nearly all recordings.
    await eventLoopTurn();
    if (closing.aborted) return;
    const taken = queue.take();
    if (taken !== undefined) await runOne(options, taken);
    const flags = queue.takeFlags();
    // There are no models to unload here; only the caches are real.
    if (flags.freeMemory) options.executor.reset();
  }
}

async function runOne(options: WorkerOptions, taken: TakenItem): Promise<void> {
  const { queue, session, closing } = options;
  const { promptId } = taken.item;
  const startedAt = performance.now();
  await options.beforePrompt(promptId);
  let result = await options.executor.execute(taken.item);
  const delay = options.historyDelay(promptId);
  if (delay > 0) await wait(delay, undefined, { signal: closing });
  result = await options.beforeHistory(promptId, result);
  if (closing.aborted) return;
  const status = {
    status_str: result.success ? 'success' : 'error',
    completed: result.success,
    messages: result.messages,
  } as const;
  const entry = queue.done(taken.ticket, result, status);
  if (session.hasClient) session.send('executing', { node: null, prompt_id: promptId }, promptId);
  if (entry !== undefined) options.afterHistory(entry);
  options.log('INFO', `Prompt executed in ${((performance.now() - startedAt) / 1000).toFixed(2)} seconds`);
}
