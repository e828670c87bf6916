/** What a person is told about a workflow that was not simply read from an API-format file. */
import { withNearest } from '../../submit/check-workflow.ts';
import type { LoadedWorkflow } from '../../submit/load-workflow.ts';
import type { ValidationAdvice } from '../../workflow/validate/validation.ts';
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

/** Advice on stderr, or as events with --jsonl. */
export function noteAdvice(
  advice: readonly ValidationAdvice[],
  context: Pick<CommandContext, 'note' | 'json' | 'emit'>,
): void {
  for (const one of advice) context.emit({ type: 'advice', ...one });
  if (context.json) return;
  for (const { message, nearest } of advice.slice(0, shownWarnings)) {
    context.note(`advice    ${oneLine(withNearest(message, nearest), 400)}`);
  }
  if (advice.length > shownWarnings) context.note(`advice    and ${advice.length - shownWarnings} more`);
}
