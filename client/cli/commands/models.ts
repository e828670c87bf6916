/** `models plan`: what workflows need, as a lock file. `models pull`: fetch what a manifest, a lock file or a MODELS list names. */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  ComfyRunpodError,
  exitCodes,
  type ModelSpec,
  modelLabel,
  parseModels,
  sourceLabel,
} from '../../../shared/index.ts';
import { parseManifest, writeManifest } from '../../../shared/models/manifest-text.ts';
import { readWorkflowBytes, stdinPath } from '../../files/read-workflow-bytes.ts';
import { writeNewFile } from '../../files/write-new-file.ts';
import { declaredModels } from '../../models/declared-models.ts';
import { findModels, type NeededModel } from '../../models/find-models.ts';
import { planModels } from '../../models/plan-models.ts';
import { loadWorkflow } from '../../submit/load-workflow.ts';
import type { CommandContext } from '../command-context.ts';
import { type DeclarationFlags, declarationsFor } from '../declarations.ts';
import { plainText } from '../terminal-text.ts';
import { withInterrupt } from './convert.ts';

/** Flags of `models plan`. */
export interface PlanFlags extends DeclarationFlags {
  readonly out: string;
  readonly from: readonly string[];
  readonly force?: boolean;
  /** Ask the hub for sizes and hashes. */
  readonly pin?: boolean;
}

/** Flags of `models pull`. */
export interface PullFlags {
  readonly into: string;
  readonly allowPickle?: boolean;
}

/** Lists what the workflows need and writes the lock file. */
export async function planModelsCommand(
  workflows: readonly string[],
  flags: PlanFlags,
  context: CommandContext,
): Promise<number> {
  const needed: NeededModel[] = [];
  const declared: ModelSpec[] = [];
  await withInterrupt(context, async (signal) => {
    for (const path of workflows) {
      const file = { path, folder: context.io.folder, stdin: context.io.stdin, signal };
      const loaded = await loadWorkflow({ ...file, declarations: declarationsFor(flags, context), partial: true });
      needed.push(...findModels(loaded.workflow));
      if (path !== stdinPath && loaded.media === undefined && loaded.format === 'editor') {
        declared.push(
          ...declaredModels(JSON.parse(Buffer.from((await readWorkflowBytes(file)).bytes).toString('utf8'))),
        );
      }
    }
  });
  const known = (await Promise.all(flags.from.map((text) => readModelList(text, context)))).flat();
  const { specs: planned, unknown } = planModels(needed, [...known, ...declared]);
  const specs = flags.pin === true ? await pinned(planned, context) : planned;
  const open = specs.filter(({ source }) => source.kind === 'none');
  const path = resolve(context.io.folder, flags.out);
  const comment = `Models of ${workflows.length === 1 ? 'a workflow' : `${workflows.length} workflows`}, by comfy-runpod models plan. docs/models.md describes the form.`;
  await writeNewFile(path, writeManifest(specs, comment), '--out', flags.force === true);
  const lines = [
    ...specs.map((spec) => `${modelLabel(spec)}  ${sourceLabel(spec.source)}`),
    ...unknown.map(
      ({ name, uses }) => `?/${name}  node ${uses[0]?.node} (${uses[0]?.classType}): its folder is not known`,
    ),
  ];
  context.print(`${lines.map(plainText).join('\n')}\n`, { ok: true, path, models: specs, unknown });
  context.note(`written   ${flags.out}`);
  if (open.length > 0) {
    context.note(
      `${open.length} of them have no source: add url, or repo and file, to their entries in ${flags.out}; or give --from a manifest that has them.`,
    );
  }
  return exitCodes.success;
}

async function pinned(specs: readonly ModelSpec[], context: CommandContext): Promise<ModelSpec[]> {
  const { lockModels } = await import('../model-files.ts');
  return withInterrupt(context, (signal) => lockModels(specs, context.environment, signal));
}

/** Fetches models into a folder. The exit code is that of the first one that can't be had. */
export async function pullModelsCommand(list: string, flags: PullFlags, context: CommandContext): Promise<number> {
  const specs = await readModelList(list, context);
  const into = resolve(context.io.folder, flags.into);
  await mkdir(into, { recursive: true }).catch((error: unknown) => {
    throw new ComfyRunpodError('USAGE', 'The folder of --into can not be made.', { cause: error });
  });
  const { pullModels } = await import('../model-files.ts');
  const states = await withInterrupt(context, (signal) =>
    pullModels(specs, {
      into,
      allowPickle: flags.allowPickle === true,
      environment: context.environment,
      note: context.note,
      signal,
    }),
  );
  const failed = states.filter((state) => state.where === 'missing');
  const first = failed[0]?.error;
  if (first !== undefined) {
    throw new ComfyRunpodError(first.code, failed.map(({ error }) => error?.message ?? '').join(' '), {
      cause: first,
      nextStep: first.nextStep,
      details: { ...first.details, missing: failed.length },
    });
  }
  context.print(
    states.map(({ label, where, bytes }) => `${where.padEnd(11)} ${plainText(label)}  ${bytes} bytes\n`).join(''),
    {
      ok: true,
      into,
      models: states.map(({ label, where, bytes, path }) => ({ label, where, bytes, path })),
    },
  );
  return exitCodes.success;
}

/** A manifest by its path, or a list in the form of MODELS. */
async function readModelList(text: string, context: CommandContext): Promise<ModelSpec[]> {
  const path = resolve(context.io.folder, text);
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile && /:/.test(text)) return parseModels(text);
  if (!isFile)
    throw new ComfyRunpodError('FILE_NOT_FOUND', 'There is no such manifest, and it is no list of models either.');
  return parseManifest(await readFile(path, 'utf8'), 'The manifest');
}
