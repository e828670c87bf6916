/** One submitted job: wait for it, watch it, stop it. A handle holds no connection and no file of its own and needs no closing. */
import { ComfyRunpodError, createDeadline, isTerminalStatus, type JobView } from '../shared/index.ts';
import { type JobEvent, jobEvents } from './job-events.ts';
import { type JobResult, readJobResult } from './job-result.ts';
import type { ReceiverLease } from './receiving/chunk-receiver.ts';
import type { Receivers } from './receiving/receivers.ts';
import { abortableIterable } from './transport/abortable-iterable.ts';
import type { Transport } from './transport/transport.ts';

/** Options of everything that waits. */
export interface WaitOptions {
  /** Ends the wait with the signal's own reason; the job goes on. Use {@link JobHandle.cancel} to stop the job. */
  readonly signal?: AbortSignal;
}

/** What a handle is made of. */
export interface JobHandleOptions {
  readonly id: string;
  readonly transport: Transport;
  /** Milliseconds after which a wait ends with `WAIT_TIMEOUT`. */
  readonly maxPollDurationMs: number;
  /** The job may send its result in chunks: a wait reads /stream beside it. */
  readonly mayStream?: boolean;
  /** The view that submitting brought. */
  readonly view?: JobView;
  /** What results in chunks are received with; its owner closes it. */
  readonly receivers: Receivers;
}

/** A job by its id. Iterating it is the same as iterating {@link JobHandle.events}. */
export class JobHandle implements AsyncIterable<JobEvent> {
  readonly id: string;
  readonly #transport: Transport;
  readonly #maxPollDurationMs: number;
  readonly #view: JobView | undefined;
  readonly #mayStream: boolean;
  readonly #receivers: Receivers;

  constructor(options: JobHandleOptions) {
    this.id = options.id;
    this.#transport = options.transport;
    this.#maxPollDurationMs = options.maxPollDurationMs;
    this.#view = options.view;
    this.#mayStream = options.mayStream ?? false;
    this.#receivers = options.receivers;
  }

  /**
   * Waits for the end and says how it went: failures of the job are values. Throws what keeps the wait from finishing: `WAIT_TIMEOUT`,
   * `JOB_NOT_FOUND`, `UNAUTHORIZED`, network and platform errors, all with the job's id in `details.jobId`; or the signal's reason.
   */
  async wait(options: WaitOptions = {}): Promise<JobResult> {
    using chunks = this.#receive(options.signal);
    for await (const view of this.#views(options.signal, false)) {
      if (!isTerminalStatus(view.status)) continue;
      const result = await chunks.complete(readJobResult(view));
      const first = this.#first(result);
      return first ? { ...(await first.wait(options)), jobId: this.id } : result;
    }
    throw this.#incomplete();
  }

  /** What happens to the job, the last event being its end. Leaving the loop stops all requests. Throws like {@link wait}. */
  events(options: WaitOptions = {}): AsyncIterable<JobEvent> {
    return abortableIterable((signal) => this.#events(signal), options.signal);
  }

  [Symbol.asyncIterator](): AsyncIterator<JobEvent, void, void> {
    return this.events()[Symbol.asyncIterator]() as AsyncIterator<JobEvent, void, void>;
  }

  /** Values that a streaming worker yields, each once and in order. A comfy-runpod worker yields only results in chunks. */
  stream(options: WaitOptions = {}): AsyncIterable<unknown> {
    return this.#transport.stream(this.id, options.signal);
  }

  /** The job as RunPod shows it now. */
  status(options: WaitOptions = {}): Promise<JobView> {
    return this.#named(this.#transport.status(this.id, options.signal), options.signal);
  }

  /** Asks RunPod to stop the job and answers with its view. A job that has ended stays as it is. */
  cancel(options: WaitOptions = {}): Promise<JobView> {
    return this.#named(this.#transport.cancel(this.id, options.signal), options.signal);
  }

  async *#events(signal: AbortSignal): AsyncGenerator<JobEvent, void, void> {
    using chunks = this.#receive(signal);
    for await (const event of jobEvents(this.#views(signal, true))) {
      if (event.type !== 'end') {
        yield event;
        continue;
      }
      const result = await chunks.complete(event.result);
      const first = this.#first(result);
      if (first === undefined) yield { ...event, result };
      else for await (const theirs of first.#events(signal)) yield this.#asMine(theirs);
    }
  }

  /** Whoever submitted this job knows it by its own id, also where another one's result is the result. */
  #asMine(event: JobEvent): JobEvent {
    return event.type === 'end' ? { ...event, result: { ...event.result, jobId: this.id } } : event;
  }

  /** The job that this one was sent a second time of: its result is the result. */
  #first(result: JobResult): JobHandle | undefined {
    if (result.kind !== 'failed' || result.error.code !== 'JOB_DUPLICATE') return undefined;
    const { firstJobId } = result.error.details;
    if (typeof firstJobId !== 'string' || firstJobId === this.id) return undefined;
    return new JobHandle({
      id: firstJobId,
      transport: this.#transport,
      maxPollDurationMs: this.#maxPollDurationMs,
      mayStream: this.#mayStream,
      receivers: this.#receivers,
    });
  }

  #receive(signal: AbortSignal | undefined): ReceiverLease {
    return this.#receivers.join(this.id, this.#mayStream, signal);
  }

  async *#views(signal: AbortSignal | undefined, progress: boolean): AsyncGenerator<JobView, void, void> {
    if (this.#view !== undefined && isTerminalStatus(this.#view.status)) {
      yield this.#view;
      return;
    }
    using deadline = createDeadline(this.#maxPollDurationMs, () => this.#waitedTooLong(), signal);
    try {
      yield* this.#transport.follow(this.id, { signal: deadline.signal, progress });
    } catch (error) {
      throw signal?.aborted ? error : withJobId(error, this.id);
    }
  }

  async #named<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw signal?.aborted ? error : withJobId(error, this.id);
    }
  }

  #waitedTooLong(): ComfyRunpodError {
    const seconds = Math.round(this.#maxPollDurationMs / 1000);
    return new ComfyRunpodError('WAIT_TIMEOUT', `Job ${this.id} is not done after ${seconds} s of waiting.`, {
      details: { jobId: this.id },
      nextStep: `The job goes on. Wait again with \`comfy-runpod wait ${this.id}\`, or cancel it.`,
    });
  }

  #incomplete(): ComfyRunpodError {
    return new ComfyRunpodError('INTERNAL', 'The transport stopped before the job was done.', {
      details: { jobId: this.id },
    });
  }
}

/** The same error with the job's id beside it, so that whoever catches it can wait again. */
function withJobId(error: unknown, jobId: string): unknown {
  if (!(error instanceof ComfyRunpodError) || 'jobId' in error.details) return error;
  return new ComfyRunpodError(error.code, error.message, {
    cause: error.cause,
    issues: error.issues,
    details: { ...error.details, jobId },
    nextStep: error.nextStep,
  });
}
