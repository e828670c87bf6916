/** `batch`: one workflow with many values, from a file of items and a grid; resumable, within a budget, with a contact sheet. */
import { rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ComfyRunpodError, exitCodes, toComfyRunpodError } from '../../../shared/index.ts';
import { lockBatch } from '../../batch/batch-lock.ts';
import { BatchState } from '../../batch/batch-state.ts';
import type { BatchItem } from '../../batch/read-items.ts';
import { type ItemOutcome, runBatch } from '../../batch/run-batch.ts';
import { isIntact } from '../../files/is-intact.ts';
import { contentHash } from '../../ledger/content-hash.ts';
import { namedByItem } from '../../saving/named-by-item.ts';
import { isFetchable, saveArtifacts } from '../../saving/save-artifacts.ts';
import type { CommandContext } from '../command-context.ts';
import { presentFiles } from '../present-files.ts';
import { errorDocument, errorText } from '../render/error-text.ts';
import { shownPath } from '../render/result-text.ts';
import { openTarget, type Target } from '../target.ts';
import { oneLine } from '../terminal-text.ts';
import { flagsOf, itemKeys, itemsOf, withKeptWorkflow } from './batch-items.ts';
import { parseNeeds } from './profiles.ts';
import { comfyFolders, explainSandbox, type RunFlags } from './run.ts';
import { type FlaggedJob, prepareFromFlags } from './submit-flags.ts';

/** Parsed flags of `batch`: those of `run`, and its own. */
export interface BatchFlags extends RunFlags {
  readonly grid: readonly string[];
  readonly items?: string;
  readonly concurrency: string;
  readonly maxCost?: string;
  readonly retryFailed?: boolean;
  readonly sheet?: boolean;
}

/** Items at once that one endpoint can be fed with; RunPod queues what its workers can't take. */
const maxConcurrency = 200;
const captionLines = 6;

/** Runs a batch. Answers with 0 when every item is done, else with the exit code of the first failure. */
export async function batchCommand(workflow: string, flags: BatchFlags, given: CommandContext): Promise<number> {
  const context = await withKeptWorkflow(workflow, flags, given);
  const items = await itemsOf(flags, context);
  const concurrency = wholeNumber(flags.concurrency, '--concurrency', maxConcurrency);
  if (flags.dryRun) return (await import('./batch-dry-run.ts')).batchDryRun(workflow, items, flags, context);
  const folder = resolve(context.io.folder, flags.out);
  const { sandbox, comfyUrl } = flags;
  const target = await openTarget(
    {
      folders: comfyFolders(flags, context.io.folder),
      facts: { command: 'batch', outFolder: folder, batch: folder },
      ...(sandbox && { sandbox }),
      ...(comfyUrl !== undefined && { comfyUrl }),
      ...(flags.needs !== undefined && { needs: parseNeeds(flags.needs) }),
    },
    context,
  );
  const leave = new AbortController();
  const unsubscribe = context.io.onInterrupt(() => {
    context.note('Leaving: jobs that run go on at the endpoint; the same command follows them.');
    leave.abort(new ComfyRunpodError('JOB_CANCELLED', 'Left.'));
  });
  try {
    await using _lock = await lockBatch(folder);
    await using state = await BatchState.open(folder);
    const outcomes = await render(
      workflow,
      { flags, items, concurrency, folder, target, state, signal: leave.signal },
      context,
    );
    await drawSheet(outcomes, folder, flags, context);
    return report(outcomes, leave.signal.aborted, context);
  } finally {
    unsubscribe();
    await target.close();
  }
}

function wholeNumber(text: string, name: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new ComfyRunpodError('USAGE', `${name} takes a whole number from 1 to ${max}.`);
}

interface Rendering {
  readonly flags: BatchFlags;
  readonly items: readonly BatchItem[];
  readonly concurrency: number;
  readonly folder: string;
  readonly target: Target;
  readonly state: BatchState;
  readonly signal: AbortSignal;
}

async function render(workflow: string, batch: Rendering, context: CommandContext): Promise<ItemOutcome[]> {
  const { flags, items, concurrency, folder, target, state, signal } = batch;
  const sample = await samplePrepared(items, (item) =>
    prepareFromFlags(workflow, flagsOf(flags, item), target, context, signal),
  );
  const quiet = { ...context, note: () => undefined };
  const budget = budgetOf(flags, target, contentHash(sample.input.workflow));
  const keyOf = await itemKeys(workflow, flags, context);
  let done = 0;
  return runBatch({
    items,
    client: target.client,
    state,
    concurrency,
    signal,
    submit: sample.options,
    retryFailed: flags.retryFailed === true,
    ...(budget && { budget }),
    keyOf,
    prepare: async (item, seeds) => {
      const { input, seeds: chosen } = await prepareFromFlags(
        workflow,
        flagsOf(flags, item, seeds),
        target,
        quiet,
        signal,
      );
      return { input, seeds: chosen };
    },
    save: async (item, result) => {
      const artifacts = namedByItem(result.envelope.artifacts.filter(isFetchable), item.name);
      const files = await saveArtifacts(artifacts, { folder });
      target.book.known(result.jobId).saved(files);
      return files;
    },
    savedBefore: async (jobId) => {
      const row = target.book.known(jobId).before;
      if (row?.state !== 'saved') return undefined;
      return (await Promise.all(row.files.map(isIntact))).every(Boolean) ? row : undefined;
    },
    ended: (result) => target.book.known(result.jobId).ended(result, target.priceOf(result.jobId)),
    onOutcome: (outcome) => {
      done += 1;
      const text = outcomeText(outcome, context);
      context.note(`[${done}/${items.length}] ${text}`);
      context.emit({ type: 'item', ...outcomeDocument(outcome) });
    },
  });
}

/** Items of which one has to be in order before anything is sent. */
const sampledItems = 10;

/**
 * What is wrong with all items is wrong before anything is paid: one is prepared ahead, the first that can be. Throws the error of the first item
 * when none of the first ones can.
 */
async function samplePrepared(
  items: readonly BatchItem[],
  prepare: (item: BatchItem) => Promise<FlaggedJob>,
): Promise<FlaggedJob> {
  let first: ComfyRunpodError | undefined;
  for (const item of items.slice(0, sampledItems)) {
    try {
      return await prepare(item);
    } catch (error) {
      first ??= toComfyRunpodError(error);
      // Ctrl-C is no fault of an item.
      if (first.code === 'JOB_CANCELLED') break;
    }
  }
  throw first ?? new ComfyRunpodError('USAGE', 'The batch has no items.');
}

function budgetOf(flags: BatchFlags, target: Target, workflowHash: string) {
  if (flags.maxCost === undefined) return undefined;
  const maxCost = Number(flags.maxCost);
  if (!/^\d*\.?\d+$/.test(flags.maxCost) || maxCost <= 0) {
    throw new ComfyRunpodError('USAGE', '--max-cost takes an amount of US dollars, such as 2.50.');
  }
  if (target.kind !== 'runpod') return undefined;
  if (!target.priced) {
    throw new ComfyRunpodError('USAGE', '--max-cost needs to know what the endpoint costs.', {
      nextStep: 'Set COMFY_RUNPOD_PRICE (US dollars per second), or `price` or `gpu` in the profile.',
    });
  }
  const past = target.book.attempt((ledger) => ledger.list({ states: ['saved'], limit: 200 }));
  const same = past?.filter((row) => row.workflowHash === workflowHash && row.cost !== undefined) ?? [];
  const expectedCost = same[0]?.cost;
  return { maxCost, ...(expectedCost !== undefined && { expectedCost }) };
}

function valuesText(outcome: ItemOutcome): string[] {
  const varied = [...outcome.item.values].map(([key, values]) => `${key} ${values.join(', ')}`);
  const seeds = Object.entries(outcome.seeds)
    .filter(([key]) => !outcome.item.values.has('seed') && !outcome.item.values.has(key))
    .map(([key, value]) => `${key} ${value}`);
  return [...varied, ...seeds];
}

function outcomeText(outcome: ItemOutcome, context: CommandContext): string {
  const { item, state, files, executionMs, cost, error } = outcome;
  const values = valuesText(outcome).join('; ');
  const facts = [
    state === 'failed' && error ? `failed: ${error.code}: ${error.message}` : state,
    files[0] === undefined ? undefined : shownPath(files[0], context.io.folder),
    files.length > 1 ? `and ${files.length - 1} more` : undefined,
    executionMs === undefined ? undefined : `${(executionMs / 1_000).toFixed(1)} s`,
    cost === undefined ? undefined : `$${cost.toFixed(5)}`,
  ];
  return oneLine(`${item.name} (${values}): ${facts.filter((fact) => fact !== undefined).join(', ')}`, 300);
}

function outcomeDocument({ item, error, files, ...outcome }: ItemOutcome): object {
  return {
    item: item.name,
    values: Object.fromEntries(
      [...item.values].map(([key, values]) => [key, values.length === 1 ? values[0] : values]),
    ),
    ...outcome,
    files: files.map((path) => ({ path })),
    ...(error && { error: errorDocument(error) }),
  };
}

/** Draws the sheet of everything that is done, of earlier calls too. Its own file is the only one that a batch writes again. */
async function drawSheet(
  outcomes: readonly ItemOutcome[],
  folder: string,
  flags: BatchFlags,
  context: CommandContext,
): Promise<void> {
  const started = outcomes.filter(({ state }) => state !== 'unstarted');
  if (flags.sheet === false || !started.some(({ files }) => files.length > 0)) return;
  const { contactSheet } = await import('../../batch/contact-sheet.ts');
  const cells = started.flatMap((outcome) => {
    const caption = (outcome.state === 'failed' ? ['failed', ...valuesText(outcome)] : valuesText(outcome))
      .slice(0, captionLines)
      .map((text) => oneLine(text, 200));
    const pictures = outcome.files.length > 0 ? outcome.files : [undefined];
    return pictures.map((path) => ({ caption, ...(path !== undefined && { path }) }));
  });
  const path = join(folder, 'contact-sheet.png');
  const temporary = `${path}.${process.pid}.part`;
  const sheet = await contactSheet(cells);
  await writeFile(temporary, sheet, { mode: 0o600 });
  await rename(temporary, path);
  context.note(`sheet     ${shownPath(path, context.io.folder)}`);
  // The sheet stands for all of them: hundreds of windows help nobody.
  await presentFiles([{ path, artifact: { kind: 'image', size: sheet.byteLength } }], flags, context);
}

function report(outcomes: readonly ItemOutcome[], left: boolean, context: CommandContext): number {
  const failed = outcomes.filter(({ state }) => state === 'failed');
  const unstarted = outcomes.filter(({ state }) => state === 'unstarted');
  const cost = outcomes.reduce((sum, one) => sum + (one.cost ?? 0), 0);
  const files = outcomes.flatMap((outcome) => outcome.files);
  context.print(files.map((path) => `${shownPath(path, context.io.folder)}\n`).join(''), {
    ok: failed.length + unstarted.length === 0,
    items: outcomes.map(outcomeDocument),
    cost,
  });
  const done = outcomes.length - failed.length - unstarted.length;
  const price = cost > 0 ? `, about $${cost.toFixed(4)}` : '';
  context.note(`${done} done, ${failed.length} failed, ${unstarted.length} not started${price}`);
  if (left) return exitCodes.interrupted;
  const error = (failed[0] ?? unstarted[0])?.error;
  if (error === undefined) return unstarted.length > 0 ? exitCodes.interrupted : exitCodes.success;
  if (!context.json) context.io.stderr.write(errorText(explainSandbox(error), context.paint));
  return error.policy.exitCode;
}
