/**
 * The editor's save format, read leniently into plain typed parts: nodes, links of both forms (arrays of version 0.4, objects
 * of version 1 and of subgraphs) and subgraph definitions. What is malformed is left out; the conversion then reports what misses.
 * Source: ComfyUI protocol notes §3.10.
 */
import { idOf, isObject, type JsonObject, listOf, objectsOf, own, slotOf, textOf } from './json-values.ts';

/** Modes of a node; all others count as normal (§3.10 step 3). */
export const nodeModes = { muted: 2, bypassed: 4 } as const;

/** Ids of the two pseudo nodes inside a subgraph. */
export const subgraphPseudoNodes = { inputs: '-10', outputs: '-20' } as const;

export interface EditorInput {
  readonly name: string;
  readonly type: string;
  readonly link: string | undefined;
  /** Name of the widget that this slot belongs to. */
  readonly widget: string | undefined;
  readonly label: string | undefined;
}

export interface EditorOutput {
  readonly name: string;
  readonly type: string;
  readonly label: string | undefined;
  readonly widget: string | undefined;
}

export interface EditorNode {
  readonly id: string;
  readonly type: string;
  readonly mode: number;
  readonly title: string | undefined;
  readonly inputs: readonly EditorInput[];
  readonly outputs: readonly EditorOutput[];
  /** `widgets_values`: an array by position, or an object by name. */
  readonly values: readonly unknown[] | JsonObject | undefined;
  /** `widgets_values_named` of the newest editors. */
  readonly namedValues: JsonObject | undefined;
  readonly properties: JsonObject;
}

export interface LinkOrigin {
  readonly origin: string;
  readonly slot: number;
}

export interface EditorLink extends LinkOrigin {
  readonly id: string;
  readonly target: string;
  readonly targetSlot: number;
}

export interface EditorGraph {
  readonly nodes: readonly EditorNode[];
  readonly byId: ReadonlyMap<string, EditorNode>;
  readonly links: ReadonlyMap<string, EditorLink>;
  /** Links that "use everywhere" nodes make, as that extension saves them: key from {@link implicitKey}. */
  readonly implicit: ReadonlyMap<string, LinkOrigin>;
}

export interface SubgraphDefinition {
  readonly id: string;
  readonly name: string;
  readonly graph: EditorGraph;
  readonly inputs: readonly string[];
  /** For each output the origin inside, undefined when nothing is connected. */
  readonly outputs: readonly (LinkOrigin | undefined)[];
  /** For definitions made from group nodes: names the instance's values itself. */
  readonly nameValues?: (instance: EditorNode) => ReadonlyMap<string, unknown>;
}

/** Key of an implicit link: the target and its slot. */
export function implicitKey(node: string, slot: number): string {
  return `${node}/${slot}`;
}

function readType(value: unknown): string {
  if (Array.isArray(value)) return value.map(readType).join(',');
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '*';
}

function readInput(raw: JsonObject): EditorInput {
  return {
    name: textOf(raw['name']) ?? '',
    type: readType(raw['type']),
    link: idOf(raw['link']),
    widget: textOf(own(raw['widget'], 'name')),
    label: textOf(raw['label']),
  };
}

/** Reads one node; undefined when it has no id or no type. `id` replaces the saved one. */
export function readNode(raw: JsonObject, id = idOf(raw['id'])): EditorNode | undefined {
  const type = textOf(raw['type']);
  if (id === undefined || type === undefined || type === '') return undefined;
  const values = raw['widgets_values'];
  return {
    id,
    type,
    mode: typeof raw['mode'] === 'number' ? raw['mode'] : 0,
    title: textOf(raw['title']),
    // Slot numbers count every entry: one that is no object still holds its place.
    inputs: listOf(raw['inputs']).map((input) => readInput(isObject(input) ? input : {})),
    outputs: listOf(raw['outputs']).map((output) => ({
      name: textOf(own(output, 'name')) ?? '',
      type: readType(own(output, 'type')),
      label: textOf(own(output, 'label')),
      widget: textOf(own(own(output, 'widget'), 'name')),
    })),
    values: Array.isArray(values) || isObject(values) ? values : undefined,
    namedValues: isObject(raw['widgets_values_named']) ? raw['widgets_values_named'] : undefined,
    properties: isObject(raw['properties']) ? raw['properties'] : {},
  };
}

function readLink(raw: unknown): EditorLink | undefined {
  const [id, origin, slot, target, targetSlot] = Array.isArray(raw)
    ? (raw as unknown[])
    : [own(raw, 'id'), own(raw, 'origin_id'), own(raw, 'origin_slot'), own(raw, 'target_id'), own(raw, 'target_slot')];
  const link = { id: idOf(id), origin: idOf(origin), slot: slotOf(slot), target: idOf(target), at: slotOf(targetSlot) };
  if (link.id === undefined || link.origin === undefined || link.slot === undefined) return undefined;
  return { id: link.id, origin: link.origin, slot: link.slot, target: link.target ?? '', targetSlot: link.at ?? 0 };
}

function readImplicitLinks(extra: unknown): Map<string, LinkOrigin> {
  const implicit = new Map<string, LinkOrigin>();
  for (const link of objectsOf(own(extra, 'ue_links'))) {
    const [target, at] = [idOf(link['downstream']), slotOf(link['downstream_slot'])];
    const [origin, slot] = [idOf(link['upstream']), slotOf(link['upstream_slot'])];
    if (target === undefined || at === undefined || origin === undefined || slot === undefined) continue;
    implicit.set(implicitKey(target, at), { origin, slot });
  }
  return implicit;
}

/** Makes a graph of nodes and links. A second node with the same id is ignored, as it can't be told apart. */
export function makeGraph(
  nodes: Iterable<EditorNode>,
  links: Iterable<EditorLink>,
  implicit: ReadonlyMap<string, LinkOrigin> = new Map(),
): EditorGraph {
  const byId = new Map<string, EditorNode>();
  for (const node of nodes) if (!byId.has(node.id)) byId.set(node.id, node);
  return { nodes: [...byId.values()], byId, links: new Map([...links].map((link) => [link.id, link])), implicit };
}

/** Reads `nodes` and `links` of a workflow or of a subgraph definition. */
export function readGraph(raw: JsonObject): EditorGraph {
  const nodes = objectsOf(raw['nodes']).flatMap((node) => readNode(node) ?? []);
  // Some exporters write links as an object from id to link.
  const rawLinks = isObject(raw['links']) ? Object.values(raw['links']) : listOf(raw['links']);
  const links = rawLinks.flatMap((link) => readLink(link) ?? []);
  return makeGraph(nodes, links, readImplicitLinks(raw['extra']));
}

function readDefinition(raw: JsonObject): SubgraphDefinition | undefined {
  const id = idOf(raw['id']);
  if (id === undefined) return undefined;
  const graph = readGraph(raw);
  const outputs = objectsOf(raw['outputs']).map((output, slot) => {
    const listed = listOf(output['linkIds']).map((linkId) => graph.links.get(idOf(linkId) ?? ''));
    const found = listed.find((link) => link !== undefined);
    return (
      found ??
      [...graph.links.values()].find((link) => link.target === subgraphPseudoNodes.outputs && link.targetSlot === slot)
    );
  });
  const inputs = objectsOf(raw['inputs']).map((input) => textOf(input['name']) ?? '');
  return { id, name: textOf(raw['name']) ?? '', graph, inputs, outputs };
}

/** Reads `definitions.subgraphs`, also where a definition carries definitions of its own. */
export function readDefinitions(raw: JsonObject, depth = 0): Map<string, SubgraphDefinition> {
  const found = new Map<string, SubgraphDefinition>();
  const holders = [raw['definitions'], own(raw['extra'], 'definitions')];
  for (const holder of holders) {
    for (const entry of objectsOf(own(holder, 'subgraphs'))) {
      const definition = readDefinition(entry);
      if (definition && !found.has(definition.id)) found.set(definition.id, definition);
      if (depth >= 16) continue;
      for (const [id, inner] of readDefinitions(entry, depth + 1)) if (!found.has(id)) found.set(id, inner);
    }
  }
  return found;
}
