/** The commands, their flags and their help. What a command does is in commands/; parsing ends here. */
import { Command, Option } from 'commander';
import { packageVersion } from '../../shared/index.ts';
import type { CommandContext, OutputFlags } from './command-context.ts';
import { addBatchCommand } from './commands/batch-flags.ts';
import type { DemoFlags } from './commands/demo.ts';
import type { DescribeFlags } from './commands/describe.ts';
import type { DevFlags } from './commands/dev.ts';
import {
  cancelCommand,
  healthCommand,
  statusCommand,
  submitCommand,
  waitCommand,
} from './commands/endpoint-commands.ts';
import { addLedgerCommands } from './commands/ledger-flags.ts';
import { addModelsCommands } from './commands/models-commands.ts';
import { type RunFlags, runCommand } from './commands/run.ts';
import { addReuseFlags, addSubmitFlags, type SubmitFlags } from './commands/submit-flags.ts';
import { addProfileFlag, addTerminalCommands } from './commands/terminal-commands.ts';
import { addWorkflowCommands, objectInfoHelp, workflowArgument } from './commands/workflow-commands.ts';

/** How a parsed command is carried out: makes the context and remembers the exit code. */
export type Carry = (output: boolean | OutputFlags, act: (context: CommandContext) => Promise<number>) => Promise<void>;

const defaultOut = 'results';

function jsonFlag(command: Command): Command {
  return command.option('--json', 'print one JSON document on stdout, also on failure');
}

/** For commands that follow a job. */
function followFlags(command: Command): Command {
  return jsonFlag(command)
    .option('--jsonl', 'print a line of JSON for everything that happens; the last one is the result')
    .option('-q, --quiet', 'print results and errors only')
    .option('--open', 'open the saved files with the programs that this machine has for them')
    .option('--no-show', 'do not draw the saved pictures in a terminal that can');
}

function outFlag(command: Command): Command {
  return command.option('-o, --out <folder>', 'folder for the results; nothing in it is overwritten', defaultOut);
}

function sandboxOption(): Option {
  return new Option('--sandbox', 'use the sandbox even when an endpoint is configured');
}

function comfyFlags(command: Command): Command {
  return command
    .option('--comfy-url <url>', 'drive this ComfyUI instead')
    .option('--comfy-input-dir <path>', 'its input folder, when it is on this disk (all three or none)')
    .option('--comfy-output-dir <path>', 'its output folder')
    .option('--comfy-temp-dir <path>', 'its temp folder (the one that holds the files)');
}

/** The flags of a command after parsing. Which there are, each command declares right beside its use. */
type Flags = OutputFlags;

/** `run workflow.json --image a.png b.png`: the second picture is an argument by the time it gets here. */
function withPictures<F extends SubmitFlags>(flags: F, pictures: readonly string[]): F {
  return { ...flags, image: [...flags.image, ...pictures] };
}

function examples(command: Command, lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`);
}

/** Builds the program. */
export function createProgram(carry: Carry): Command {
  const program = new Command('comfy-runpod')
    .description(
      'Run ComfyUI workflows on RunPod Serverless, on a sandbox on this machine, or on a ComfyUI of your own.',
    )
    .version(packageVersion)
    .showHelpAfterError('(see `comfy-runpod --help`)')
    .addHelpText(
      'after',
      '\nRunPod is used when RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID are set, in the environment or in .env; a key is never a flag.\n' +
        'Without them `run` uses the sandbox. Exit codes: docs/errors.md.\n',
    );
  addRun(program, carry);
  addEndpointCommands(program, carry);
  addLocalCommands(program, carry);
  addWorkflowCommands(program, carry);
  addBatchCommand(program, carry, (command) => {
    addSubmitFlags(command);
    outFlag(command);
    comfyFlags(command);
    command.addOption(sandboxOption());
    followFlags(command);
  });
  addModelsCommands(program, carry);
  addLedgerCommands(program, carry);
  addTerminalCommands(program, carry);
  addProfileFlag(program);
  return program;
}

function addRun(program: Command, carry: Carry): void {
  const command = program
    .command('run')
    .argument('<workflow>', workflowArgument)
    .description('run a workflow and save its results');
  addReuseFlags(addSubmitFlags(command));
  outFlag(command);
  comfyFlags(command);
  command.addOption(sandboxOption());
  followFlags(command);
  examples(command, [
    'comfy-runpod run workflow.json --image photo.png',
    'comfy-runpod run workflow.json --image 12=face.png --image Background=sky.jpg --out pictures',
    'comfy-runpod run workflow.json --image photo.png --comfy-url http://127.0.0.1:8188',
    'comfy-runpod run workflow.json --json | jq -r .files[].path',
    'comfy-runpod run results/picture.png',
  ]).addHelpText('after', objectInfoHelp);
  command.action((workflow: string, pictures: string[], flags: RunFlags & Flags) =>
    carry(flags, (context) => runCommand(workflow, withPictures(flags, pictures), context)),
  );
}

function addEndpointCommands(program: Command, carry: Carry): void {
  const submit = program
    .command('submit')
    .argument('<workflow>', workflowArgument)
    .description('submit a workflow and print the id of the job');
  jsonFlag(addReuseFlags(addSubmitFlags(submit)));
  examples(submit, [
    'id=$(comfy-runpod submit workflow.json --image photo.png)',
    'comfy-runpod wait "$id" --out pictures',
  ]);
  submit.action((workflow: string, pictures: string[], flags: SubmitFlags & Flags) =>
    carry(flags.json === true, (context) => submitCommand(workflow, withPictures(flags, pictures), context)),
  );

  const status = jsonFlag(
    program.command('status').argument('<id>', 'id of a job').description('show a job as it is now'),
  );
  examples(status, ['comfy-runpod status 4bd5a1c2-3e4f-4a5b-8c6d-7e8f9a0b1c2d-u1']);
  status.action((id: string, flags: Flags) => carry(flags.json === true, (context) => statusCommand(id, context)));

  const wait = program
    .command('wait')
    .argument('<id>', 'id of a job')
    .description('wait for a job and save its results');
  followFlags(outFlag(wait));
  examples(wait, ['comfy-runpod wait "$id" --out pictures']);
  wait.action((id: string, flags: Parameters<typeof waitCommand>[1] & Flags) =>
    carry(flags, (context) => waitCommand(id, flags, context)),
  );

  const cancel = jsonFlag(program.command('cancel').argument('<id>', 'id of a job').description('stop a job'));
  examples(cancel, ['comfy-runpod cancel "$id"']);
  cancel.action((id: string, flags: Flags) => carry(flags.json === true, (context) => cancelCommand(id, context)));

  const health = jsonFlag(program.command('health').description('show the jobs and workers of the endpoint'));
  examples(health, ['comfy-runpod health', 'comfy-runpod health --json | jq .workers.idle']);
  health.action((flags: Flags) => carry(flags.json === true, (context) => healthCommand(context)));

  const describe = jsonFlag(
    program
      .command('describe')
      .description('ask a worker for its node classes, models, versions, limits and space')
      .option('-o, --out <file>', 'write the description with all node classes into a new JSON file')
      .option('--fresh', 'ask the worker even when its description is kept from an earlier call'),
  );
  examples(describe, ['comfy-runpod describe', 'comfy-runpod describe --json | jq .models.loras']);
  describe.action((flags: DescribeFlags & Flags) =>
    carry(flags.json === true, async (context) =>
      (await import('./commands/describe.ts')).describeCommand(flags, context),
    ),
  );
}

function addLocalCommands(program: Command, carry: Carry): void {
  const dev = program
    .command('dev')
    .description('start a RunPod emulator with a worker on this machine and print what to export')
    .option('--port <number>', 'port of the emulator; default: a free one')
    .option('--faults <file>', 'fault script in JSON: makes the emulator misbehave');
  jsonFlag(comfyFlags(dev));
  examples(dev, [
    'comfy-runpod dev --port 8000',
    'comfy-runpod dev --comfy-url http://127.0.0.1:8188',
    'comfy-runpod dev --faults faults.json',
  ]);
  dev.action((flags: DevFlags & Flags) =>
    carry(flags.json === true, async (context) => (await import('./commands/dev.ts')).devCommand(flags, context)),
  );

  const demo = program.command('demo').description('run the example workflow on this machine, from picture to picture');
  followFlags(comfyFlags(outFlag(demo)));
  examples(demo, ['comfy-runpod demo', 'comfy-runpod demo --comfy-url http://127.0.0.1:8188']);
  demo.action((flags: DemoFlags & Flags) =>
    carry(flags, async (context) => (await import('./commands/demo.ts')).demoCommand(flags, context)),
  );

  const inspect = jsonFlag(
    program
      .command('inspect-worker')
      .description('inside the container of a worker (as `comfy-runpod-inspect`): what it does, has and did last'),
  );
  examples(inspect, ['comfy-runpod inspect-worker', 'comfy-runpod inspect-worker --json | jq .inspection.jobs']);
  inspect.action((flags: Flags) =>
    carry(flags.json === true, async (context) =>
      (await import('./commands/inspect-worker.ts')).inspectWorkerCommand(context),
    ),
  );

  const worker = program
    .command('worker')
    .description('the worker itself: what the container image starts; configured by environment variables only');
  examples(worker, ['comfy-runpod worker']);
  worker.action(() =>
    carry(false, async (context) => (await import('./commands/worker.ts')).workerCommand(context.io.environment)),
  );
}
