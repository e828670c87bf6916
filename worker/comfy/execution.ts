/**
 * One prompt, one signal, one exit: lets the oracle decide and does what it asks for. Events go in one after another, requests are made
 * beside; when the signal ends the run first, the prompt is taken off ComfyUI before this returns.
 */
import { randomUUID } from 'node:crypto';
import { type ComfyRunpodError, raceSignal, toComfyRunpodError } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import type { ComfyHttp } from './http.ts';
import { step } from './oracle.ts';
import {
  initialOracle,
  type OracleEffect,
  type OracleEvent,
  type OracleOutcome,
  type OracleSettings,
  type OracleState,
} from './oracle-types.ts';
import { makeRequest } from './prompt-requests.ts';
import { RunProgress } from './run-progress.ts';
import type { ComfySocket } from './socket.ts';
import type { PromptMessage } from './socket-messages.ts';
import { PictureCollector } from './socket-pictures.ts';
import { submitPrompt } from './submit.ts';
import type {
  ComfyCapabilities,
  ComfyTimings,
  Execution,
  ExecutionRequest,
  PreviewImage,
  SocketPictures,
} from './types.ts';
import { isRecord, textOf } from './value-guards.ts';

/** What an execution uses of its connection. */
export interface ExecutionSupport {
  readonly http: ComfyHttp;
  readonly socket: ComfySocket;
  readonly capabilities: ComfyCapabilities;
  readonly timings: ComfyTimings;
  readonly logger: Logger;
  /** Calls `listener` when the process has died, until the returned function is called. */
  readonly onCrash: (listener: (cause: ComfyRunpodError) => void) => () => void;
  /** Called when this ComfyUI must not get another prompt before it was restarted. */
  readonly condemn: (why: string) => void;
}

/** How long a run waits for the event socket: progress is nice to have. */
const socketWaitMs = 500;

/** Runs one prompt under an id of its own, or under one that ran before. Never throws: every ending is an {@link Execution}. */
export async function executePrompt(
  support: ExecutionSupport,
  request: ExecutionRequest,
  promptId: string = randomUUID(),
): Promise<Execution> {
  const run = new Run(support, request, promptId);
  try {
    return await run.execution();
  } finally {
    run.dispose();
  }
}

class Run {
  readonly #support: ExecutionSupport;
  readonly #request: ExecutionRequest;
  readonly #progress: RunProgress;
  readonly #settings: OracleSettings;
  readonly #clientIds: { current: string } = { current: '' };
  readonly #pictures: PictureCollector | undefined;
  readonly #finished = Promise.withResolvers<OracleOutcome>();
  #promptId: string;
  #state: OracleState = initialOracle;
  /** Ends the requests under way when nobody waits for them any more. */
  #requests = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #unlisten: () => void;
  #uncrash: () => void = () => undefined;

  constructor(support: ExecutionSupport, request: ExecutionRequest, promptId: string) {
    this.#support = support;
    this.#request = request;
    this.#promptId = promptId;
    this.#progress = new RunProgress(Object.keys(request.prompt), () => performance.now());
    this.#pictures = PictureCollector.for(request.prompt);
    this.#settings = {
      ...support.timings,
      cancelMs: Math.min(support.timings.cancelMs, request.cancelMs ?? Infinity),
      stallMs: request.stallMs,
      allowPartial: request.allowPartial ?? false,
    };
    // Before the post: events of the run may come before its answer (ComfyUI protocol notes §2.6).
    this.#unlisten = this.#listen();
  }

  async execution(): Promise<Execution> {
    const { socket, onCrash } = this.#support;
    const { signal } = this.#request;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#uncrash = onCrash((cause) => this.#feed({ type: 'crashed', cause }));
    if (signal.aborted) this.#onAbort();
    else await raceSignal(socket.whenOpen(socketWaitMs, signal), signal).catch(() => undefined);
    // Without a client id previews go to everyone and some versions forget cached outputs (§0.3).
    this.#clientIds.current = socket.clientId ?? randomUUID();
    if (!signal.aborted) this.#request.onSnapshot?.(this.#progress.snapshot());
    this.#feed({ type: 'begin' });
    const outcome = await this.#finished.promise;
    return this.#execution(outcome, await this.#sentPictures(outcome));
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#requests.abort(new Error('the run is over'));
    this.#request.signal.removeEventListener('abort', this.#onAbort);
    this.#unlisten();
    this.#uncrash();
  }

  #feed(event: OracleEvent): void {
    const before = this.#state.phase;
    const { state, effects } = step(this.#settings, this.#state, event, performance.now());
    this.#state = state;
    if (state.phase === 'cancelling' && before !== 'cancelling') {
      this.#requests.abort(new Error('the run is being cancelled'));
      this.#requests = new AbortController();
    }
    clearTimeout(this.#timer);
    if (Number.isFinite(state.wakeAt)) {
      const ms = Math.min(2 ** 31 - 1, Math.max(0, Math.ceil(state.wakeAt - performance.now())));
      this.#timer = setTimeout(() => this.#feed({ type: 'tick' }), ms);
    }
    for (const effect of effects) this.#do(effect);
  }

  #do(effect: OracleEffect): void {
    if (effect.type === 'finish') {
      this.#finished.resolve(effect.outcome);
      return;
    }
    const { signal } = this.#requests;
    const { http, capabilities, timings } = this.#support;
    const { prompt, redact, extraData } = this.#request;
    const promptId = this.#promptId;
    const post = (seq: number) =>
      submitPrompt(
        {
          http,
          promptId,
          clientId: this.#clientIds.current,
          prompt,
          extraData,
          redact,
          timeoutMs: timings.submitMs,
          signal,
          onQueuedAs: (id) => this.#rename(id),
        },
        seq,
      );
    void makeRequest(effect.type, effect.seq, { http, capabilities, promptId, prompt, redact, signal, post }).then(
      (answer) => this.#feed(answer),
    );
  }

  readonly #onAbort = (): void => {
    const { signal } = this.#request;
    this.#feed({ type: 'abort', cause: toComfyRunpodError(signal.reason, 'JOB_CANCELLED', 'The run was cancelled.') });
  };

  #rename(promptId: string): void {
    if (promptId === this.#promptId) return;
    this.#unlisten();
    this.#promptId = promptId;
    this.#unlisten = this.#listen();
  }

  #listen(): () => void {
    return this.#support.socket.listen(this.#promptId, (message) => this.#hear(message));
  }

  #hear(message: PromptMessage): void {
    if (message.image) this.#see(message, message.image);
    const hint = this.#progress.accept(message);
    if (hint !== 'none') this.#pictures?.end();
    if (hint === 'none') this.#request.onSnapshot?.(this.#progress.snapshot());
    const node = message.type === 'executed' ? textOf(message.data['node']) : undefined;
    const output = message.data['output'];
    this.#feed({
      type: 'message',
      hint,
      ...(node !== undefined && isRecord(output) && { output: [node, output] as const }),
    });
  }

  /** Servers that don't name the node of a frame send it while that node runs. */
  #see(message: PromptMessage, image: PreviewImage): void {
    const node = textOf(message.data['node_id']) ?? this.#progress.snapshot().node;
    if (this.#pictures?.take(node, image) !== true) this.#request.onPreview?.(image);
  }

  /** Pictures of a run that failed are those that have come. */
  async #sentPictures({ failure }: OracleOutcome): Promise<SocketPictures | undefined> {
    if (failure) this.#pictures?.end();
    const connected = () => this.#support.socket.clientId === this.#clientIds.current;
    return await this.#pictures?.finish(connected, this.#request.signal);
  }

  #execution(outcome: OracleOutcome, sent: SocketPictures | undefined): Execution {
    const { entry, failure, condemn, partial, outputs, retries } = outcome;
    if (condemn !== undefined) this.#support.condemn(condemn);
    this.#support.logger.debug({ promptId: this.#promptId, failure: failure?.code }, 'The run is over');
    return {
      promptId: this.#promptId,
      outputs,
      cached: [...new Set([...(entry?.cached ?? []), ...this.#progress.cached])],
      nodeTimes: this.#progress.nodeTimes,
      retries,
      refused: partial?.issues ?? [],
      ...(sent && { sent }),
      ...(failure && { failure }),
    };
  }
}
