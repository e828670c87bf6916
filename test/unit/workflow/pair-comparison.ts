/**
 * Compares a conversion with what the editor made of the same workflow. Whatever is not compared is counted, by reason, so that the test can see
 * how little that is.
 */

import { findClass, type ObjectInfo } from '../../../client/workflow/convert/object-info.ts';
import type { Workflow } from '../../../shared/index.ts';

/** What the editor sent, as recorded. */
export type RecordedPrompt = Readonly<
  Record<string, { class_type: string; inputs: Record<string, unknown>; _meta?: { title?: string } }>
>;

/** How much was compared and how much set aside. */
export interface Tally {
  nodes: number;
  inputs: number;
  /** Inputs that the server does not declare, such as `upload`. */
  undeclaredInputs: number;
  /** Nodes whose class the given object info lacks: their links are compared, their values can't be. */
  unknownClassNodes: number;
  /** Nodes on one side only that reach no output. */
  unreachedNodes: number;
  /** Inputs that newer versions of a class have: the recording can't hold them, ours must be the declared default. */
  newerInputs: number;
}

export function emptyTally(): Tally {
  return { nodes: 0, inputs: 0, undeclaredInputs: 0, unknownClassNodes: 0, unreachedNodes: 0, newerInputs: 0 };
}

function reached(prompt: RecordedPrompt | Workflow, objectInfo: ObjectInfo): Set<string> {
  const waiting = Object.entries(prompt).flatMap(([id, node]) =>
    findClass(objectInfo, node.class_type)?.isOutput ? [id] : [],
  );
  const seen = new Set(waiting);
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const value of Object.values(prompt[id]?.inputs ?? {})) {
      const source = Array.isArray(value) && value.length === 2 ? String(value[0]) : undefined;
      if (source === undefined || seen.has(source)) continue;
      seen.add(source);
      waiting.push(source);
    }
  }
  return seen;
}

/** Lists every difference as a line of text; adds to the tally. */
export function compareWithRecording(
  ours: Workflow,
  recorded: RecordedPrompt,
  objectInfo: ObjectInfo,
  tally: Tally,
): string[] {
  const differences: string[] = [];
  const used = new Set([...reached(recorded, objectInfo), ...reached(ours, objectInfo)]);
  for (const id of new Set([...Object.keys(recorded), ...Object.keys(ours)])) {
    const [theirs, mine] = [recorded[id], ours[id]];
    if (!theirs || !mine) {
      if (used.has(id)) differences.push(`node ${id}: ${mine ? 'not in the recording' : 'missing'}`);
      else tally.unreachedNodes += 1;
      continue;
    }
    if (theirs.class_type !== mine.class_type) differences.push(`node ${id}: class ${mine.class_type}`);
    const declared = findClass(objectInfo, theirs.class_type);
    if (!declared) {
      tally.unknownClassNodes += 1;
      const links = (inputs: object) =>
        JSON.stringify(Object.entries(inputs).filter(([, value]) => Array.isArray(value)));
      if (links(theirs.inputs) !== links(mine.inputs))
        differences.push(`node ${id}: ${mine.class_type} is linked differently`);
      continue;
    }
    tally.nodes += 1;
    for (const name of new Set([...Object.keys(theirs.inputs), ...Object.keys(mine.inputs)])) {
      const input = declared.inputsByName.get(name);
      const [expected, actual] = [theirs.inputs[name], mine.inputs[name]];
      if (!input) {
        tally.undeclaredInputs += 1;
      } else if (!Object.hasOwn(theirs.inputs, name)) {
        const byDefault = Object.hasOwn(input.options, 'default') ? input.options['default'] : input.choices?.[0];
        if (input.widget === undefined || actual !== byDefault) differences.push(`node ${id}: extra ${name}`);
        tally.newerInputs += 1;
      } else {
        tally.inputs += 1;
        if (JSON.stringify(expected) !== JSON.stringify(actual))
          differences.push(`node ${id}: ${mine.class_type}.${name} differs`);
      }
    }
  }
  return differences;
}
