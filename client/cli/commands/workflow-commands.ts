/** The flags and the help of the commands that look at a workflow and send nothing. */
import type { Command } from 'commander';
import type { OutputFlags } from '../command-context.ts';
import type { DeclarationFlags } from '../declarations.ts';
import type { Carry } from '../program.ts';
import type { ConvertFlags } from './convert.ts';
import type { InjectFlags } from './inject.ts';
import { addInjectFlags, imageOption, objectInfoOption } from './submit-flags.ts';

/** What every command says about the workflow it takes. */
export const workflowArgument =
  "workflow in API format or as ComfyUI's editor saves it, or a PNG, WebP, JPEG, FLAC, MP4 or WebM file that ComfyUI made; - for standard input";

/** In the help of commands that convert. */
export const objectInfoHelp = `
Converting the editor's format needs to know the node classes. They come from the first of these that is there: --object-info,
the ComfyUI of --comfy-url or of the sandbox, what the endpoint's worker told when \`comfy-runpod describe\` asked last (within a
day), the classes that ship with this program, which have no custom nodes. No worker is started for it.
`;

/** Adds the commands. */
export function addWorkflowCommands(program: Command, carry: Carry): void {
  const convert = program
    .command('convert')
    .argument('<file>', workflowArgument)
    .description("print a workflow in API format, converted from the editor's format where it is in that")
    .addOption(objectInfoOption())
    .option('--comfy-url <url>', 'take the node classes from this ComfyUI')
    .option('-o, --out <file>', 'write a new file instead')
    .option('--force', 'let --out replace a file')
    .option('--partial', "print also when some nodes can't be converted faithfully; they are named on stderr")
    .option('--keep-text', 'leave {a|b} and %date% in texts as they are instead of resolving them as the editor does')
    .option('--json', 'print one JSON document with the workflow and the report on stdout, also on failure')
    .addHelpText(
      'after',
      `${objectInfoHelp}
Examples:
  $ comfy-runpod convert editor.json > api.json
  $ comfy-runpod convert picture.png --out api.json
  $ comfy-runpod convert editor.json --object-info http://127.0.0.1:8188
  $ cat editor.json | comfy-runpod convert - --json | jq .report.skipped
`,
    );
  convert.action((file: string, flags: ConvertFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./convert.ts')).convertCommand(file, flags, context)),
  );

  const validate = program
    .command('validate')
    .argument('<file>', workflowArgument)
    .description('check a workflow as ComfyUI would before it queues it, and send nothing')
    .addOption(objectInfoOption())
    .option('--comfy-url <url>', 'check it by the node classes of this ComfyUI')
    .option('--json', "print one JSON document: errors and `refusal` in the shape of ComfyUI's own answer, and advice")
    .addHelpText(
      'after',
      `${objectInfoHelp}
Errors are what ComfyUI would refuse: missing classes and models, wrong types, values out of range, links that lead nowhere or do
not fit, cycles, no output. Advice stops nothing. By classes that are not those of the worker, missing classes, models and values
of lists are advice. Exit code 0 without errors, 3 with errors. \`run\` and \`submit\` make the same check before they send anything.

Examples:
  $ comfy-runpod validate workflow.json
  $ comfy-runpod validate editor.json --comfy-url http://127.0.0.1:8188
  $ comfy-runpod validate workflow.json --json | jq .refusal.node_errors
`,
    );
  validate.action((file: string, flags: ConvertFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./validate.ts')).validateCommand(file, flags, context)),
  );

  const inject = addInjectFlags(
    program
      .command('inject')
      .argument('<file>', workflowArgument)
      .description('put prompts, seeds, files and values into a workflow and print it in API format'),
  );
  inject
    .addOption(imageOption())
    .addOption(objectInfoOption())
    .option('--comfy-url <url>', 'take the node classes from this ComfyUI')
    .option('-o, --out <file>', 'write a new file instead')
    .option('--force', 'let --out replace a file')
    .option('--json', 'print one JSON document with the workflow and the report on stdout, also on failure')
    .addHelpText(
      'after',
      `
The prompt is found from the samplers backwards; where several texts could be meant they are listed, and nothing is changed. Links are
never overwritten. The report goes to stderr, the workflow alone to stdout. Files are named in it; run and submit send them.

Examples:
  $ comfy-runpod inject workflow.json --prompt "a red fox" --seed random > changed.json
  $ comfy-runpod inject workflow.json --set "KSampler.steps=30" --set 3.cfg=7 --json | jq .report.changes
`,
    );
  inject.action((file: string, flags: InjectFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./inject.ts')).injectCommand(file, flags, context)),
  );

  const inspect = program
    .command('inspect')
    .argument('<file>', workflowArgument)
    .description(
      'show the prompts, seeds, files, models, outputs and values of a workflow, and which flag changes them',
    )
    .addOption(objectInfoOption())
    .option('--comfy-url <url>', 'take the node classes from this ComfyUI')
    .option('--json', 'print one JSON document on stdout, also on failure')
    .addHelpText(
      'after',
      '\nExamples:\n  $ comfy-runpod inspect workflow.json\n  $ comfy-runpod inspect picture.png --json | jq .seeds\n',
    );
  inspect.action((file: string, flags: DeclarationFlags & OutputFlags) =>
    carry(flags, async (context) => (await import('./inject.ts')).inspectCommand(file, flags, context)),
  );
}
