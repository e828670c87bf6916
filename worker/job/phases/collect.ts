/** Phase 5: what the run put out is read into memory, or delivered another way. A run that failed still delivers what it made before. */
import { ComfyRunpodError, type JobInput, toComfyRunpodError } from '../../../shared/index.ts';
import type { Execution } from '../../comfy/index.ts';
import {
  type CollectedOutputs,
  collectOutputs,
  type FoundFile,
  keptMetadataWarnings,
  type ListedOutputs,
  type OutputFile,
} from '../../outputs/index.ts';
import type { GraphPlan } from '../plan-graph.ts';
import { assertAllArrived, listRun } from '../run-outputs.ts';
import { callerName, selectOutputs, submittedNode, undelivered } from '../select-outputs.ts';
import { deliveryRequest } from './delivery-request.ts';
import { cleanUpMs, type Ended, type JobRun } from './job-run.ts';

/** Bytes around the envelope in a job-done body. */
export const wrapperBytes = 256;
/** How long ComfyUI may take to tell its GPU memory: it is one figure of a receipt. */
const gpuMemoryMs = 500;
/** The same, with the longest error beside it. */
const wrapperWithErrorBytes = 64 * 1024;

/** Collects the outputs of a run that ended well. Throws `OUTPUT_NONE`, `OUTPUT_MISSING`, `OUTPUT_UNSAFE` or `RESULT_TOO_LARGE`. */
export async function collectJob(
  run: JobRun,
  plan: GraphPlan,
  execution: Execution,
  signal: AbortSignal,
): Promise<Ended> {
  run.progress.enter('collecting');
  run.asides.push(noteGpuMemory(run));
  assertAllArrived(execution, plan.workflow, run.input);
  const all = listRun(execution);
  const selected = selectOutputs(all, run.input);
  if (selected.files.length === 0 && selected.values.length === 0) throw nothingPutOut(all, run.input);
  const missing = undelivered(all, plan.outputNodes, run.input);
  for (const node of missing) {
    const classType = run.input.workflow[node]?.class_type ?? 'unknown class';
    run.ledger.warnings.push({ node, message: `Output node ${node} (${classType}) delivered nothing.` });
  }
  const limit = run.context.resultLimitBytes - wrapperBytes;
  return { collected: await read(run, selected, limit, collectingTime(run, signal)) };
}

/**
 * A run that failed, or one of whose outputs can't be had: what is there is collected too, when it can be delivered; when not, the failure says
 * so. Never throws.
 */
export async function collectFailed(
  run: JobRun,
  failure: ComfyRunpodError,
  execution: Execution,
  signal: AbortSignal,
): Promise<Ended> {
  if (run.context.signal.aborted) return { failure };
  const selected = selectOutputs(listRun(execution), run.input);
  if (selected.files.length === 0 && selected.values.length === 0) return { failure };
  run.progress.enter('collecting');
  const limit = run.context.resultLimitBytes - wrapperWithErrorBytes;
  try {
    return { failure, collected: await read(run, selected, limit, collectingTime(run, signal)) };
  } catch (error) {
    const problem = toComfyRunpodError(error);
    const there = isIncomplete(problem) ? await whatIsThere(run, selected, collectingTime(run, signal)) : undefined;
    if (!there) return { failure: withLoss(failure, problem) };
    const collected = await read(run, there, limit, collectingTime(run, signal)).catch(toComfyRunpodError);
    return collected instanceof Error ? { failure: withLoss(failure, collected) } : { failure, collected };
  }
}

/** True when a file that ComfyUI named can't be had, which says nothing of the others. */
export function isIncomplete({ code }: ComfyRunpodError): boolean {
  return code === 'OUTPUT_MISSING' || code === 'OUTPUT_UNSAFE';
}

/** The outputs without files that can't be had, each of which the receipt warns of; undefined when nothing is left. */
async function whatIsThere(
  run: JobRun,
  { files, values }: ListedOutputs,
  signal: AbortSignal,
): Promise<ListedOutputs | undefined> {
  const found = await Promise.all(
    files.map(async (file) => {
      if (inMemory(file)) return file;
      return run.files.locate(file, signal).then(
        () => file,
        () => undefined,
      );
    }),
  );
  const left = found.filter((file) => file !== undefined);
  if (left.length + values.length === 0) return undefined;
  for (const { node } of files.filter((file) => !left.includes(file))) {
    run.ledger.warnings.push({ node, message: `A file of node ${node} could not be had.` });
  }
  return { files: left, values };
}

/** The failure, with why the outputs that there were don't come with it. */
function withLoss(failure: ComfyRunpodError, problem: ComfyRunpodError): ComfyRunpodError {
  const { code, message, cause, issues, nextStep, details } = failure;
  const lost = { ...details, outputsLost: problem.code };
  return new ComfyRunpodError(code, message, { cause, issues, nextStep, details: lost });
}

/** No job waits for it longer than a moment. */
async function noteGpuMemory(run: JobRun): Promise<void> {
  const memory = await run.support.comfy.gpuMemory(AbortSignal.timeout(gpuMemoryMs)).catch(() => undefined);
  if (!memory) return;
  run.ledger.vram = { usedBytes: memory.totalBytes - memory.freeBytes, totalBytes: memory.totalBytes };
}

/** When the job's own deadline is over, collecting still has the margin that was kept back for it. */
function collectingTime(run: JobRun, signal: AbortSignal): AbortSignal {
  return signal.aborted && !run.context.signal.aborted ? AbortSignal.timeout(cleanUpMs) : signal;
}

async function read(
  run: JobRun,
  listed: ListedOutputs,
  limitBytes: number,
  signal: AbortSignal,
): Promise<CollectedOutputs> {
  const { workflow, metadata = 'strip' } = run.input;
  let locatedAt = performance.now();
  const collected = await run.ledger.time('collectMs', () =>
    collectOutputs({
      listed,
      async locate(file, locateSignal) {
        const found = inMemory(file) ?? (await run.files.locate(file, locateSignal));
        locatedAt = performance.now();
        return found;
      },
      classOf: (node) => workflow[submittedNode(node, workflow)]?.class_type ?? 'unknown',
      callerName: (file) => callerName(file, run.folders),
      metadata,
      ...(run.input.output && { format: run.input.output }),
      limitBytes,
      signal,
      delivery: {
        places: run.support.delivery ?? {},
        request: deliveryRequest(run),
        // A result that is there is delivered even when the job's own time is over; only a stopped job ends it.
        signal: run.context.signal,
        onFailure: (via, { code, details }) =>
          run.logger.warn({ via, code, ...details }, 'A way for the result failed'),
      },
    }),
  );
  // All files are found before the first is read.
  run.ledger.add('encodeMs', performance.now() - locatedAt);
  if (metadata === 'strip') {
    run.ledger.warnings.push(...keptMetadataWarnings(collected.artifacts.map(({ described }) => described)));
  }
  return collected;
}

function inMemory({ bytes }: OutputFile): FoundFile | undefined {
  return (
    bytes && {
      size: bytes.length,
      read: () => Promise.resolve(bytes),
      readRange: (position, length) => Promise.resolve(bytes.subarray(position, position + length)),
    }
  );
}

function nothingPutOut(all: ListedOutputs, input: JobInput): ComfyRunpodError {
  const previews = all.files.filter((file) => file.type === 'temp').length;
  if (previews > 0 && input.outputs?.temp !== true) {
    return new ComfyRunpodError('OUTPUT_NONE', `The run put out ${previews} previews and nothing else.`, {
      nextStep: 'Set outputs.temp to true to get previews, or use a saving node such as SaveImage.',
    });
  }
  if (input.outputs?.nodes && all.files.length + all.values.length > 0) {
    return new ComfyRunpodError('OUTPUT_NONE', 'The nodes named in outputs.nodes put nothing out.', {
      nextStep: 'Name output nodes in outputs.nodes, or leave it out to get everything.',
    });
  }
  return new ComfyRunpodError('OUTPUT_NONE', 'The run ended without any output.');
}
