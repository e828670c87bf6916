/**
 * Times the stages of a start and keeps what is told about them. A stage that fails gets its name into the error, from which the exit code of
 * the process follows ({@link file://./../../shared/boot.ts}). Light on purpose: it is loaded before the first job is asked for.
 */
import { ComfyRunpodError, isComfyRunpodError, toComfyRunpodError } from '../../shared/core.ts';
import type { BootReport, BootStage, BootStageReport } from '../../shared/index.ts';
import type { Logger } from '../types.ts';

/** Notes what a stage has found, in a few words without anything secret. */
export type StageNote = (note: string) => void;

/** See the banner. */
export class BootLog {
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #stages = new Map<BootStage, BootStageReport>();
  #readyMs: number | undefined;

  /** `now`: milliseconds since the process began. */
  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.#logger = logger;
    this.#now = now;
  }

  /** Runs a stage. What it throws is thrown on as a coded error that carries the stage's name. */
  async stage<T>(name: BootStage, work: (note: StageNote) => T | Promise<T>): Promise<T> {
    const startedMs = Math.round(this.#now());
    let note: string | undefined;
    const report = (state: BootStageReport['state']): BootStageReport => {
      const ms = Math.round(this.#now()) - startedMs;
      return { name, state, startedMs, ms, ...(note !== undefined && { note }) };
    };
    this.#stages.set(name, report('running'));
    try {
      const result = await work((text) => {
        note = text;
      });
      this.#end(report('done'));
      return result;
    } catch (error) {
      // A worker that is told to stop while it starts has not failed.
      if (isStop(error)) this.skip(name, 'the worker stops');
      else this.#end(report('failed'));
      throw withStage(error, name);
    }
  }

  /** Notes a stage that began with the process and has just ended. */
  sinceStart(name: BootStage): void {
    this.#end({ name, state: 'done', startedMs: 0, ms: Math.round(this.#now()) });
  }

  /** Notes a stage that is not needed, and why. */
  skip(name: BootStage, note: string): void {
    this.#stages.set(name, { name, state: 'skipped', startedMs: Math.round(this.#now()), ms: 0, note });
  }

  /** Everything that jobs need is there. */
  ready(): void {
    this.#readyMs ??= Math.round(this.#now());
    const ms = Object.fromEntries([...this.#stages.values()].map((stage) => [stage.name, stage.ms]));
    this.#logger.info({ readyMs: this.#readyMs, stages: JSON.stringify(ms) }, 'The worker is up.');
  }

  /** As it is now. */
  report(): BootReport {
    const now = Math.round(this.#now());
    const stages = [...this.#stages.values()].map((stage) =>
      stage.state === 'running' ? { ...stage, ms: now - stage.startedMs } : { ...stage },
    );
    return { stages, ...(this.#readyMs !== undefined && { readyMs: this.#readyMs }) };
  }

  #end(stage: BootStageReport): void {
    this.#stages.set(stage.name as BootStage, stage);
    const { name, ms, startedMs, note } = stage;
    const fields = { stage: name, ms, startedMs, ...(note !== undefined && { note }) };
    if (stage.state === 'done') this.#logger.info(fields, 'Boot stage done');
    else this.#logger.error(fields, 'Boot stage failed');
  }
}

function isStop(error: unknown): boolean {
  return (
    (isComfyRunpodError(error) && error.code === 'WORKER_SHUTDOWN') ||
    (error instanceof Error && error.name === 'AbortError')
  );
}

function withStage(thrown: unknown, stage: BootStage): ComfyRunpodError {
  const { code, message, issues, details, nextStep, cause } = toComfyRunpodError(thrown);
  return new ComfyRunpodError(code, message, {
    cause: cause ?? thrown,
    issues,
    nextStep,
    details: { ...details, stage },
  });
}
