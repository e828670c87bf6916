/** What is noted about a job while it runs, and the receipt made of it. */
import { packageVersion, type Receipt, type Workflow } from '../../shared/index.ts';
import type { Execution } from '../comfy/index.ts';
import type { WipeReport } from '../workspace/index.ts';

type Timed = 'stageMs' | 'runMs' | 'collectMs';

/** Notes of one job. */
export class JobLedger {
  readonly startedAt = performance.now();
  readonly executions: Execution[] = [];
  readonly warnings: { node?: string; message: string }[] = [];
  comfyVersion = 'unknown';
  bytesIn = 0;
  bytesOut = 0;
  readonly #timings: Record<Timed, number> = { stageMs: 0, runMs: 0, collectMs: 0 };

  /** Runs `work` and adds its time. */
  async time<T>(what: Timed, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    try {
      return await work();
    } finally {
      this.#timings[what] += performance.now() - startedAt;
    }
  }

  /** Milliseconds since the job began. */
  elapsedMs(): number {
    return Math.round(performance.now() - this.startedAt);
  }

  /** The receipt. `workflow` is the submitted one. */
  receipt(workerId: string, workflow: Workflow, wipe: WipeReport): Receipt {
    const last = this.executions.at(-1);
    const { stageMs, runMs, collectMs } = this.#timings;
    return {
      promptId: last?.promptId ?? '',
      workerId,
      workerVersion: packageVersion,
      comfyVersion: this.comfyVersion,
      timings: {
        stageMs: Math.round(stageMs),
        runMs: Math.round(runMs),
        collectMs: Math.round(collectMs),
        totalMs: this.elapsedMs(),
      },
      nodes: (last?.nodeTimes ?? []).map(({ node, ms }) => ({
        node,
        classType: workflow[node]?.class_type ?? 'unknown',
        ms,
      })),
      bytes: { in: this.bytesIn, out: this.bytesOut },
      cached: [...(last?.cached ?? [])],
      wipe: { mode: wipe.mode, files: wipe.files, bytes: wipe.bytes, kept: [...wipe.kept] },
      retries:
        Math.max(0, this.executions.length - 1) +
        this.executions.reduce((sum, execution) => sum + execution.retries, 0),
      ...(this.warnings.length > 0 && { warnings: [...this.warnings] }),
    };
  }
}
