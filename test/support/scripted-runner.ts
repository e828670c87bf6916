// A runner of jobs that does what a job's input says: a full implementation of the runner's contract without ComfyUI behind it.
import { ComfyRunpodError, delay, type ErrorCode, type ProgressEvent } from '../../shared/index.ts';
import type { JobOutcome, JobRunner, JsonBody, RunContext, RunnerJob } from '../../worker/types.ts';

/** What a job may ask of the runner. */
export interface Script {
  /**
   * `hold`: until released or aborted. `stubborn`: likewise, but deaf to the signal. `block`: keeps the main thread busy.
   * `crash`: an exception outside of the job, while the job is held.
   */
  readonly do?:
    | 'echo'
    | 'fail'
    | 'hold'
    | 'stubborn'
    | 'throw'
    | 'wait'
    | 'block'
    | 'large'
    | 'broken'
    | 'progress'
    | 'crash';
  readonly value?: unknown;
  readonly code?: ErrorCode;
  readonly message?: string;
  readonly ms?: number;
  readonly bytes?: number;
  readonly events?: number;
  /** The outcome asks for another worker. */
  readonly recycle?: boolean;
}

/** JSON text as a result body. */
export function jsonBody(value: unknown): JsonBody {
  const bytes = Buffer.from(JSON.stringify(value));
  return { byteLength: bytes.byteLength, chunks: () => [bytes] };
}

/** A progress snapshot. */
export function progressEvent(sequence: number): ProgressEvent {
  return { kind: 'comfy-runpod/progress', contract: 1, sequence, phase: 'running', elapsedMs: sequence };
}

/** See the file's banner. Remembers what it was asked. */
export class ScriptedRunner implements JobRunner {
  readonly started: string[] = [];
  readonly finished: string[] = [];
  readonly inputs = new Map<string, unknown>();
  readonly contexts = new Map<string, RunContext>();
  running = 0;
  mostRunning = 0;
  readonly #held = new Map<string, () => void>();

  /** Lets a held job end well. */
  release(id?: string): void {
    for (const [held, end] of [...this.#held]) if (id === undefined || held === id) end();
  }

  /** Ids of the jobs that are held now. */
  held(): readonly string[] {
    return [...this.#held.keys()];
  }

  async run(job: RunnerJob, context: RunContext): Promise<JobOutcome> {
    this.started.push(job.id);
    this.inputs.set(job.id, job.input);
    this.contexts.set(job.id, context);
    this.running += 1;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    try {
      const outcome = await this.#perform(job, context);
      return (job.input as Script).recycle === true ? { ...outcome, recycle: true } : outcome;
    } finally {
      this.running -= 1;
      this.finished.push(job.id);
    }
  }

  async #perform(job: RunnerJob, context: RunContext): Promise<JobOutcome> {
    const script = job.input as Script;
    switch (script.do) {
      case 'fail': {
        const error = new ComfyRunpodError(script.code ?? 'NODE_FAILED', script.message ?? 'A node failed.');
        return { kind: 'failed', error, ...('value' in script && { output: jsonBody(script.value) }) };
      }
      case 'throw':
        throw new TypeError('text of a caller');
      case 'crash':
        setImmediate(() => {
          throw new TypeError('text of a caller');
        });
        return this.#hold(job.id, script, context);
      case 'hold':
      case 'stubborn':
        return this.#hold(job.id, script, context);
      case 'wait':
        await delay(script.ms ?? 0, context.signal).catch(() => undefined);
        return context.signal.aborted ? { kind: 'cancelled' } : completed(script.value);
      case 'block':
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, script.ms ?? 0);
        return completed(script.value);
      case 'large':
        return { kind: 'completed', output: largeBody(script.bytes ?? 0) };
      case 'broken':
        return { kind: 'completed', output: brokenBody() };
      case 'progress':
        for (let sequence = 0; sequence < (script.events ?? 0); sequence++) {
          context.onProgress(progressEvent(sequence));
          await delay(script.ms ?? 0);
        }
        return completed(script.value);
      default:
        return completed(script.value);
    }
  }

  #hold(id: string, script: Script, context: RunContext): Promise<JobOutcome> {
    return new Promise((resolve) => {
      const end = (outcome: JobOutcome) => {
        this.#held.delete(id);
        context.signal.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      const onAbort = () => end({ kind: 'cancelled' });
      this.#held.set(id, () => end(completed(script.value)));
      if (script.do !== 'stubborn') context.signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

function completed(value: unknown): JobOutcome {
  return { kind: 'completed', output: jsonBody(value ?? null) };
}

/** A JSON string of exactly `bytes` bytes, made piece by piece. */
function largeBody(bytes: number): JsonBody {
  return {
    byteLength: bytes,
    *chunks() {
      yield Buffer.from('"');
      const piece = Buffer.alloc(64 * 1024, 'a');
      for (let left = bytes - 2; left > 0; left -= piece.byteLength) {
        yield left >= piece.byteLength ? piece : piece.subarray(0, left);
      }
      yield Buffer.from('"');
    },
  };
}

function brokenBody(): JsonBody {
  return {
    byteLength: 100,
    *chunks() {
      yield Buffer.from('"half of i');
      throw new RangeError('text of a caller');
    },
  };
}
