/**
 * Group nodes, the forerunners of subgraphs: `extra.groupNodes` holds the parts, nodes of type `workflow>Name` (before 1.2.63 `workflow/Name`) are the
 * instances. Each group becomes a subgraph definition whose inputs bear the names that the editor made for them, so that one
 * expansion serves both. Inner ids are `<instance>:<index>`, as the editor makes them.
 */
import {
  type EditorInput,
  type EditorLink,
  type EditorNode,
  type LinkOrigin,
  makeGraph,
  readNode,
  type SubgraphDefinition,
  subgraphPseudoNodes,
} from './editor-graph.ts';
import { isObject, type JsonObject, listOf, objectsOf, own, slotOf, textOf } from './json-values.ts';
import { type DeclaredInput, findClass, type NodeClass, type ObjectInfo } from './object-info.ts';
import { isControlWord, pairWidgets } from './pair-widgets.ts';
import { virtualKind } from './virtual-nodes.ts';

const typePattern = /^workflow[>/](.+)$/s;

/** True for the type of a group node, also one whose definition misses. */
export function isGroupNodeType(type: string): boolean {
  return typePattern.test(type);
}

/** Index of a part, its slot, and the index and slot of what it feeds. */
interface InnerLink extends LinkOrigin {
  readonly target: string;
  readonly targetSlot: number;
}

interface GroupParts {
  readonly name: string;
  readonly nodes: readonly EditorNode[];
  readonly links: readonly InnerLink[];
  /** `index/slot` of outputs that the group shows although they are used inside. */
  readonly shown: ReadonlySet<string>;
  readonly config: unknown;
}

/** One thing that the group shows as its own: a connection or a widget of a part. */
interface Exposed {
  readonly name: string;
  readonly part: EditorNode;
  readonly input: DeclaredInput;
  /** False for connections, which hold no value in the instance. */
  readonly holdsValue: boolean;
}

function readParts(name: string, raw: JsonObject): GroupParts {
  const rawNodes = listOf(raw['nodes']);
  const nodes = rawNodes.flatMap((node, index) => (isObject(node) ? (readNode(node, String(index)) ?? []) : []));
  const links = listOf(raw['links']).flatMap((link): InnerLink[] => {
    const [origin, slot, target, targetSlot] = listOf(link).slice(0, 4).map(slotOf);
    if (origin === undefined || slot === undefined || target === undefined || targetSlot === undefined) return [];
    return [{ origin: String(origin), slot, target: String(target), targetSlot }];
  });
  const shown = new Set(listOf(raw['external']).map((entry) => listOf(entry).slice(0, 2).join('/')));
  return { name, nodes, links, shown, config: raw['config'] };
}

/** A part as the group sees it: real classes as declared, primitives and reroutes by what they are connected to. */
function partClass(
  part: EditorNode,
  parts: GroupParts,
  objectInfo: ObjectInfo,
): Pick<NodeClass, 'inputs' | 'outputs' | 'outputNames'> | undefined {
  const declared = findClass(objectInfo, part.type);
  if (declared) return declared;
  const outgoing = parts.links.find((link) => link.origin === part.id);
  const incoming = parts.links.some((link) => link.target === part.id);
  const kind = virtualKind(part.type);
  const outputType = part.outputs[0]?.type ?? '*';
  if (kind === 'primitive') {
    if (!outgoing) return undefined;
    const target = parts.nodes.find((node) => node.id === outgoing.target);
    const fed =
      target && findClass(objectInfo, target.type)?.inputsByName.get(target.inputs[outgoing.targetSlot]?.name ?? '');
    const input: DeclaredInput = fed
      ? { ...fed, name: 'value', options: { ...fed.options, control_after_generate: true } }
      : { name: 'value', type: outputType, widget: 'custom', options: {}, choices: undefined, uploadButton: false };
    return { inputs: [input], outputs: [outputType], outputNames: [] };
  }
  if (kind === 'reroute') {
    if (incoming && outgoing && !parts.shown.has(`${part.id}/0`)) return undefined;
    const type = outputType === '*' ? (part.inputs[0]?.type ?? '*') : outputType;
    const input: DeclaredInput = {
      name: type,
      type,
      widget: undefined,
      options: {},
      choices: undefined,
      uploadButton: false,
    };
    return { inputs: [input], outputs: [type], outputNames: [] };
  }
  return undefined;
}

/** Gives every exposed input its name: the first bearer of a name keeps it, later ones get their part's title in front. */
class GroupNames {
  readonly #seen = new Map<string, number>();

  next(part: EditorNode, inputName: string, config: unknown): string {
    const custom = textOf(
      own(own(own(config, part.id), 'input'), inputName) &&
        own(own(own(own(config, part.id), 'input'), inputName), 'name'),
    );
    let name = custom ?? part.inputs.find((input) => input.name === inputName)?.label ?? inputName;
    let key = name;
    if ((virtualKind(part.type) === 'primitive' && part.title) || this.#seen.has(name)) {
      const prefix = `${part.title ?? part.type} `;
      key = name = `${prefix}${inputName}`;
      const before = this.#seen.get(name);
      if (before !== undefined) name = `${prefix}${before} ${inputName}`;
    }
    this.#seen.set(key, (this.#seen.get(key) ?? 1) + 1);
    return name;
  }
}

/** Lists what the group shows, in the editor's order: per part its widgets, then its connections; converted widgets of all parts last. */
function exposedInputs(parts: GroupParts, objectInfo: ObjectInfo): Exposed[] {
  const names = new GroupNames();
  const exposed: Exposed[] = [];
  const converted: (() => void)[] = [];
  for (const part of parts.nodes) {
    const declared = partClass(part, parts, objectInfo)?.inputs ?? [];
    const fedInside = new Set(
      parts.links.filter((link) => link.target === part.id).map((link) => part.inputs[link.targetSlot]?.name ?? ''),
    );
    const add = (input: DeclaredInput, holdsValue: boolean) => {
      exposed.push({ name: names.next(part, input.name, parts.config), part, input, holdsValue });
    };
    const slots = new Set(part.inputs.flatMap((input) => (input.widget === input.name ? [input.name] : [])));
    // Editors since 1.16 list a slot for every widget; before, only for those converted to inputs.
    const listsAll = declared.every((input) => input.widget === undefined || slots.has(input.name));
    const isConverted = (input: DeclaredInput) => slots.has(input.name) && (fedInside.has(input.name) || !listsAll);
    for (const input of declared) {
      if (input.uploadButton) exposed.push({ name: 'upload', part, input, holdsValue: true });
      else if (input.widget === undefined) continue;
      else if (!isConverted(input)) add(input, true);
      else if (!fedInside.has(input.name)) converted.push(() => add(input, false));
    }
    for (const input of declared) {
      if (input.uploadButton || input.widget !== undefined || isFed(part, input, fedInside, parts)) continue;
      add(input, false);
    }
  }
  for (const finish of converted) finish();
  return exposed;
}

/** A reroute's only input has no name: it is fed when anything feeds the part. */
function isFed(part: EditorNode, input: DeclaredInput, fedInside: ReadonlySet<string>, parts: GroupParts): boolean {
  return virtualKind(part.type) === 'reroute'
    ? parts.links.some((link) => link.target === part.id)
    : fedInside.has(input.name);
}

function groupOutputs(parts: GroupParts, objectInfo: ObjectInfo): LinkOrigin[] {
  return parts.nodes.flatMap((part) => {
    const outputs = partClass(part, parts, objectInfo)?.outputs ?? [];
    return outputs.flatMap((_, slot): LinkOrigin[] => {
      const used = parts.links.some((link) => link.origin === part.id && link.slot === slot);
      const configured = own(own(own(own(parts.config, part.id), 'output'), String(slot)), 'visible');
      const visible = typeof configured === 'boolean' ? configured : !used || parts.shown.has(`${part.id}/${slot}`);
      return visible ? [{ origin: part.id, slot }] : [];
    });
  });
}

/** Adds a link to the part's slot of that name; the slot is made where the file has none. */
function connect(part: EditorNode, input: DeclaredInput, link: string): EditorNode {
  const reroute = virtualKind(part.type) === 'reroute';
  const at = reroute ? 0 : part.inputs.findIndex((slot) => slot.name === input.name);
  const slot: EditorInput = part.inputs[at] ?? {
    name: input.name,
    type: input.type,
    link: undefined,
    widget: undefined,
    label: undefined,
  };
  const linked: EditorInput = { ...slot, link, ...(input.widget !== undefined && { widget: input.name }) };
  const inputs = at >= 0 && part.inputs[at] ? part.inputs.with(at, linked) : [...part.inputs, linked];
  return { ...part, inputs };
}

/** Makes the definition of one group; its id is the group's name. */
function makeDefinition(name: string, raw: JsonObject, objectInfo: ObjectInfo): SubgraphDefinition {
  const parts = readParts(name, raw);
  const exposed = exposedInputs(parts, objectInfo);
  const linked = new Map(parts.nodes.map((part) => [part.id, clearLinks(part)]));
  const links: EditorLink[] = [];
  for (const [index, inner] of parts.links.entries()) {
    const part = linked.get(inner.target);
    const slot = part?.inputs[inner.targetSlot];
    if (!part || !slot) continue;
    const id = `inner ${index}`;
    links.push({ id, origin: inner.origin, slot: inner.slot, target: inner.target, targetSlot: inner.targetSlot });
    linked.set(part.id, { ...part, inputs: part.inputs.with(inner.targetSlot, { ...slot, link: id }) });
  }
  const shown = exposed.filter(({ input }) => !input.uploadButton);
  for (const [index, { part, input }] of shown.entries()) {
    // What a primitive shows is its value, which reaches it as an override, not as a link.
    if (virtualKind(part.type) === 'primitive') continue;
    const id = `outer ${index}`;
    links.push({ id, origin: subgraphPseudoNodes.inputs, slot: index, target: part.id, targetSlot: 0 });
    linked.set(part.id, connect(linked.get(part.id) ?? part, input, id));
  }
  return {
    id: name,
    name,
    graph: makeGraph(linked.values(), links),
    inputs: shown.map((entry) => entry.name),
    outputs: groupOutputs(parts, objectInfo),
    nameValues: (instance) => instanceValues(exposed, instance),
  };
}

function clearLinks(part: EditorNode): EditorNode {
  return { ...part, inputs: part.inputs.map((input) => ({ ...input, link: undefined })) };
}

/** Values of an instance by the group's names; those of primitives by `<part>/value`. */
function instanceValues(exposed: readonly Exposed[], instance: EditorNode): ReadonlyMap<string, unknown> {
  const declared = exposed.flatMap(({ name, input, holdsValue }) => (holdsValue ? [{ ...input, name }] : []));
  const { values, defaulted } = pairWidgets(declared, instance);
  const named = new Map<string, unknown>();
  for (const { name, part, holdsValue } of exposed) {
    // A value that the instance lacks stays what it was when the group was made.
    if (!holdsValue || defaulted.has(name) || !values.has(name) || isControlWord(name)) continue;
    named.set(virtualKind(part.type) === 'primitive' ? primitiveKey(part.id) : name, values.get(name));
  }
  return named;
}

/** Under which name the value of a primitive part is found. */
export function primitiveKey(part: string): string {
  return `primitive/${part}`;
}

/** Definitions of all group nodes, keyed by the types of their instances. */
export function readGroupNodes(document: JsonObject, objectInfo: ObjectInfo): Map<string, SubgraphDefinition> {
  const found = new Map<string, SubgraphDefinition>();
  const groups = own(document['extra'], 'groupNodes');
  if (!isObject(groups)) return found;
  const used = new Set([...objectsOf(document['nodes'])].map((node) => node['type']));
  for (const [name, raw] of Object.entries(groups)) {
    if (!isObject(raw)) continue;
    const types = [`workflow>${name}`, `workflow/${name}`];
    // Groups may hold groups: those are wanted, too, though no node of the top level names them.
    if (!types.some((type) => used.has(type)) && !isNested(groups, types)) continue;
    const definition = makeDefinition(name, raw, objectInfo);
    for (const type of types) found.set(type, definition);
  }
  return found;
}

function isNested(groups: JsonObject, types: readonly string[]): boolean {
  return Object.values(groups).some((group) =>
    objectsOf(own(group, 'nodes')).some((node) => types.includes(String(node['type']))),
  );
}
