/** What a person is told about a workflow that was not simply read from an API-format file. */
import type { LoadedWorkflow } from '../../submit/load-workflow.ts';
import type { CommandContext } from '../command-context.ts';
import { oneLine } from '../terminal-text.ts';

/** Warnings shown; --json of `convert` has them all. */
const shownWarnings = 20;

/** Notes on stderr where the workflow is from and what its conversion has to say. */
export function noteLoaded(loaded: LoadedWorkflow, context: Pick<CommandContext, 'note' | 'json'>): void {
  if (context.json) return;
  const origin = originText(loaded);
  if (origin !== undefined) context.note(`workflow  ${origin}`);
  const { warnings } = loaded;
  for (const warning of warnings.slice(0, shownWarnings)) context.note(`note      ${oneLine(warning, 300)}`);
  if (warnings.length > shownWarnings) context.note(`note      and ${warnings.length - shownWarnings} more`);
}

/** Where the workflow is from; undefined for a file in API format. */
export function originText({ format, media, declarations }: LoadedWorkflow): string | undefined {
  const found = media === undefined ? undefined : `embedded in the ${media} file`;
  if (format === 'api') return found;
  const converted = `converted from the editor's format by ${declarations?.from ?? 'the shipped classes'}`;
  return found === undefined ? converted : `${found}, ${converted}`;
}
