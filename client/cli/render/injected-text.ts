/** What was put into a workflow, for the person who asked for it. */
import type { InjectedChange, InjectionReport } from '../../workflow/inject/inject-workflow.ts';
import type { CommandContext } from '../command-context.ts';
import { oneLine } from '../terminal-text.ts';

/** `3.steps (KSampler): 20 -> 30` */
export function changeText({ node, input, classType, title, before, after }: InjectedChange): string {
  const name = title === classType ? classType : `${title}, ${classType}`;
  const shown = (value: unknown) => oneLine(value === undefined ? 'nothing' : JSON.stringify(value), 80);
  return `${node}.${input} (${oneLine(name, 60)}): ${shown(before)} -> ${shown(after)}`;
}

/** Notes on stderr what changed. */
export function noteInjected(report: InjectionReport, context: Pick<CommandContext, 'note' | 'json'>): void {
  if (context.json) return;
  for (const change of report.changes) context.note(`set       ${changeText(change)}`);
  for (const note of report.notes) context.note(`note      ${oneLine(note, 300)}`);
}
