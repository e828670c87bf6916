/**
 * Follows an input back to what really feeds it: through reroutes, bypassed nodes, Get/Set pairs and in and out of subgraphs. A loop instead of
 * recursion, with every place visited once: chains may be long and files may hold circles.
 * Source: ComfyUI protocol notes §3.10 steps 1 to 3 and 5.
 */
import { type EditorNode, implicitKey, type LinkOrigin, nodeModes, subgraphPseudoNodes } from './editor-graph.ts';
import type { RoleOf, Scope } from './flatten.ts';
import { primitiveKey } from './group-nodes.ts';
import { innerOverrides, instanceInputIndex } from './promoted-values.ts';
import { bypassInput } from './types-match.ts';

/** What feeds an input. `nothing` says why where that is worth a note. */
export type InputSource =
  | { readonly kind: 'link'; readonly id: string; readonly slot: number }
  | { readonly kind: 'value'; readonly value: unknown; readonly from: EditorNode | undefined }
  | { readonly kind: 'nothing'; readonly reason?: string };

const nothing: InputSource = { kind: 'nothing' };

/** Either an input or an output of a node. */
interface Place {
  readonly side: 'input' | 'output';
  readonly scope: Scope;
  readonly node: EditorNode;
  readonly slot: number;
  /** Type wanted at the end of the chain. */
  readonly type: string;
}

type Step = Place | InputSource;

function isPlace(step: Step): step is Place {
  return 'side' in step;
}

/** Finds what feeds input `slot` of a node. Never throws. */
export function resolveInput(scope: Scope, node: EditorNode, slot: number, roleOf: RoleOf): InputSource {
  const visited = new Set<string>();
  // The innermost instance on the way out whose own value stands in when nothing is linked further out.
  let promoted: { readonly value: unknown } | undefined;
  let place: Place = { side: 'input', scope, node, slot, type: node.inputs[slot]?.type ?? '*' };
  for (;;) {
    const key = `${place.side} ${place.slot} ${place.scope.prefix}${place.node.id}`;
    if (visited.has(key)) return { kind: 'nothing', reason: 'its links run in a circle' };
    visited.add(key);
    const before: Place = place;
    const step: Step = place.side === 'input' ? fromInput(place) : fromOutput(place, roleOf);
    if (before.side === 'input') promoted = promotedAt(before) ?? promoted;
    if (!isPlace(step)) {
      const unlinked = step.kind === 'nothing' && step.reason === undefined;
      return unlinked && promoted && before.side === 'input'
        ? { kind: 'value', value: promoted.value, from: undefined }
        : step;
    }
    place = step;
  }
}

/** The value that an instance holds for the input that a link inside comes from. */
function promotedAt(place: Place): { readonly value: unknown } | undefined {
  const { instance } = place.scope;
  const link = originOf(place);
  if (!instance || link?.origin !== subgraphPseudoNodes.inputs) return undefined;
  const name = instance.definition.inputs[link.slot];
  if (name === undefined || !instance.promoted.byInput.has(name)) return undefined;
  return { value: instance.promoted.byInput.get(name) };
}

function originOf({ scope, node, slot }: Place): LinkOrigin | undefined {
  const link = node.inputs[slot]?.link;
  const origin = link === undefined ? undefined : scope.graph.links.get(link);
  return origin ?? scope.graph.implicit.get(implicitKey(node.id, slot));
}

/** From an input to the output that its link comes from, also out of a subgraph. */
function fromInput(place: Place): Step {
  const origin = originOf(place);
  return origin ? fromOrigin(origin, place.scope, place.type) : nothing;
}

function fromOrigin({ origin, slot }: LinkOrigin, scope: Scope, type: string): Step {
  const { instance } = scope;
  if (instance && origin === subgraphPseudoNodes.inputs) {
    const outer = instanceInputIndex(instance.node, instance.definition, slot);
    if (outer === undefined) return nothing;
    const input = instance.node.inputs[outer];
    return { side: 'input', scope: instance.outer, node: instance.node, slot: outer, type: input?.type ?? type };
  }
  const node = scope.graph.byId.get(origin);
  if (!node)
    return {
      kind: 'nothing',
      reason: `its link comes from node ${scope.prefix}${origin.slice(0, 60)}, which does not exist`,
    };
  return { side: 'output', scope, node, slot, type };
}

/** From an output to the real node behind it. */
function fromOutput(place: Place, roleOf: RoleOf): Step {
  const { scope, node, slot, type } = place;
  const role = roleOf(node);
  if (role.kind === 'virtual') return fromVirtual(place, role.virtual);
  if (node.mode === nodeModes.bypassed) {
    const types = node.inputs.map((input) => input.type);
    const input = bypassInput(types, node.outputs[slot]?.type ?? '*', slot, type);
    if (input === undefined)
      return { kind: 'nothing', reason: `node ${scope.prefix}${node.id} is bypassed and has no input of that type` };
    return { side: 'input', scope, node, slot: input, type: node.inputs[input]?.type ?? type };
  }
  const inner = scope.children.get(node.id);
  if (role.kind !== 'instance' || node.mode === nodeModes.muted)
    return { kind: 'link', id: scope.prefix + node.id, slot };
  const output = inner && role.definition.outputs[slot];
  if (!inner || !output)
    return {
      kind: 'nothing',
      reason: `output ${slot} of node ${scope.prefix}${node.id} is fed by nothing inside its subgraph`,
    };
  return fromOrigin(output, inner, type);
}

/** Modes mean nothing for virtual nodes: a muted reroute still passes its link on. */
function fromVirtual(place: Place, kind: string): Step {
  const { scope, node, slot, type } = place;
  switch (kind) {
    case 'reroute':
      return { side: 'input', scope, node, slot: node.inputs[slot] ? slot : 0, type };
    case 'primitive':
      return primitiveValue(scope, node);
    case 'set':
      return { side: 'input', scope, node, slot: 0, type };
    case 'get':
      return fromGet(scope, node, type);
    default:
      return nothing;
  }
}

function primitiveValue(scope: Scope, node: EditorNode): InputSource {
  const promoted = scope.instance?.promoted;
  const held = innerOverrides(promoted, node.id).get('value') ?? promoted?.byInput.get(primitiveKey(node.id));
  const value = held ?? (Array.isArray(node.values) ? (node.values as unknown[])[0] : undefined);
  return value === undefined ? nothing : { kind: 'value', value, from: node };
}

/** The first Set node of the name, in the same graph, else in the one around it. */
function fromGet(scope: Scope, get: EditorNode, type: string): Step {
  const name = pairName(get);
  for (let at: Scope | undefined = scope; at && name !== undefined; at = at.instance?.outer) {
    const node = setters(at.graph).get(name);
    if (node) return { side: 'input', scope: at, node, slot: 0, type };
  }
  return { kind: 'nothing', reason: `node ${scope.prefix}${get.id} gets a name that no node sets` };
}

const setterTables = new WeakMap<object, Map<string, EditorNode>>();

function setters(graph: Scope['graph']): ReadonlyMap<string, EditorNode> {
  const known = setterTables.get(graph);
  if (known) return known;
  const table = new Map<string, EditorNode>();
  for (const node of graph.nodes) {
    const name = node.type === 'SetNode' || node.type === 'easy setNode' ? pairName(node) : undefined;
    if (name !== undefined && !table.has(name)) table.set(name, node);
  }
  setterTables.set(graph, table);
  return table;
}

function pairName(node: EditorNode): string | undefined {
  const name: unknown = Array.isArray(node.values) ? node.values[0] : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}
