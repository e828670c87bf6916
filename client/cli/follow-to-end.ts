/**
 * Follows one job to its end for a person: progress, Ctrl-C, files on disk. Used by run, wait and demo.
 *
 * Ctrl-C: the first asks RunPod to cancel the job and goes on watching, because a job is only stopped when RunPod says so; the second stops
 * watching and leaves the job to itself.
 */
import { ComfyRunpodError, exitCodes, type HealthView, isComfyRunpodError, type Preview } from '../../shared/index.ts';
import type { JobHandle } from '../job-handle.ts';
import type { JobResult } from '../job-result.ts';
import type { JobBook } from '../ledger/job-book.ts';
import { type LedgerRow, openStates } from '../ledger/ledger-row.ts';
import { namedAsSent } from '../saving/named-by-item.ts';
import { isFetchable, type SavedBefore, type SavedFile, saveArtifacts } from '../saving/save-artifacts.ts';
import { megabytes } from '../submit/measure-body.ts';
import type { CommandContext } from './command-context.ts';
import { type PresentFlags, presentFiles } from './present-files.ts';
import { QueueWatch } from './queue-watch.ts';
import { errorDocument, errorText } from './render/error-text.ts';
import { createProgressView, type ProgressView } from './render/progress-view.ts';
import { filesDocument, resultText, shownPath, successDocument } from './render/result-text.ts';
import { drawPicture, pictureRows, terminalGraphics } from './render/terminal-graphics.ts';

/** What to do with the end. */
export interface FollowToEnd {
  /** Absolute folder for the files. */
  readonly folder: string;
  /** Changes an error before it is shown, for example to add a hint. */
  readonly explain?: (error: ComfyRunpodError) => ComfyRunpodError;
  /** Cancel the job at the first Ctrl-C. Otherwise the first stops watching. */
  readonly cancelOnInterrupt: boolean;
  /** Asks the endpoint for its counters while the job waits in its queue; told to a person only. */
  readonly health?: (signal: AbortSignal) => Promise<HealthView>;
  /** Where the end of the job is written down. */
  readonly book: JobBook;
  /** US dollars per second of the job's endpoint, where that is known. */
  readonly priceOf: (jobId: string) => number | undefined;
  /** Seeds that were chosen for the job, by `NODE.input`: in the result, and the only one in the names of its files. */
  readonly seeds?: Readonly<Record<string, number>>;
  /** What to do with saved files beyond naming them. */
  readonly present?: PresentFlags;
  /** Ctrl-C that was pressed before there was a job. */
  readonly alreadyInterrupted?: boolean;
}

/** Thrown as the reason of a wait that the person left. */
class Detached extends Error {}

/** Follows the job and answers with the exit code. Throws coded errors of the wait itself. */
export async function followToEnd(job: JobHandle, options: FollowToEnd, context: CommandContext): Promise<number> {
  const view = createProgressView(context);
  const detach = new AbortController();
  let presses = 0;
  const press = () => {
    presses += 1;
    if (options.cancelOnInterrupt && presses === 1) void cancelRemote(job, view, detach.signal);
    else detach.abort(new Detached());
  };
  const unsubscribe = context.io.onInterrupt(press);
  if (options.alreadyInterrupted) press();
  try {
    const result = await watch(job, view, options, context, detach.signal);
    view.finish();
    return await conclude(job.id, result, options, context, detach.signal);
  } catch (error) {
    view.finish();
    if (!detach.signal.aborted) {
      if (!isComfyRunpodError(error) || error.code !== 'JOB_NOT_FOUND') throw error;
      const known = options.book.known(job.id);
      known.gone(error.code);
      throw known.before === undefined ? error : rememberedBy(known.before, error, context.io.folder);
    }
    const text = `Left job ${job.id}, which may still run. Wait again: comfy-runpod wait ${job.id}`;
    if (context.json) context.print('', { ok: false, jobId: job.id, error: { code: 'INTERRUPTED', message: text } });
    context.note(text);
    return exitCodes.interrupted;
  } finally {
    unsubscribe();
  }
}

/** RunPod has forgotten a job of which the ledger knows how it ended. */
function rememberedBy(row: LedgerRow, error: ComfyRunpodError, folder: string): ComfyRunpodError {
  const { state, code, files, jobId, key } = row;
  if (openStates.includes(state)) return error;
  const why = code === undefined || code === 'JOB_CANCELLED' ? '' : ` (${code})`;
  const [first] = files;
  const where = first === undefined ? '' : `: ${shownPath(first.path, folder)}`;
  const more = files.length > 1 ? ` and ${files.length - 1} more` : '';
  return new ComfyRunpodError(error.code, error.message, {
    cause: error,
    details: { ...error.details, ledger: state },
    nextStep:
      first === undefined
        ? `The ledger has it as ${state}${why}. To have it rendered, submit it again.`
        : `The ledger has it as ${state}${why}${where}${more}. \`comfy-runpod fetch ${jobId ?? key}\` checks the files.`,
  });
}

async function watch(
  job: JobHandle,
  view: ProgressView,
  options: FollowToEnd,
  context: CommandContext,
  signal: AbortSignal,
): Promise<JobResult> {
  using queue = new QueueWatch(options.health ?? noCounters, (text) => view.queue(text));
  for await (const event of job.events({ signal })) {
    view.show(event);
    if (event.type !== 'end') context.emit({ jobId: job.id, ...event });
    if (event.type === 'progress') await showPreview(event.progress.preview, view, context);
    const waits = event.type === 'status' && event.status === 'IN_QUEUE';
    if (waits && options.health && view.wantsQueue) queue.start();
    else queue.pause();
    if (event.type === 'end') return event.result;
  }
  signal.throwIfAborted();
  return job.wait({ signal });
}

/** What is being made just now. A preview that can't be drawn is left out: there will be another. */
async function showPreview(preview: Preview | undefined, view: ProgressView, context: CommandContext): Promise<void> {
  const protocol = terminalGraphics(context.io.interactive, context.environment);
  if (preview === undefined || protocol === undefined || context.json || context.quiet) return;
  const drawn = await drawPicture(Buffer.from(preview.data, 'base64'), protocol).catch(() => undefined);
  // How many rows a sixel picture takes is not known: it is drawn once, at the end.
  if (drawn !== undefined && protocol !== 'sixel') view.picture(drawn, pictureRows);
}

function noCounters(): Promise<never> {
  return Promise.reject(new Error('There is nobody to ask.'));
}

async function cancelRemote(job: JobHandle, view: ProgressView, signal: AbortSignal): Promise<void> {
  view.note(`Cancelling job ${job.id} (Ctrl-C again leaves it running) ...`);
  try {
    await job.cancel({ signal });
  } catch (error) {
    if (signal.aborted) return;
    const code = isComfyRunpodError(error) ? error.code : 'INTERNAL';
    view.note(`The job could not be cancelled (${code}); it goes on. Ctrl-C again stops watching it.`);
  }
}

async function conclude(
  jobId: string,
  result: JobResult,
  options: FollowToEnd,
  context: CommandContext,
  signal: AbortSignal,
): Promise<number> {
  // Not the result's id: that is another one when this job was the second of one submission.
  const record = options.book.known(jobId);
  const startedAt = Date.now();
  const cost = record.ended(result, options.priceOf(result.jobId));
  if (result.kind === 'succeeded') {
    // Whoever waits for the job in another terminal has not chosen them.
    const seeds = options.seeds ?? record.before?.seeds ?? {};
    const files = await saveArtifacts(namedAsSent(result.envelope.artifacts, { item: record.before?.item, seeds }), {
      folder: options.folder,
      signal,
      again: record.before?.state === 'ended' ? savedBefore(options.book, startedAt) : undefined,
    });
    record.saved(files);
    for (const warning of result.envelope.receipt.warnings ?? []) {
      context.note(`warning: ${warning.node === undefined ? '' : `node ${warning.node}: `}${warning.message}`);
    }
    for (const { delivery, name } of result.envelope.artifacts.filter((artifact) => !isFetchable(artifact))) {
      const place =
        delivery.via === 'volume' ? `on the network volume: ${delivery.path}` : 'at the address that the job gave';
      context.note(`${name} is ${place}`);
    }
    context.print(resultText(files, result.envelope, context.io.folder), {
      ...successDocument(result.jobId, files, result.envelope, result.times),
      ...(cost !== undefined && { cost }),
      ...(Object.keys(seeds).length > 0 && { seeds }),
    });
    if (files.length > 0) context.note(`saved     ${savedText(files)}`);
    if (cost !== undefined) context.note(`cost      about $${cost.toFixed(5)}`);
    await presentFiles(files, options.present ?? {}, context);
    return exitCodes.success;
  }
  const error = options.explain?.(result.error) ?? result.error;
  const partial = result.kind === 'failed' ? await savePartial(result, options, context, signal) : [];
  if (partial.length > 0) record.savedPartly(partial);
  if (context.json) {
    context.print('', { ok: false, jobId: result.jobId, error: errorDocument(error), files: filesDocument(partial) });
  }
  context.io.stderr.write(errorText(error, context.paint));
  return error.policy.exitCode;
}

/** `2 files, 3.1 MB` */
function savedText(files: readonly SavedFile[]): string {
  const bytes = files.reduce((sum, { artifact }) => sum + artifact.size, 0);
  return `${files.length} ${files.length === 1 ? 'file' : 'files'}, ${megabytes(bytes)}`;
}

/** An earlier command died while it saved this result. */
function savedBefore(book: JobBook, before: number): SavedBefore {
  return { before, taken: book.attempt((ledger) => ledger.savedPaths()) ?? new Set() };
}

/** Saves what was made before a failure; that this fails too is only noted, because the job's own error is the news. */
async function savePartial(
  result: Extract<JobResult, { kind: 'failed' }>,
  options: FollowToEnd,
  context: CommandContext,
  signal: AbortSignal,
): Promise<SavedFile[]> {
  const artifacts = result.partial?.artifacts ?? [];
  if (artifacts.length === 0) return [];
  try {
    const files = await saveArtifacts(artifacts, { folder: options.folder, signal });
    for (const file of files) context.note(`made before the failure: ${shownPath(file.path, context.io.folder)}`);
    return files;
  } catch (error) {
    const code = isComfyRunpodError(error) ? error.code : 'INTERNAL';
    context.note(`What was made before the failure could not be saved (${code}).`);
    return [];
  }
}
