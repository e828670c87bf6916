/** The flags of the commands that are about this machine and its settings: doctor, profiles and completion; and --profile of all others. */
import { Argument, type Command } from 'commander';
import type { OutputFlags } from '../command-context.ts';
import { type CompletionShell, completionScript, completionShells } from '../complete.ts';
import type { Carry } from '../program.ts';
import type { DoctorFlags } from './doctor.ts';

/** Commands that reach an endpoint, and so take --profile. */
const reaching = new Set([
  'run',
  'submit',
  'batch',
  'status',
  'wait',
  'fetch',
  'resume',
  'cancel',
  'health',
  'describe',
  'doctor',
  'validate',
  'convert',
  'inject',
  'inspect',
]);

/** Adds --profile to every command that reaches an endpoint. Called when all commands are there. */
export function addProfileFlag(program: Command): void {
  for (const command of program.commands.filter((one) => reaching.has(one.name()))) {
    command.option(
      '--profile <names>',
      'endpoint by its name in the file of profiles; several, or `auto`, to choose from',
    );
  }
}

/** Adds the commands. */
export function addTerminalCommands(program: Command, carry: Carry): void {
  const doctor = program
    .command('doctor')
    .description('check this machine, the settings, the key, the endpoint, its workers and their version')
    .option('-o, --out <folder>', 'folder for results that is checked', 'results')
    .option('--ping', 'ask a worker for its version even when that wakes one, which costs GPU time')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText(
      'after',
      '\nExit code 0 when nothing failed. Warnings and notes do not count.\n\nExamples:\n  $ comfy-runpod doctor\n  $ comfy-runpod doctor --ping --json | jq .checks\n',
    );
  doctor.action((flags: DoctorFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./doctor.ts')).doctorCommand(flags, context)),
  );

  const profiles = program
    .command('profiles')
    .description('list the named endpoints, their workers and queues, and where their file is')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText('after', '\nThe file is described in docs/profiles.md.\n\nExamples:\n  $ comfy-runpod profiles\n');
  profiles.action((flags: OutputFlags) =>
    carry(flags, async (context) => (await import('./profiles.ts')).profilesCommand(context)),
  );

  const name = program.name();
  const completion = program
    .command('completion')
    .description('print a script that completes commands and flags in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(completionShells))
    .addHelpText(
      'after',
      `\nExamples:\n  $ echo 'eval "$(${name} completion bash)"' >> ~/.bashrc\n  $ ${name} completion zsh > "\${fpath[1]}/_${name}"\n  $ ${name} completion fish > ~/.config/fish/completions/${name}.fish\n`,
    );
  completion.action((shell: CompletionShell) =>
    carry(false, async (context) => {
      context.io.stdout.write(completionScript(program, shell));
      return 0;
    }),
  );
}
