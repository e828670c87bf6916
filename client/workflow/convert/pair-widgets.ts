/**
 * Gives the saved widget values of a node their names. The file holds them by position; what owns a position follows from the
 * declaration: widgets in declared order (also those converted to inputs), the sub-inputs of the chosen option of a dynamic
 * combo, the slot of "control after generate" and the one of an upload button where they were saved.
 * Source: ComfyUI protocol notes §3.10 step 4.
 */
import type { EditorNode } from './editor-graph.ts';
import { isObject, type JsonObject, listOf, own } from './json-values.ts';
import { type DeclaredInput, defaultValue, readDeclaredInput, readDeclaredInputs } from './object-info.ts';

/** Dynamic combos nest; no real one goes deeper than two. */
const deepestNesting = 16;

/** More entries than any node shows: bounds what hostile declarations can unfold to. */
const mostInputs = 4096;

const controlWords: ReadonlySet<unknown> = new Set(['fixed', 'increment', 'decrement', 'randomize', 'increment-wrap']);

/** Keys of `widgets_values` objects that are state of the editor. */
const editorOnlyKeys: ReadonlySet<string> = new Set([
  'videopreview',
  'preview',
  'upload',
  'choose file to upload',
  'control_after_generate',
  'control_filter_list',
  '',
]);

/** Named values of one node. */
export interface PairedWidgets {
  /** Input name to value, in declared order. Arrays are not wrapped yet. */
  readonly values: Map<string, unknown>;
  /** The declarations that were met, sub-inputs of dynamic combos included. */
  readonly declared: Map<string, DeclaredInput>;
  /** Names whose value was not saved: the declared default stands in. */
  readonly defaulted: ReadonlySet<string>;
  /** Names whose saved value does not fit the declaration. */
  readonly doubtful: readonly string[];
}

/** True when the input is edited on the node, by its declaration or because the node was saved with a widget for it. */
function ownsValue(input: DeclaredInput, savedWidgets: ReadonlySet<string>): boolean {
  if (input.widget !== undefined) return input.widget !== 'autogrow';
  if (input.uploadButton || input.options['forceInput'] === true || input.options['defaultInput'] === true)
    return false;
  return savedWidgets.has(input.name);
}

/** What a dynamic input unfolds to, given the value of its selector. */
function unfold(input: DeclaredInput, value: unknown, node: EditorNode): DeclaredInput[] {
  if (input.widget === 'dynamic-combo') {
    const option = listOf(input.options['options']).find((candidate) => own(candidate, 'key') === value);
    return readDeclaredInputs(own(option, 'inputs'), undefined, `${input.name}.`).filter((sub) => !sub.uploadButton);
  }
  if (input.widget === 'autogrow') {
    const [template] = readDeclaredInputs(own(input.options['template'], 'input'));
    if (!template || template.widget === undefined) return [];
    const grown = node.inputs.filter((saved) => saved.name.startsWith(`${input.name}.`) && saved.widget !== undefined);
    const declaration =
      template.choices && template.type === 'COMBO'
        ? [template.choices, template.options]
        : [template.type, template.options];
    return grown.flatMap((saved) => readDeclaredInput(saved.name, declaration) ?? []);
  }
  return [];
}

function mayHaveControl(input: DeclaredInput): 'declared' | 'by name' | undefined {
  const flag = input.options['control_after_generate'];
  if ((flag === true || typeof flag === 'string') && (input.widget === 'int' || input.widget === 'combo'))
    return 'declared';
  return input.widget === 'int' && /seed/i.test(input.name) ? 'by name' : undefined;
}

/** Reads values by position and steps over the slots that belong to no input. */
class PositionalValues {
  readonly #values: readonly unknown[];
  #at = 0;

  constructor(values: readonly unknown[]) {
    this.#values = values;
  }

  get left(): number {
    return this.#values.length - this.#at;
  }

  take(): unknown {
    return this.#values[this.#at++];
  }

  /** Steps over the control slot behind `input`, when there is one. `waiting` lists the widgets that still have no value. */
  skipControl(input: DeclaredInput, waiting: () => readonly DeclaredInput[]): void {
    const expected = mayHaveControl(input);
    if (expected === undefined || this.left === 0) return;
    const following = waiting();
    const candidate = this.#values[this.#at];
    const [next] = following;
    const surplus = this.left > following.length;
    if (!isControlValue(candidate, next, expected, surplus)) return;
    this.#at += 1;
    // Combos with a control have a filter text behind it.
    if (input.widget === 'combo' && typeof this.#values[this.#at] === 'string' && this.left > following.length)
      this.#at += 1;
  }

  /** Steps over the value of an upload button, when one was saved there. */
  skipUpload(following: number): void {
    const value = this.#values[this.#at];
    const mark = value === null || (typeof value === 'string' && /^(image|video|audio|file|mesh|)$/.test(value));
    if (mark && this.left > following) this.#at += 1;
  }
}

/**
 * Files of all ages: words since 2023, `true` and `false` before, nothing at all where a tool wrote the file. A value that the next widget may
 * hold itself counts as control only when there is one value too many.
 */
function isControlValue(
  value: unknown,
  next: DeclaredInput | undefined,
  expected: 'declared' | 'by name',
  surplus: boolean,
): boolean {
  if (controlWords.has(value)) {
    if (next?.choices?.includes(value)) return surplus;
    return expected === 'declared' || next?.widget !== 'string' || surplus;
  }
  if (typeof value === 'boolean') return next?.widget !== 'boolean' || surplus;
  return value === null && expected === 'declared' && surplus && next !== undefined;
}

function fits(input: DeclaredInput, value: unknown): boolean {
  switch (input.widget) {
    case 'int':
    case 'float':
      return (
        typeof value === 'number' ||
        (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)))
      );
    case 'boolean':
      return typeof value === 'boolean' || typeof value === 'number';
    case 'string':
      return typeof value !== 'number' && typeof value !== 'boolean';
    case 'combo':
      return typeof value !== 'boolean' || input.choices?.includes(value) === true;
    case 'dynamic-combo':
      return listOf(input.options['options']).some((option) => own(option, 'key') === value);
    case 'autogrow':
    case 'custom':
    case undefined:
      return true;
  }
}

/** Names the values of a node of a declared class. Never throws. */
export function pairWidgets(
  inputs: readonly DeclaredInput[],
  node: EditorNode,
  overrides: ReadonlyMap<string, unknown> = new Map(),
): PairedWidgets {
  const values = new Map<string, unknown>();
  const declared = new Map<string, DeclaredInput>();
  const defaulted = new Set<string>();
  const doubtful: string[] = [];
  const byPosition = new PositionalValues(Array.isArray(node.values) ? (node.values as unknown[]) : []);
  const byName = isObject(node.values) ? node.values : undefined;
  const waiting = inputs.map((input) => ({ input, depth: 0 }));
  const savedWidgets = new Set(node.inputs.flatMap((input) => input.widget ?? []));
  const stillWaiting = () => waiting.flatMap(({ input }) => (ownsValue(input, savedWidgets) ? [input] : []));

  for (let next = waiting.shift(); next && declared.size < mostInputs; next = waiting.shift()) {
    const { input, depth } = next;
    if (input.uploadButton) {
      byPosition.skipUpload(stillWaiting().length);
      continue;
    }
    declared.set(input.name, input);
    let value: unknown;
    const owns = ownsValue(input, savedWidgets);
    if (owns) {
      const position = byPosition.left > 0 ? byPosition.take() : undefined;
      const saved = namedValue(input.name, node.namedValues, byName) ?? position;
      // A hole (null) is a value that was never set: the editor shows the default there.
      const missing = saved === undefined || saved === null;
      value = overrides.get(input.name) ?? (missing ? defaultValue(input) : saved);
      if (missing && !overrides.has(input.name)) defaulted.add(input.name);
      else if (!fits(input, value)) doubtful.push(input.name);
      if (value !== undefined) values.set(input.name, value);
    }
    if (depth < deepestNesting) {
      waiting.unshift(...unfold(input, value, node).map((sub) => ({ input: sub, depth: depth + 1 })));
    }
    if (owns) byPosition.skipControl(input, stillWaiting);
  }
  addUndeclared(values, byName, overrides);
  return { values, declared, defaulted, doubtful };
}

function namedValue(name: string, ...holders: readonly (JsonObject | undefined)[]): unknown {
  return holders.map((holder) => own(holder, name)).find((value) => value !== undefined && value !== null);
}

/** Custom nodes save values by name that they do not declare (the format options of a video node): the editor sends those too. */
function addUndeclared(
  values: Map<string, unknown>,
  byName: JsonObject | undefined,
  overrides: ReadonlyMap<string, unknown>,
): void {
  for (const [name, value] of Object.entries(byName ?? {})) {
    if (!values.has(name) && !editorOnlyKeys.has(name)) values.set(name, overrides.get(name) ?? value);
  }
}

/** Values of a class that nobody declares: by name where the file names them or where the saved slots leave one reading only. */
export function guessWidgets(
  node: EditorNode,
  overrides: ReadonlyMap<string, unknown> = new Map(),
): Map<string, unknown> | undefined {
  const values = new Map<string, unknown>();
  if (node.namedValues || isObject(node.values)) {
    addUndeclared(values, node.namedValues ?? (isObject(node.values) ? node.values : undefined), overrides);
    return values;
  }
  if (!node.values || node.values.length === 0) return values;
  const names = node.inputs.flatMap((input) => input.widget ?? []);
  const listed = node.values as readonly unknown[];
  const plain = listed.length === names.length ? listed : listed.filter((value) => !controlWords.has(value));
  if (plain.length !== names.length) return undefined;
  for (const [index, name] of names.entries()) values.set(name, overrides.get(name) ?? plain[index]);
  return values;
}

/** True for words of "control after generate". */
export function isControlWord(value: unknown): boolean {
  return controlWords.has(value);
}
