/**
 * The editor's save format -> the API format, as the editor itself would send it. Pure: runs in a browser, too.
 *
 * Order of work: read the file leniently (editor-graph, group-nodes), unfold subgraphs (flatten), name the widget values of every node
 * (pair-widgets), follow every link to a node that the server runs (resolve-input), drop what points to nodes that are left out.
 * Invariants: nothing but a `ComfyRunpodError` is thrown, and that only when the document is no workflow or unfolds without
 * measure; every node of the file is in the result or in the report.
 */
import { type ApiNode, ComfyRunpodError, detectWorkflowFormat, isLink, type Workflow } from '../../../shared/index.ts';
import { convertNode, hasUnnamedValues, type NodeContext, ownValues } from './convert-node.ts';
import { nodeModes, readDefinitions, readGraph } from './editor-graph.ts';
import { type FlatNode, flatten, makeRoleOf, titleOf, unknownReason } from './flatten.ts';
import { readGroupNodes } from './group-nodes.ts';
import { isObject, type JsonObject } from './json-values.ts';
import type { ObjectInfo } from './object-info.ts';
import { type ConversionReport, nameList, ReportBuilder } from './report.ts';
import type { FindWidgetValue } from './text-placeholders.ts';
import { virtualReasons } from './virtual-nodes.ts';

/** Options of {@link convertWorkflow}. */
export interface ConvertOptions {
  /**
   * True (default): texts become what the editor would send: one option of `{a|b}` is drawn and comments go in prompts with dynamic prompts;
   * `%date:yyyy-MM-dd%` and `%Node.widget%` are replaced in file prefixes. False: texts stay as they were saved.
   */
  readonly resolveText?: boolean;
  /** Source of chance for `{a|b}`: from 0 up to but without 1. Default `Math.random`. */
  readonly random?: () => number;
  /** The time for `%date:…%`. Default now. */
  readonly now?: () => Date;
}

/** A converted workflow and what there is to say about it. */
export interface Conversion {
  /** Empty when every node is muted or of the editor only. */
  readonly workflow: Workflow;
  readonly report: ConversionReport;
}

function assertEditorFormat(document: unknown): asserts document is JsonObject {
  const format = detectWorkflowFormat(document);
  if (format === 'api') {
    throw new ComfyRunpodError(
      'WORKFLOW_INVALID',
      'The workflow is in API format already; there is nothing to convert.',
      {
        nextStep: 'Use it as it is.',
      },
    );
  }
  if (!isObject(document) || !Array.isArray(document['nodes'])) {
    throw new ComfyRunpodError(
      'WORKFLOW_INVALID',
      "This is no workflow of ComfyUI's editor: it has no list of nodes.",
      {
        nextStep: 'Save the workflow in ComfyUI and use that file.',
      },
    );
  }
}

/**
 * Converts a workflow in the editor's save format (parsed JSON) to the API format.
 *
 * `objectInfo` is the answer of `/object_info` of the ComfyUI that is to run it: without it, positions in `widgets_values` have no names. Nodes of
 * classes that it lacks are converted as far as the file names their values, and listed in `report.unsupported`.
 * Throws `WORKFLOW_INVALID` when the document is no editor workflow at all or unfolds to more nodes than a workflow may have.
 */
export function convertWorkflow(editor: unknown, objectInfo: ObjectInfo, options: ConvertOptions = {}): Conversion {
  assertEditorFormat(editor);
  const definitions = new Map([...readDefinitions(editor), ...readGroupNodes(editor, objectInfo)]);
  const roleOf = makeRoleOf(definitions, objectInfo);
  const { nodes, refused } = flatten(readGraph(editor), roleOf);
  const report = new ReportBuilder();
  for (const { flat, reason } of refused) report.refuse(flat, reason);
  const context: NodeContext = {
    roleOf,
    report,
    resolveText: options.resolveText ?? true,
    random: options.random ?? Math.random,
    now: options.now ?? (() => new Date()),
    findValue: makeFindValue(nodes),
  };
  const converted = new Map<string, ApiNode>();
  for (const flat of nodes) {
    if (isSent(flat, report)) converted.set(flat.id, convertNode(flat, context));
  }
  dropDeadLinks(converted, nodes, report);
  return { workflow: Object.fromEntries(converted), report: report.build() };
}

/** Whether a node is sent to the server; says in the report why not. */
function isSent(flat: FlatNode, report: ReportBuilder): boolean {
  const { node, role } = flat;
  if (role.kind === 'virtual') {
    report.skip(flat, virtualReasons[role.virtual]);
    if (role.virtual === 'broadcast' && node.mode === 0 && flat.scope.graph.implicit.size === 0) {
      report.refuse(flat, 'it makes links when the editor queues, and the file does not hold them');
    }
    return false;
  }
  if (node.mode === nodeModes.muted) report.skip(flat, 'muted');
  else if (node.mode === nodeModes.bypassed) report.skip(flat, 'bypassed: its links are connected through');
  else if (role.kind === 'unknown') return isGuessable(flat, report);
  else return role.kind === 'real';
  return false;
}

/** Nodes of unknown classes are sent, so that a server which has the class can run them. */
function isGuessable(flat: FlatNode, report: ReportBuilder): boolean {
  const unnamed = hasUnnamedValues(flat);
  const sent = !/^workflow[>/]|^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(flat.node.type);
  const lost = unnamed ? '; its values have no names in the file and are missing' : '';
  report.refuse(flat, `${unknownReason(flat.node)}${lost}`, sent && !unnamed);
  return sent;
}

/** The editor removes inputs that point to nodes which are not sent. */
function dropDeadLinks(converted: Map<string, ApiNode>, nodes: readonly FlatNode[], report: ReportBuilder): void {
  for (const flat of nodes) {
    const node = converted.get(flat.id);
    if (!node) continue;
    const dead = Object.entries(node.inputs).filter(([, value]) => isLink(value) && !converted.has(value[0]));
    if (dead.length === 0) continue;
    const names = new Set(dead.map(([name]) => name));
    const inputs = Object.fromEntries(Object.entries(node.inputs).filter(([name]) => !names.has(name)));
    converted.set(flat.id, { ...node, inputs });
    report.note(flat, `fed by a node that is left out, so the input is dropped: ${nameList([...names])}`);
  }
}

/** Finds widgets for `%Node.widget%`: by the node's name for search and replace, else by its title; the first of several. */
function makeFindValue(nodes: readonly FlatNode[]): FindWidgetValue {
  let index: Map<string, FlatNode> | undefined;
  const values = new Map<FlatNode, ReadonlyMap<string, unknown>>();
  return (name, widget) => {
    index ??= indexByName(nodes);
    const flat = index.get(name);
    if (!flat) return undefined;
    const own = values.get(flat) ?? ownValues(flat).values;
    values.set(flat, own);
    return own.get(widget);
  };
}

function indexByName(nodes: readonly FlatNode[]): Map<string, FlatNode> {
  const index = new Map<string, FlatNode>();
  const add = (name: unknown, flat: FlatNode) => {
    if (typeof name === 'string' && !index.has(name)) index.set(name, flat);
  };
  for (const flat of nodes) add(flat.node.properties['Node name for S&R'], flat);
  for (const flat of nodes) add(titleOf(flat), flat);
  return index;
}
