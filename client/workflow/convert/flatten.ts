/**
 * Unfolds subgraphs and group nodes into one list of nodes with the ids that the editor would give them (`<instance>:<inner>`, nested `1:2:3`).
 * A scope is one unfolded instance; the root scope is the workflow itself. Muted and bypassed instances are not unfolded.
 * Source: ComfyUI protocol notes §3.10 step 1.
 */
import { ComfyRunpodError, limits } from '../../../shared/index.ts';
import { type EditorGraph, type EditorNode, nodeModes, type SubgraphDefinition } from './editor-graph.ts';
import { isGroupNodeType } from './group-nodes.ts';
import { textOf } from './json-values.ts';
import { findClass, type NodeClass, type ObjectInfo } from './object-info.ts';
import { innerOverrides, type PromotedValues, readPromotedValues } from './promoted-values.ts';
import { type VirtualKind, virtualKind } from './virtual-nodes.ts';

/** One unfolded instance, or the workflow itself. */
export interface Scope {
  /** Id in front of the nodes inside: empty for the root, else `1:` or `1:2:`. */
  readonly prefix: string;
  readonly graph: EditorGraph;
  /** Undefined for the root. */
  readonly instance: ScopeInstance | undefined;
  readonly children: Map<string, Scope>;
}

/** Where a scope sits and what its instance says. */
export interface ScopeInstance {
  readonly outer: Scope;
  readonly node: EditorNode;
  readonly definition: SubgraphDefinition;
  readonly promoted: PromotedValues;
}

/** What a node is for the conversion. */
export type NodeRole =
  | { readonly kind: 'real'; readonly nodeClass: NodeClass }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'instance'; readonly definition: SubgraphDefinition }
  | { readonly kind: 'virtual'; readonly virtual: VirtualKind };

/** A node of the unfolded workflow. */
export interface FlatNode {
  readonly id: string;
  readonly scope: Scope;
  readonly node: EditorNode;
  readonly role: NodeRole;
}

/** Tells what a node is. */
export type RoleOf = (node: EditorNode) => NodeRole;

/** Makes the function that tells what a node is: a subgraph, a class of the server, or virtual, in this order. */
export function makeRoleOf(definitions: ReadonlyMap<string, SubgraphDefinition>, objectInfo: ObjectInfo): RoleOf {
  return (node) => {
    const definition = definitions.get(node.type);
    if (definition) return { kind: 'instance', definition };
    const nodeClass = findClass(objectInfo, node.type);
    if (nodeClass) return { kind: 'real', nodeClass };
    const virtual = virtualKind(node.type);
    return virtual === undefined ? { kind: 'unknown' } : { kind: 'virtual', virtual };
  };
}

/** The unfolded workflow. */
export interface FlatWorkflow {
  readonly root: Scope;
  readonly nodes: readonly FlatNode[];
  /** Instances that can't be unfolded, with the reason. */
  readonly refused: readonly { readonly flat: FlatNode; readonly reason: string }[];
}

/** Unfolds a workflow. Throws `WORKFLOW_INVALID` when it unfolds to more nodes than a workflow may have. */
export function flatten(graph: EditorGraph, roleOf: RoleOf): FlatWorkflow {
  const root: Scope = { prefix: '', graph, instance: undefined, children: new Map() };
  const nodes: FlatNode[] = [];
  const refused: { flat: FlatNode; reason: string }[] = [];
  const scopes = [root];
  for (let scope = scopes.shift(); scope; scope = scopes.shift()) {
    for (const node of scope.graph.nodes) {
      const flat: FlatNode = { id: scope.prefix + node.id, scope, node, role: roleOf(node) };
      nodes.push(flat);
      if (nodes.length > limits.workflowNodes) {
        throw new ComfyRunpodError(
          'WORKFLOW_INVALID',
          `The workflow has more than ${limits.workflowNodes} nodes once its subgraphs are unfolded.`,
        );
      }
      if (flat.role.kind !== 'instance' || isSwitchedOff(node)) continue;
      if (contains(scope, flat.role.definition)) {
        refused.push({ flat, reason: 'the subgraph contains itself' });
        continue;
      }
      scopes.push(unfold(flat, flat.role.definition));
    }
  }
  return { root, nodes, refused };
}

function unfold({ id, scope, node }: FlatNode, definition: SubgraphDefinition): Scope {
  const promoted = readPromotedValues(node, definition, innerOverrides(scope.instance?.promoted, node.id));
  const inner: Scope = {
    prefix: `${id}:`,
    graph: definition.graph,
    instance: { outer: scope, node, definition, promoted },
    children: new Map(),
  };
  scope.children.set(node.id, inner);
  return inner;
}

function contains(scope: Scope, definition: SubgraphDefinition): boolean {
  for (let at: Scope | undefined = scope; at?.instance; at = at.instance.outer) {
    if (at.instance.definition === definition) return true;
  }
  return false;
}

/** True for muted and bypassed nodes. */
export function isSwitchedOff(node: EditorNode): boolean {
  return node.mode === nodeModes.muted || node.mode === nodeModes.bypassed;
}

/** Title of a node for people: its own, else the subgraph's name, the class's name for display, or the type. */
export function titleOf({ node, role }: FlatNode): string {
  if (node.title !== undefined && node.title !== '') return node.title;
  if (role.kind === 'instance') return role.definition.name || node.type;
  return (role.kind === 'real' && role.nodeClass.displayName) || node.type;
}

/** Why a node of an unknown type can't be converted. */
export function unknownReason(node: EditorNode): string {
  if (isGroupNodeType(node.type)) return 'a group node whose parts are not in the file';
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(node.type)) return 'a subgraph whose definition is not in the file';
  const pack = textOf(node.properties['cnr_id']) ?? textOf(node.properties['aux_id']);
  return `no class of this name is known${pack === undefined ? '' : ` (node pack ${pack.slice(0, 80)})`}`;
}
