/**
 * Values that a subgraph instance holds for widgets inside it. Three generations of editors saved them differently:
 * inside only; `properties.proxyWidgets` with the instance's `widgets_values` at the same positions; and one value per linked subgraph
 * input. The newest also write `widgets_values_named`. Source: ComfyUI protocol notes §3.10 step 5.
 */
import type { EditorNode, SubgraphDefinition } from './editor-graph.ts';
import { idOf, isObject, listOf, textOf } from './json-values.ts';
import { isControlWord } from './pair-widgets.ts';

/** Values by the input of the definition, and by node and widget inside. */
export interface PromotedValues {
  readonly byInput: ReadonlyMap<string, unknown>;
  readonly byInner: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
}

/** The id that stands for the instance's own inputs in `proxyWidgets`. */
const ownInputs = '-1';

interface ProxyEntry {
  readonly node: string;
  readonly widget: string;
}

function readProxies(instance: EditorNode): ProxyEntry[] {
  return listOf(instance.properties['proxyWidgets']).flatMap((entry): ProxyEntry[] => {
    const [node, widget] = listOf(entry);
    const [id, name] = [idOf(node), textOf(widget)];
    // Names of nested widgets were once written with the ids on the way in front.
    return id === undefined || name === undefined
      ? []
      : [{ node: id, widget: name.replace(/^(?:\s*\d+\s*:\s*)+/, '') || name }];
  });
}

function isSaved(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Reads what an instance holds. `overrides`: values that an outer instance holds for this one, which win. */
export function readPromotedValues(
  instance: EditorNode,
  definition: SubgraphDefinition,
  overrides: ReadonlyMap<string, unknown> = new Map(),
): PromotedValues {
  const byInput = new Map<string, unknown>(definition.nameValues?.(instance));
  const byInner = new Map<string, Map<string, unknown>>();
  const set = (entry: ProxyEntry, value: unknown) => {
    if (!isSaved(value)) return;
    if (entry.node === ownInputs) byInput.set(entry.widget, value);
    else byInner.set(entry.node, (byInner.get(entry.node) ?? new Map<string, unknown>()).set(entry.widget, value));
  };
  const proxies = readProxies(instance);
  const values = instance.values;
  if (Array.isArray(values)) {
    if (proxies.length > 0) for (const [at, entry] of proxies.entries()) set(entry, (values as unknown[])[at]);
    else if (!definition.nameValues)
      readByInput(instance, values as unknown[], (name, value) => set({ node: ownInputs, widget: name }, value));
  }
  const sources = [isObject(values) ? values : undefined, instance.namedValues, Object.fromEntries(overrides)];
  for (const source of sources) {
    for (const [name, value] of Object.entries(source ?? {})) {
      const matching = proxies.filter((entry) => entry.widget === name);
      if (definition.inputs.includes(name)) set({ node: ownInputs, widget: name }, value);
      else for (const entry of matching) set(entry, value);
    }
  }
  return { byInput, byInner };
}

/** Values in the order of the instance's inputs that have a widget. Imported files hold the control slot of a seed, too. */
function readByInput(
  instance: EditorNode,
  values: readonly unknown[],
  set: (name: string, value: unknown) => void,
): void {
  const names = instance.inputs.filter((input) => input.widget !== undefined).map((input) => input.name);
  let surplus = values.length - names.length;
  let at = 0;
  for (const name of names) {
    set(name, values[at++]);
    if (surplus > 0 && isControlWord(values[at])) {
      at += 1;
      surplus -= 1;
    }
  }
}

/** The values that the instance around a node holds for its widgets. */
export function innerOverrides(promoted: PromotedValues | undefined, node: string): ReadonlyMap<string, unknown> {
  return promoted?.byInner.get(node) ?? noValues;
}

const noValues: ReadonlyMap<string, unknown> = new Map();

/** Index of the instance's input that stands for input `slot` of the definition: by name, then by position. */
export function instanceInputIndex(
  instance: EditorNode,
  definition: SubgraphDefinition,
  slot: number,
): number | undefined {
  const name = definition.inputs[slot];
  if (name === undefined) return undefined;
  const sameName = definition.inputs.slice(0, slot).filter((other) => other === name).length;
  const candidates = instance.inputs.flatMap((input, index) => (input.name === name ? [index] : []));
  const found = candidates[sameName] ?? candidates[0];
  if (found !== undefined) return found;
  // Renamed since: the position is what is left, when the names there tell nothing else.
  const there = instance.inputs[slot];
  return there && !definition.inputs.includes(there.name) ? slot : undefined;
}
