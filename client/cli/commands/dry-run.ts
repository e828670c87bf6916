/** `--dry-run` of run and submit: what would change in the workflow and how large the job would be. Sends nothing and needs no endpoint. */
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

/** Shows it on stdout. Throws what submitting would throw before it sends. */
export async function dryRun(
  workflow: string,
  flags: SubmitFlags & Partial<Pick<RunFlags, 'comfyUrl'>>,
  context: CommandContext,
): Promise<number> {
  const { comfyUrl } = flags;
  const kind = comfyUrl === undefined ? 'runpod' : 'direct';
  const target = { kind, ...(comfyUrl !== undefined && { comfyUrl }) } as const;
  const quiet = { ...context, note: () => undefined };
  const { input, options, seeds, before } = await withInterrupt(context, (signal) =>
    prepareFromFlags(workflow, flags, target, quiet, signal),
  );
  const differences = differencesOf(before, input.workflow as Workflow);
  const bytes = Buffer.byteLength(JSON.stringify({ input }));
  const limitBytes = options.route === 'runsync' ? limits.runsyncBodyBytes : limits.runBodyBytes;
  const shown = (value: unknown) => oneLine(value === undefined ? 'nothing' : JSON.stringify(value), 100);
  const lines = differences.flatMap(({ node, classType, input: name, before: old, after }) => [
    `@ ${node}.${name} (${oneLine(classType, 60)})`,
    `- ${shown(old)}`,
    `+ ${shown(after)}`,
  ]);
  const files = (input.files ?? []).map(({ name }) => name);
  lines.push(
    `files     ${files.length === 0 ? 'none' : oneLine(files.join(', '), 300)}`,
    `size      ${megabytes(bytes)} of ${megabytes(limitBytes)} that /${options.route ?? 'run'} takes`,
    'sent      nothing (--dry-run)',
  );
  context.print(`${lines.join('\n')}\n`, {
    ok: true,
    dryRun: true,
    differences,
    seeds,
    files,
    bytes,
    limitBytes,
    workflow: input.workflow,
  });
  return 0;
}

function differencesOf(before: Workflow, after: Workflow): Difference[] {
  return Object.entries(after).flatMap(([node, { class_type: classType, inputs }]) =>
    Object.entries(inputs)
      .filter(([name, value]) => JSON.stringify(before[node]?.inputs[name]) !== JSON.stringify(value))
      .map(([input, value]) => ({ node, classType, input, before: before[node]?.inputs[input], after: value })),
  );
}
