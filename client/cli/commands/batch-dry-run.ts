/** `batch --dry-run`: what every item would be. Sends nothing, writes nothing and needs no endpoint. */
import { type ComfyRunpodError, toComfyRunpodError } from '../../../shared/index.ts';
import type { BatchItem } from '../../batch/read-items.ts';
import type { CommandContext } from '../command-context.ts';
import { errorDocument, errorText } from '../render/error-text.ts';
import { oneLine } from '../terminal-text.ts';
import type { BatchFlags } from './batch.ts';
import { flagsOf } from './batch-items.ts';
import { withInterrupt } from './convert.ts';
import { type DryJob, dryJob, dryJobLines } from './dry-run.ts';

interface DryItem {
  readonly item: BatchItem;
  readonly job?: DryJob;
  readonly error?: ComfyRunpodError;
}

/** Shows it on stdout. Answers with the exit code of the first item that could not be sent, else with 0. */
export async function batchDryRun(
  workflow: string,
  items: readonly BatchItem[],
  flags: BatchFlags,
  context: CommandContext,
): Promise<number> {
  const dry = await withInterrupt(context, async (signal) => {
    const found: DryItem[] = [];
    for (const item of items) {
      signal.throwIfAborted();
      found.push(await dryItem(workflow, item, flags, context, signal));
    }
    return found;
  });
  const failed = dry.find(({ error }) => error !== undefined)?.error;
  const lines = dry.flatMap(({ item, job, error }) => [
    `${item.name} (${oneLine(valuesText(item), 200)})`,
    ...(job ? dryJobLines(job, flags) : []),
    ...(error ? [`fails     ${oneLine(`${error.code}: ${error.message}`, 300)}`] : []),
  ]);
  context.print(`${lines.join('\n')}\nsent      nothing (--dry-run), ${dry.length} items\n`, {
    ok: failed === undefined,
    dryRun: true,
    items: dry.map(({ item, job, error }) => ({
      item: item.name,
      values: Object.fromEntries([...item.values].map(([key, list]) => [key, list.length === 1 ? list[0] : list])),
      ...(job && withoutWorkflow(job)),
      ...(error && { error: errorDocument(error) }),
    })),
  });
  if (failed === undefined) return 0;
  if (!context.json) context.io.stderr.write(errorText(failed, context.paint));
  return failed.policy.exitCode;
}

async function dryItem(
  workflow: string,
  item: BatchItem,
  flags: BatchFlags,
  context: CommandContext,
  signal: AbortSignal,
): Promise<DryItem> {
  try {
    return { item, job: await dryJob(workflow, { ...flags, ...flagsOf(flags, item) }, context, signal) };
  } catch (error) {
    signal.throwIfAborted();
    return { item, error: toComfyRunpodError(error) };
  }
}

/** With thousands of items their workflows are too much; the differences say what an item is. */
function withoutWorkflow({ workflow: _workflow, ...rest }: DryJob): object {
  return rest;
}

function valuesText({ values }: BatchItem): string {
  return [...values].map(([key, list]) => `${key} ${list.join(', ')}`).join('; ');
}
