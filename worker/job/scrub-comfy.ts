/**
 * `privacy: strict`: ComfyUI drops its caches and models, then a neutral prompt overwrites what its executor remembers of the last graph
 * (ComfyUI protocol notes §5.4 rows 3 to 6). Waits until no other prompt of this worker is inside, and keeps the next one out meanwhile.
 */
import { randomUUID } from 'node:crypto';
import type { JobRun } from './phases/job-run.ts';

/** How long a job waits for its turn and the scrub; what is not done by then is told as not done. */
const scrubMs = 60_000;
const neutralMs = 15_000;
const neutralClass = 'PreviewAny';

/** Scrubs; true when everything was done. Never throws. */
export async function scrubComfy(run: JobRun): Promise<boolean> {
  if (run.ledger.executions.length === 0) return true;
  const signal = AbortSignal.timeout(scrubMs);
  try {
    return await run.support.lane.alone(() => scrub(run, signal), signal);
  } catch {
    run.logger.warn({}, "ComfyUI's memory could not be scrubbed");
    return false;
  }
}

async function scrub({ support: { comfy } }: JobRun, signal: AbortSignal): Promise<boolean> {
  await comfy.ready(signal);
  await comfy.freeMemory(signal);
  const classes = await comfy.describe([neutralClass], signal);
  if (!classes.has(neutralClass)) return false;
  const execution = await comfy.execute({
    // A value of its own: a prompt that is wholly cached would run nothing.
    prompt: { '1': { class_type: neutralClass, inputs: { source: randomUUID() } } },
    stallMs: neutralMs,
    signal,
    redact: (text) => text,
  });
  const forgotten = await comfy.forget(execution.promptId, signal);
  return forgotten && execution.failure === undefined;
}
