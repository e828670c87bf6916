/** The flags and the help of `batch`. */
import type { Command } from 'commander';
import type { OutputFlags } from '../command-context.ts';
import type { Carry } from '../program.ts';
import type { BatchFlags } from './batch.ts';

/** Adds the command to `program`; `addFlags` adds what it shares with `run`. */
export function addBatchCommand(program: Command, carry: Carry, addFlags: (command: Command) => void): void {
  const collect = (value: string, previous: readonly string[]) => [...previous, value];
  const command = program
    .command('batch')
    .argument('<workflow>', 'workflow, as for run')
    .description('run a workflow with many values: items from a file, a grid, or both')
    .option('--items <file>', 'items as JSON lines or CSV, by the names of flags or NODE.input; - reads stdin');
  addFlags(command);
  command
    .option(
      '--grid <name=values>',
      'values of one flag or NODE.input; every combination is run; repeatable',
      collect,
      [],
    )
    .option('--concurrency <number>', 'items at once', '4')
    .option('--max-cost <dollars>', 'start nothing that could cost more than this in all')
    .option('--retry-failed', 'try items again that failed in an earlier call')
    .option('--no-sheet', 'draw no contact sheet')
    .addHelpText(
      'after',
      `
The same command on the same --out goes on where it was stopped: what is done is not rendered again, jobs that run are followed.
Results are named by their item; contact-sheet.png shows them all with the values that vary.

Examples:
  $ comfy-runpod batch workflow.json --grid seed=1..10 --grid "KSampler.cfg=4,7" --out sweep
  $ comfy-runpod batch workflow.json --items prompts.csv --max-cost 2.50 --concurrency 8
  $ comfy-runpod batch workflow.json --items items.jsonl --json | jq .items[].files
`,
    );
  command.action((workflow: string, pictures: string[], flags: BatchFlags & OutputFlags) =>
    carry(flags, async (context) =>
      (await import('./batch.ts')).batchCommand(workflow, { ...flags, image: [...flags.image, ...pictures] }, context),
    ),
  );
}
