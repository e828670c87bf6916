/**
 * One prompt, one signal, one exit: posts a prompt, follows it, and answers how it ended. When the signal ends it first, the prompt is
 * cancelled before this returns: nothing is left running that nobody waits for.
 */
import { randomUUID } from 'node:crypto';
import { ComfyRunpodError, toComfyRunpodError } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { type CancelOutcome, cancelPrompt } from './cancel.ts';
import { Hint } from './hint.ts';
import { type HistoryEntry, readHistoryEntry } from './history.ts';
import type { ComfyHttp } from './http.ts';
import { deleteHistory, type HistoryView } from './prompt-state.ts';
import { RunProgress } from './run-progress.ts';
import type { ComfySocket } from './socket.ts';
import { submitPrompt } from './submit.ts';
import { type RunActivity, trackPrompt } from './track.ts';
import type { ComfyCapabilities, ComfyTimings, Execution, ExecutionRequest } from './types.ts';

/** What an execution uses of its connection. */
export interface ExecutionSupport {
  readonly http: ComfyHttp;
  readonly socket: ComfySocket;
  readonly capabilities: ComfyCapabilities;
  readonly timings: ComfyTimings;
  readonly logger: Logger;
  /** Throws `COMFY_CRASHED` when the process has died. */
  readonly assertAlive: () => void;
  /** Called when this ComfyUI must not get another prompt before it was restarted. */
  readonly condemn: (why: string) => void;
}

/** How long a run waits for the event socket: progress is nice to have. */
const socketWaitMs = 500;

/** Runs one prompt. Never throws: every ending is an {@link Execution}. */
export async function executePrompt(support: ExecutionSupport, request: ExecutionRequest): Promise<Execution> {
  const promptId = randomUUID();
  const progress = new RunProgress(Object.keys(request.prompt), () => performance.now());
  const run = new Run(support, request, progress, promptId);
  try {
    await run.submit();
    return run.ended(await run.follow());
  } catch (error) {
    return await run.failed(error);
  } finally {
    run.dispose();
  }
}

class Run {
  readonly #support: ExecutionSupport;
  readonly #request: ExecutionRequest;
  readonly #progress: RunProgress;
  readonly #hint = new Hint();
  readonly #activity: RunActivity = { lastAt: Date.now(), terminal: 'none', terminalAt: 0 };
  #promptId: string;
  #unlisten: () => void;
  #retries = 0;
  /** The prompt may be in ComfyUI's queue. */
  #posted = false;

  constructor(support: ExecutionSupport, request: ExecutionRequest, progress: RunProgress, promptId: string) {
    this.#support = support;
    this.#request = request;
    this.#progress = progress;
    this.#promptId = promptId;
    this.#unlisten = this.#listen();
  }

  async submit(): Promise<void> {
    const { socket } = this.#support;
    const { signal, prompt, extraData, redact } = this.#request;
    signal.throwIfAborted();
    await socket.whenOpen(socketWaitMs, signal);
    this.#posted = true;
    // Before the post: events of the run may come before its answer (ComfyUI protocol notes §2.6).
    this.#request.onSnapshot?.(this.#progress.snapshot());
    const submitted = await submitPrompt({
      ...this.#support,
      promptId: this.#promptId,
      // Without a client id previews go to everyone and some versions forget cached outputs (§0.3).
      clientId: socket.clientId ?? randomUUID(),
      prompt,
      extraData,
      redact,
      signal,
    });
    this.#retries = submitted.retries;
    if (submitted.promptId !== this.#promptId) {
      this.#unlisten();
      this.#promptId = submitted.promptId;
      this.#unlisten = this.#listen();
    }
    this.#activity.lastAt = Date.now();
  }

  follow(): Promise<HistoryView> {
    return trackPrompt({
      ...this.#support,
      promptId: this.#promptId,
      stallMs: this.#request.stallMs,
      hint: this.#hint,
      activity: this.#activity,
      signal: this.#request.signal,
    });
  }

  /** The run has ended by itself. */
  async ended(history: HistoryView): Promise<Execution> {
    const { logger, http, condemn } = this.#support;
    if (history.kind !== 'entry') {
      await deleteHistory(http, this.#promptId, AbortSignal.timeout(5_000)).catch(() => undefined);
      const failure = new ComfyRunpodError('COMFY_PROTOCOL', "ComfyUI can't tell the result of the run.", {
        nextStep: 'A node put out data that is not JSON. Remove or update the custom node that does.',
      });
      return this.#execution(undefined, failure);
    }
    const entry = readHistoryEntry(history.entry, this.#request.prompt, this.#request.redact);
    if (entry.failure?.code === 'COMFY_CRASHED') condemn('the GPU failed in a node');
    logger.debug({ promptId: this.#promptId, failure: entry.failure?.code }, 'The run is over');
    return this.#execution(entry, entry.failure);
  }

  /** Submitting or following threw: refused, lost, stalled, gone, or the signal. */
  async failed(thrown: unknown): Promise<Execution> {
    const { signal } = this.#request;
    const failure = toComfyRunpodError(thrown, signal.aborted ? 'JOB_CANCELLED' : 'INTERNAL', 'The run was cancelled.');
    const stillThere = signal.aborted || failure.code === 'COMFY_STALLED' || failure.code === 'COMFY_UNREACHABLE';
    if (!this.#posted || !stillThere) return this.#execution(undefined, failure);
    const outcome = await this.#cancel();
    if (outcome.kind === 'stuck') this.#support.condemn('a prompt does not stop');
    if (outcome.kind === 'finished' && outcome.history.kind === 'entry') {
      const entry = readHistoryEntry(outcome.history.entry, this.#request.prompt, this.#request.redact);
      // The run was over before the cancel reached it; what it made is as good as ever (§6.7 d).
      if (entry.failure === undefined) return this.#execution(entry, undefined);
      return this.#execution(entry, entry.interrupted ? failure : entry.failure);
    }
    return this.#execution(undefined, failure);
  }

  dispose(): void {
    this.#unlisten();
  }

  #cancel(): Promise<CancelOutcome> {
    const cancelMs = Math.min(this.#support.timings.cancelMs, this.#request.cancelMs ?? Infinity);
    const signal = AbortSignal.timeout(cancelMs + 1_000);
    const timings = { ...this.#support.timings, cancelMs };
    return cancelPrompt({ ...this.#support, timings, promptId: this.#promptId, signal });
  }

  #listen(): () => void {
    return this.#support.socket.listen(this.#promptId, (message) => {
      const activity = this.#activity;
      activity.lastAt = Date.now();
      if (message.image) this.#request.onPreview?.(message.image);
      const terminal = this.#progress.accept(message);
      if (terminal === 'none') {
        this.#request.onSnapshot?.(this.#progress.snapshot());
        return;
      }
      if (activity.terminal === 'none') activity.terminalAt = Date.now();
      activity.terminal = terminal;
      this.#hint.give();
    });
  }

  #execution(entry: HistoryEntry | undefined, failure: ComfyRunpodError | undefined): Execution {
    return {
      promptId: this.#promptId,
      // Without an entry the events may still have told what was made before ComfyUI went away.
      outputs: entry?.outputs ?? this.#progress.outputs,
      cached: [...new Set([...(entry?.cached ?? []), ...this.#progress.cached])],
      nodeTimes: this.#progress.nodeTimes,
      retries: this.#retries,
      ...(failure && { failure }),
    };
  }
}
