/** `inject` and `inspect`: a workflow changed, or looked at; nothing is sent. */
import { resolve } from 'node:path';
import { writeNewFile } from '../../files/write-new-file.ts';
import { shippedDeclarations } from '../../introspection/declarations.ts';
import { type LoadedWorkflow, loadWorkflow } from '../../submit/load-workflow.ts';
import { injectWorkflow } from '../../workflow/inject/inject-workflow.ts';
import type { Spot } from '../../workflow/inject/spots.ts';
import {
  type InspectedValue,
  inspectWorkflow,
  type WorkflowInspection,
} from '../../workflow/inspect/inspect-workflow.ts';
import type { CommandContext } from '../command-context.ts';
import { type DeclarationFlags, declarationsFor } from '../declarations.ts';
import { noteInjected } from '../render/injected-text.ts';
import { noteLoaded } from '../render/loaded-text.ts';
import { oneLine } from '../terminal-text.ts';
import { withInterrupt } from './convert.ts';
import { injectionOf, prepareFromFlags, type SubmitFlags } from './submit-flags.ts';

/** Flags of `inject`. */
export interface InjectFlags extends SubmitFlags {
  readonly comfyUrl?: string;
  readonly out?: string;
  readonly force?: boolean;
}

async function load(file: string, flags: DeclarationFlags, context: CommandContext) {
  const declarations = declarationsFor(flags, context);
  const loaded = await withInterrupt(context, (signal) =>
    loadWorkflow({ path: file, folder: context.io.folder, stdin: context.io.stdin, declarations, signal }),
  );
  noteLoaded(loaded, context);
  const { objectInfo } = await declarations().catch(shippedDeclarations);
  return { loaded, objectInfo };
}

/** Prints the changed workflow, and nothing else, on stdout; the report goes to stderr. Files are named in it, not sent. */
export async function injectCommand(file: string, flags: InjectFlags, context: CommandContext): Promise<number> {
  const files = [flags.image, flags.mask, flags.video, flags.audio].some((list) => (list ?? []).length > 0);
  const { workflow, report } = files ? await withFiles(file, flags, context) : await withoutFiles(file, flags, context);
  const text = `${JSON.stringify(workflow, undefined, 2)}\n`;
  if (flags.out === undefined) {
    context.print(text, { ok: true, workflow, report });
    return 0;
  }
  await writeNewFile(resolve(context.io.folder, flags.out), text, '--out', flags.force === true);
  context.print('', { ok: true, path: resolve(context.io.folder, flags.out), workflow, report });
  context.note(`written   ${flags.out}`);
  return 0;
}

async function withoutFiles(file: string, flags: InjectFlags, context: CommandContext) {
  const { loaded, objectInfo } = await load(file, flags, context);
  const { workflow, report } = injectWorkflow(loaded.workflow, injectionOf(flags), { objectInfo });
  noteInjected(report, context);
  return { workflow, report };
}

/** The way of `run`, up to the moment before it sends. */
async function withFiles(file: string, flags: InjectFlags, context: CommandContext) {
  const target = { kind: 'direct', ...(flags.comfyUrl !== undefined && { comfyUrl: flags.comfyUrl }) } as const;
  const { input, report } = await withInterrupt(context, (signal) =>
    prepareFromFlags(file, { ...flags, validate: false }, target, context, signal),
  );
  return { workflow: input.workflow, report };
}

/** Shows what is in a workflow and what each flag would change. */
export async function inspectCommand(file: string, flags: DeclarationFlags, context: CommandContext): Promise<number> {
  const { loaded, objectInfo } = await load(file, flags, context);
  const inspection = inspectWorkflow(loaded.workflow, objectInfo);
  context.print(inspectionText(inspection, loaded), { ok: true, format: loaded.format, ...inspection });
  return 0;
}

function inspectionText(found: WorkflowInspection, loaded: LoadedWorkflow): string {
  const texts = (flag: string, spots: readonly InspectedValue[]) =>
    spots.length > 1 ? `${flag} (several: name one with --set)` : flag;
  const rows: [string, readonly string[]][] = [
    [texts('--prompt', found.prompt), found.prompt.map(valueLine)],
    [texts('--negative', found.negative), found.negative.map(valueLine)],
    ['positive and negative at once', found.shared.map(valueLine)],
    ['--seed', found.seeds.map(valueLine)],
    ['--image, in this order', found.images.map(valueLine)],
    ['--mask', found.masks.map(valueLine)],
    ['--video', found.videos.map(valueLine)],
    ['--audio', found.audios.map(valueLine)],
    ['models', found.models.map(valueLine)],
    ['outputs', found.outputs.map(nameOf)],
    ['--set', found.values.map(valueLine)],
    ['notes', found.notes],
  ];
  const blocks = rows
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => `${title}\n${lines.map((text) => `  ${text}\n`).join('')}`);
  return `${found.nodes} nodes, ${loaded.format === 'api' ? 'API format' : "editor's format"}\n${blocks.join('')}`;
}

function nameOf({ node, classType, title }: Spot): string {
  return oneLine(title === classType ? `${node} (${classType})` : `${node} (${title}, ${classType})`, 120);
}

function valueLine(value: InspectedValue): string {
  const name = `${value.node}.${value.inputs.join('+')}`;
  const owner = value.title === value.classType ? value.classType : `${value.title}, ${value.classType}`;
  return oneLine(`${name} (${owner}) = ${JSON.stringify(value.value)}`, 160);
}
