/** The flags and the help of the commands that ask the ledger. */
import { type Command, Option } from 'commander';
import type { OutputFlags } from '../command-context.ts';
import type { Carry } from '../program.ts';
import type { CostFlags, JobsFlags } from './ledger-commands.ts';

const load = () => import('./ledger-commands.ts');

/** Adds the commands. */
export function addLedgerCommands(program: Command, carry: Carry): void {
  const json = (command: Command) => command.option('--json', 'print one JSON document on stdout, also on failure');
  const examples = (command: Command, lines: readonly string[]) =>
    command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`);

  const jobs = json(
    program
      .command('jobs')
      .description('list the jobs that this user has sent, the latest first, with what became of them')
      .option('--state <list>', 'only jobs in these states, separated by commas')
      .option('--limit <number>', 'at most so many', '20'),
  );
  examples(jobs, [
    'comfy-runpod jobs',
    'comfy-runpod jobs --state submitted,ended',
    'comfy-runpod jobs --json | jq .jobs[0]',
  ]);
  jobs.action((flags: JobsFlags & OutputFlags) =>
    carry(flags, async (context) => (await load()).jobsCommand(flags, context)),
  );

  const fetch = json(
    program
      .command('fetch')
      .argument('<id>', 'id of a job that has ended')
      .description('save the result of a job again, while RunPod keeps it; later say where its files are')
      .option('-o, --out <folder>', 'folder for the results; default: where they were meant to go'),
  );
  examples(fetch, ['comfy-runpod fetch "$id" --out again']);
  fetch.action((id: string, flags: { readonly out?: string } & OutputFlags) =>
    carry(flags, async (context) => (await load()).fetchCommand(id, flags, context)),
  );

  const resume = json(
    program
      .command('resume')
      .description(
        'follow every unfinished job to its end, save its results and close its entry: after a crash, a reboot, elsewhere',
      )
      .option('-o, --out <folder>', 'folder for results of jobs that were submitted without one', 'results'),
  );
  examples(resume, ['comfy-runpod resume', 'comfy-runpod resume --json | jq .jobs']);
  resume.action((flags: { readonly out: string } & OutputFlags) =>
    carry(flags, async (context) => (await load()).resumeCommand(flags, context)),
  );

  const cost = json(
    program
      .command('cost')
      .description('sum up what jobs took and cost')
      .addOption(new Option('--by <what>', 'sum up by').choices(['day', 'endpoint', 'workflow']).default('day'))
      .option('--days <number>', 'jobs of the last days', '30'),
  );
  examples(cost, ['comfy-runpod cost', 'comfy-runpod cost --by workflow --days 7']);
  cost.action((flags: CostFlags & OutputFlags) =>
    carry(flags, async (context) => (await load()).costCommand(flags, context)),
  );
}
