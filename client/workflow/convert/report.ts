/** What a conversion tells beside its result, node by node. */
import { type FlatNode, titleOf } from './flatten.ts';

/** One node and what happened to it. */
export interface ConversionEntry {
  /** Id of the node as the API format would call it: `12`, inside a subgraph `12:3`. */
  readonly node: string;
  readonly classType: string;
  /** Its title in the editor; the class when it has none. */
  readonly title: string;
  readonly reason: string;
  /** True for a node of an unknown class all of whose values have names in the file: it is sent as the file has it, which is likely right. */
  readonly guessed?: boolean;
}

/** What was left out, what can't be converted faithfully, and what is worth knowing. Reasons and notes hold no values of the workflow. */
export interface ConversionReport {
  /** Left out as the editor leaves them out: muted, bypassed, notes, reroutes and other nodes of the editor only. */
  readonly skipped: readonly ConversionEntry[];
  /** Can't be converted faithfully: running the result would do something else than the editor, or fail. */
  readonly unsupported: readonly ConversionEntry[];
  /** Converted, but something was not as saved: defaults of newer versions, corrected spellings, links that led nowhere. */
  readonly notes: readonly ConversionEntry[];
}

const mostEntries = 10_000;

/** Collects the report. */
export class ReportBuilder implements ConversionReport {
  readonly skipped: ConversionEntry[] = [];
  readonly unsupported: ConversionEntry[] = [];
  readonly notes: ConversionEntry[] = [];

  skip(node: FlatNode, reason: string): void {
    add(this.skipped, node, reason);
  }

  refuse(node: FlatNode, reason: string, guessed = false): void {
    add(this.unsupported, node, reason, guessed);
  }

  note(node: FlatNode, reason: string): void {
    add(this.notes, node, reason);
  }

  /** The report without the means to change it. */
  build(): ConversionReport {
    return { skipped: this.skipped, unsupported: this.unsupported, notes: this.notes };
  }
}

function add(list: ConversionEntry[], flat: FlatNode, reason: string, guessed = false): void {
  if (list.length >= mostEntries) return;
  list.push({ node: flat.id, classType: flat.node.type, title: titleOf(flat), reason, ...(guessed && { guessed }) });
}

/** Input names for a reason: the first few, shortened. */
export function nameList(names: readonly string[]): string {
  const shown = names.slice(0, 5).map((name) => JSON.stringify(name.slice(0, 60)));
  return shown.join(', ') + (names.length > shown.length ? ` and ${names.length - shown.length} more` : '');
}
