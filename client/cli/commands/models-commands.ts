/** The flags and the help of `models plan` and `models pull`. */
import type { Command } from 'commander';
import type { OutputFlags } from '../command-context.ts';
import type { Carry } from '../program.ts';
import type { PlanFlags, PullFlags } from './models.ts';
import { objectInfoOption } from './submit-flags.ts';

/** Adds the commands. */
export function addModelsCommands(program: Command, carry: Carry): void {
  const models = program
    .command('models')
    .description('list the models that workflows need, and fetch models into a folder (docs/models.md)');
  const plan = models
    .command('plan')
    .argument('<workflow...>', 'workflows, in any form that `run` takes')
    .description('list the models that workflows need and write a lock file, which MODELS_MANIFEST takes')
    .option('-o, --out <file>', 'the lock file', 'models.lock.yaml')
    .option('--force', 'let --out replace a file')
    .option(
      '--from <list>',
      'manifest, or a list as in MODELS, that says where models come from; may be repeated',
      collect,
      [],
    )
    .option('--pin', 'ask the hub for size and SHA-256 of every file and write them down; uses HF_TOKEN')
    .addOption(objectInfoOption())
    .option('--comfy-url <url>', 'take the node classes from this ComfyUI')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText(
      'after',
      `
Sources are taken from --from and, for workflows in the editor's format, from what their templates note.

Examples:
  $ comfy-runpod models plan workflow.json --pin
  $ comfy-runpod models plan one.json two.json --from sources.yaml --out models.lock.yaml --force
`,
    );
  plan.action((workflows: string[], flags: PlanFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./models.ts')).planModelsCommand(workflows, flags, context)),
  );

  const pull = models
    .command('pull')
    .argument('<list>', 'manifest or lock file, or a list as in MODELS')
    .description('fetch models into a folder: resumed, several ranges at once, hashes checked')
    .option('--into <folder>', "a models folder: ComfyUI's own, or that of a network volume", 'models')
    .option('--allow-pickle', 'accept formats that can carry code (.ckpt, .pt, .pth, .bin, .pkl)')
    .option('--json', 'print one JSON document on stdout')
    .addHelpText(
      'after',
      `
HF_TOKEN is used for models that need a login; it is never a flag.

Examples:
  $ comfy-runpod models pull models.lock.yaml --into /workspace/ComfyUI/models
  $ comfy-runpod models pull maker/pack:lora.safetensors:loras --into models
`,
    );
  pull.action((list: string, flags: PullFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./models.ts')).pullModelsCommand(list, flags, context)),
  );
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
