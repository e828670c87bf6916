/** What is noted about a job while it runs, and the receipt made of it. */
import { packageVersion, type Receipt, type Workflow } from '../../shared/index.ts';
import type { Execution } from '../comfy/index.ts';
import type { JobWipe } from './phases/wipe.ts';

type Timed = 'bootMs' | 'stageMs' | 'runMs' | 'queueMs' | 'collectMs' | 'encodeMs' | 'wipeMs';

/** Notes of one job. */
export class JobLedger {
  /** When the job was taken, from `performance.now`. */
  readonly startedAt: number;
  readonly #takenMs: number;
  readonly executions: Execution[] = [];
  readonly warnings: { node?: string; message: string }[] = [];
  comfyVersion = 'unknown';
  bytesIn = 0;
  bytesOut = 0;
  vram: { usedBytes: number; totalBytes: number } | undefined;
  readonly #timings: Record<Timed, number> = {
    bootMs: 0,
    stageMs: 0,
    runMs: 0,
    queueMs: 0,
    collectMs: 0,
    encodeMs: 0,
    wipeMs: 0,
  };

  constructor(takenAt = performance.now()) {
    this.startedAt = takenAt;
    this.#takenMs = performance.now() - takenAt;
  }

  /** Adds time that was measured elsewhere, milliseconds. */
  add(what: Timed, ms: number): void {
    this.#timings[what] += ms;
  }

  /** Runs `work` and adds its time. */
  async time<T>(what: Timed, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await work();
    } finally {
      this.#timings[what] += performance.now() - startedAt;
    }
  }

  /** Milliseconds since the job was taken. */
  elapsedMs(): number {
    return Math.round(performance.now() - this.startedAt);
  }

  /** The receipt. `workflow` is the submitted one. */
  receipt(workerId: string, workflow: Workflow, wipe: JobWipe): Receipt {
    const last = this.executions.at(-1);
    const timings = Object.entries({ takenMs: this.#takenMs, ...this.#timings }).map(([name, ms]) => [
      name,
      Math.round(ms),
    ]);
    return {
      promptId: last?.promptId ?? '',
      workerId,
      workerVersion: packageVersion,
      comfyVersion: this.comfyVersion,
      timings: {
        ...(Object.fromEntries(timings) as Record<Timed | 'takenMs', number>),
        totalMs: this.elapsedMs(),
      },
      nodes: (last?.nodeTimes ?? []).map(({ node, ms }) => ({
        node,
        classType: workflow[node]?.class_type ?? 'unknown',
        ms,
      })),
      bytes: { in: this.bytesIn, out: this.bytesOut },
      ...(this.vram && { vram: this.vram }),
      cached: [...(last?.cached ?? [])],
      wipe: {
        mode: wipe.mode,
        files: wipe.files,
        bytes: wipe.bytes,
        kept: [...wipe.kept],
        ...(wipe.verified !== undefined && { verified: wipe.verified }),
        ...(wipe.unattributed !== undefined && { unattributed: wipe.unattributed }),
        ...(wipe.strict !== undefined && { strict: wipe.strict }),
        ...(wipe.held !== undefined && { held: wipe.held }),
      },
      retries:
        Math.max(0, this.executions.length - 1) +
        this.executions.reduce((sum, execution) => sum + execution.retries, 0),
      ...(this.warnings.length > 0 && { warnings: [...this.warnings] }),
    };
  }
}
