/** `--dry-run` of run and submit, and of each item of a batch: what would change in the workflow and how large the job would be. Sends nothing and needs no endpoint. */
import { limits, type Workflow } from '../../../shared/index.ts';
import { megabytes } from '../../submit/measure-body.ts';
import type { CommandContext } from '../command-context.ts';
import { oneLine } from '../terminal-text.ts';
import { withInterrupt } from './convert.ts';
import type { RunFlags } from './run.ts';
import { prepareFromFlags, type SubmitFlags } from './submit-flags.ts';

/** One input that differs. */
interface Difference {
  readonly node: string;
  readonly classType: string;
  readonly input: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** What one job would be. */
export interface DryJob {
  readonly differences: readonly Difference[];
  readonly seeds: Readonly<Record<string, number>>;
  /** Names of the files that would travel with it. */
  readonly files: readonly string[];
  /** Size of the body, and the largest that its route takes. */
  readonly bytes: number;
  readonly limitBytes: number;
  readonly workflow: Workflow;
}

/** Shows it on stdout. Throws what submitting would throw before it sends. */
export async function dryRun(
  workflow: string,
  flags: SubmitFlags & Partial<Pick<RunFlags, 'comfyUrl'>>,
  context: CommandContext,
): Promise<number> {
  const job = await withInterrupt(context, (signal) => dryJob(workflow, flags, context, signal));
  context.print(`${[...dryJobLines(job, flags), 'sent      nothing (--dry-run)'].join('\n')}\n`, {
    ok: true,
    dryRun: true,
    ...job,
  });
  return 0;
}

/** Prepares a job and sends nothing. Throws what submitting would throw before it sends. */
export async function dryJob(
  workflow: string,
  flags: SubmitFlags & Partial<Pick<RunFlags, 'comfyUrl'>>,
  context: CommandContext,
  signal: AbortSignal,
): Promise<DryJob> {
  const { comfyUrl } = flags;
  const kind = comfyUrl === undefined ? 'runpod' : 'direct';
  const target = { kind, ...(comfyUrl !== undefined && { comfyUrl }) } as const;
  const quiet = { ...context, note: () => undefined };
  const { input, options, seeds, before } = await prepareFromFlags(workflow, flags, target, quiet, signal);
  return {
    differences: differencesOf(before, input.workflow as Workflow),
    seeds,
    files: (input.files ?? []).map(({ name }) => name),
    bytes: Buffer.byteLength(JSON.stringify({ input })),
    limitBytes: options.route === 'runsync' ? limits.runsyncBodyBytes : limits.runBodyBytes,
    workflow: input.workflow as Workflow,
  };
}

/** The job as lines for a person. */
export function dryJobLines({ differences, files, bytes, limitBytes }: DryJob, flags: SubmitFlags): string[] {
  const shown = (value: unknown) => oneLine(value === undefined ? 'nothing' : JSON.stringify(value), 100);
  const lines = differences.flatMap(({ node, classType, input: name, before: old, after }) => [
    `@ ${node}.${name} (${oneLine(classType, 60)})`,
    `- ${shown(old)}`,
    `+ ${shown(after)}`,
  ]);
  lines.push(
    `files     ${files.length === 0 ? 'none' : oneLine(files.join(', '), 300)}`,
    `size      ${megabytes(bytes)} of ${megabytes(limitBytes)} that /${flags.runsync ? 'runsync' : 'run'} takes`,
  );
  return lines;
}

function differencesOf(before: Workflow, after: Workflow): Difference[] {
  return Object.entries(after).flatMap(([node, { class_type: classType, inputs }]) =>
    Object.entries(inputs)
      .filter(([name, value]) => JSON.stringify(before[node]?.inputs[name]) !== JSON.stringify(value))
      .map(([input, value]) => ({ node, classType, input, before: before[node]?.inputs[input], after: value })),
  );
}
