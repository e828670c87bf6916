/** `convert`: a workflow in any form that is understood -> API format on stdout, for people and for pipes. */
import { resolve } from 'node:path';
import { ComfyRunpodError } from '../../../shared/index.ts';
import { writeNewFile } from '../../files/write-new-file.ts';
import { type LoadedWorkflow, loadWorkflow } from '../../submit/load-workflow.ts';
import type { CommandContext } from '../command-context.ts';
import { type DeclarationFlags, declarationsFor } from '../declarations.ts';
import { noteLoaded } from '../render/loaded-text.ts';

/** Flags of the command. */
export interface ConvertFlags extends DeclarationFlags {
  readonly out?: string;
  readonly force?: boolean;
  readonly partial?: boolean;
  readonly keepText?: boolean;
}

/** Prints the workflow, and nothing else, on stdout; the report goes to stderr. With `--json`: one document with both. */
export async function convertCommand(file: string, flags: ConvertFlags, context: CommandContext): Promise<number> {
  const { io } = context;
  const loaded = await withInterrupt(context, (signal) =>
    loadWorkflow({
      path: file,
      folder: io.folder,
      stdin: io.stdin,
      declarations: declarationsFor(flags, context),
      partial: flags.partial === true,
      convert: { resolveText: flags.keepText !== true },
      signal,
    }),
  );
  noteLoaded(loaded, context);
  const text = `${JSON.stringify(loaded.workflow, undefined, 2)}\n`;
  if (flags.out === undefined) {
    context.print(text, document(loaded));
    return 0;
  }
  const path = resolve(io.folder, flags.out);
  await writeNewFile(path, text, '--out', flags.force === true);
  context.print('', { ...document(loaded), path });
  context.note(`written   ${flags.out}`);
  return 0;
}

function document({ workflow, format, media, declarations, report, warnings }: LoadedWorkflow): object {
  return {
    ok: true,
    format,
    ...(media !== undefined && { media }),
    ...(declarations && { convertedBy: { from: declarations.from, exact: declarations.exact } }),
    workflow,
    ...(report && { report }),
    warnings,
  };
}

/** Runs something that a person may leave with Ctrl-C before anything was sent. */
export async function withInterrupt<T>(
  context: Pick<CommandContext, 'io'>,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const unsubscribe = context.io.onInterrupt(() =>
    controller.abort(new ComfyRunpodError('JOB_CANCELLED', 'Interrupted.')),
  );
  try {
    return await use(controller.signal);
  } finally {
    unsubscribe();
  }
}
