/** `validate`: everything that ComfyUI would refuse about a workflow, and advice, without sending it anywhere. */
import { exitCodes } from '../../../shared/index.ts';
import { checkWorkflow, errorSentence, withNearest } from '../../submit/check-workflow.ts';
import { loadWorkflow } from '../../submit/load-workflow.ts';
import { promptRefusal } from '../../workflow/validate/prompt-answer.ts';
import type { CommandContext } from '../command-context.ts';
import { type DeclarationFlags, declarationsFor } from '../declarations.ts';
import { noteLoaded } from '../render/loaded-text.ts';
import { oneLine } from '../terminal-text.ts';
import { withInterrupt } from './convert.ts';

/** Prints errors and advice. Exit code 0 without errors, that of the input family with them. */
export async function validateCommand(file: string, flags: DeclarationFlags, context: CommandContext): Promise<number> {
  const { io } = context;
  const declarations = declarationsFor(flags, context);
  const loaded = await withInterrupt(context, (signal) =>
    loadWorkflow({ path: file, folder: io.folder, stdin: io.stdin, declarations, signal }),
  );
  noteLoaded(loaded, context);
  const known = await declarations();
  const { workflow } = loaded;
  const validation = checkWorkflow(workflow, known);
  const { errors, advice } = validation;
  const lines = [
    ...errors.map((error) => `${context.paint.red('error')}   ${oneLine(errorSentence(error), 500)}\n`),
    ...advice.map(({ message, nearest }) => `advice  ${oneLine(withNearest(message, nearest), 500)}\n`),
    `${errors.length === 0 ? 'valid ' : 'refused'} by ${known.from}${known.exact ? '' : ', which may not be those that run it'}\n`,
  ];
  const refusal = promptRefusal(validation, workflow, known.objectInfo);
  context.print(lines.join(''), {
    ok: errors.length === 0,
    checkedBy: { from: known.from, exact: known.exact },
    errors,
    advice,
    ...(refusal && { refusal }),
  });
  return errors.length === 0 ? 0 : exitCodes.input;
}
