/** An error as a person reads it, and as a program does. */
import { type ComfyRunpodError, limits } from '../../../shared/index.ts';
import { oneLine, type Palette, plainText } from '../terminal-text.ts';

/** Issues shown to a person; `--json` has them all. */
const shownIssues = 10;

/** `error CODE: message`, its issues, and the next step. */
export function errorText(error: ComfyRunpodError, paint: Palette): string {
  const lines = [`${paint.red(`error ${error.code}:`)} ${plainText(error.message)}`];
  const { issues } = error;
  // An issue that the message says already is not repeated.
  const news = issues.filter((issue) => !error.message.includes(issue.message) || issues.length > 1);
  for (const issue of news.slice(0, shownIssues)) lines.push(`  - ${issueText(issue)}`);
  if (news.length > shownIssues) lines.push(`  - and ${news.length - shownIssues} more (see --json)`);
  lines.push(...frames(error));
  lines.push(`${paint.bold('next:')} ${plainText(error.nextStep)}`);
  return `${lines.join('\n')}\n`;
}

/** For a defect: where it happened, for the report. Frames name our files only, never content. */
function frames(error: ComfyRunpodError): string[] {
  if (error.code !== 'INTERNAL' || !(error.cause instanceof Error)) return [];
  const stack = (error.cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return stack.slice(0, 4).map((line) => `  ${line.trim()}`);
}

function issueText(issue: ComfyRunpodError['issues'][number]): string {
  const node = issue.node === undefined ? '' : `node ${issue.node}${issue.classType ? ` (${issue.classType})` : ''}`;
  const where = [node, issue.field].filter((part) => part !== undefined && part !== '').join(', ');
  return oneLine(where === '' ? issue.message : `${where}: ${issue.message}`, limits.errorMessageChars);
}

/** The error in the `--json` document. */
export function errorDocument(error: ComfyRunpodError): object {
  return {
    code: error.code,
    message: error.message,
    nextStep: error.nextStep,
    issues: error.issues,
    details: error.details,
  };
}
