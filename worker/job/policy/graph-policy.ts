/**
 * What this worker lets a graph be, whatever ComfyUI would do with it: which classes, how many nodes, how deeply nested. Applied before
 * anything is posted; {@link file://./loader-paths.ts} looks at the files that it names. Pure.
 *
 * Only what is in the graph is judged: a node that builds further nodes while it runs builds them unseen.
 */
import { ComfyRunpodError, type ErrorIssue, limits, type Workflow } from '../../../shared/index.ts';
import type { NodeClass } from '../../comfy/index.ts';
import { matchesClass } from './match-class.ts';

/** What the worker's owner allows. Everything is optional. */
export interface GraphPolicy {
  /** Patterns of classes that may be used. Absent: all. */
  readonly allowed?: readonly string[];
  /** Patterns of classes that may not be used, even if allowed. */
  readonly denied?: readonly string[];
  /** Most nodes. Default: `limits.workflowNodes`. */
  readonly maxNodes?: number;
  /** Deepest nesting of lists and objects in an input. Default: `limits.workflowDepth`. */
  readonly maxDepth?: number;
}

/** What a graph is held against. */
export interface GraphPolicyContext extends GraphPolicy {
  /** The classes that ComfyUI has, at least those that the graph names. */
  readonly catalog: ReadonlyMap<string, NodeClass>;
  /** Custom-node packs that ComfyUI failed to import: a class that is missing may come from one of them. */
  readonly failedPacks?: readonly string[];
}

/** Names listed in a message; issues list more. */
const listed = 20;

/**
 * Holds a graph against the policy. Throws what {@link assertPermitted} throws, or `WORKFLOW_UNKNOWN_NODE` with every class that is missing and
 * the packs that failed to import.
 */
export function applyGraphPolicy(workflow: Workflow, context: GraphPolicyContext): void {
  assertPermitted(workflow, context);
  assertClassesKnown(workflow, context);
}

/**
 * The part of it for which ComfyUI need not be asked. Throws `WORKFLOW_TOO_LARGE`, or `WORKFLOW_FORBIDDEN_NODE` with every node that is not
 * allowed.
 */
export function assertPermitted(workflow: Workflow, policy: GraphPolicy): void {
  assertSize(workflow, policy.maxNodes ?? limits.workflowNodes, policy.maxDepth ?? limits.workflowDepth);
  assertAllowed(workflow, policy);
}

function assertSize(workflow: Workflow, maxNodes: number, maxDepth: number): void {
  const nodes = Object.entries(workflow);
  if (nodes.length > maxNodes) {
    throw new ComfyRunpodError(
      'WORKFLOW_TOO_LARGE',
      `The workflow has ${nodes.length} nodes; at most ${maxNodes} are allowed.`,
      { details: { nodes: nodes.length, maxNodes } },
    );
  }
  const deep = nodes.flatMap(([node, { class_type: classType, inputs }]): ErrorIssue[] =>
    Object.entries(inputs)
      .filter(([, value]) => isDeeperThan(value, maxDepth))
      .map(([field]) => ({ node, classType, field, message: `nested deeper than ${maxDepth}` })),
  );
  const [first] = deep;
  if (!first) return;
  const where = `input ${JSON.stringify(first.field?.slice(0, 60))} of node ${JSON.stringify(first.node?.slice(0, 60))}`;
  const more = deep.length > 1 ? ` and ${deep.length - 1} more` : '';
  throw new ComfyRunpodError(
    'WORKFLOW_TOO_LARGE',
    `Lists and objects may be nested ${maxDepth} deep; ${where}${more} is deeper.`,
    { issues: deep, details: { maxDepth } },
  );
}

/** Not recursive: the value may be nested as deeply as its sender likes. */
function isDeeperThan(value: unknown, maxDepth: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const nested = level.filter((item): item is object => typeof item === 'object' && item !== null);
    if (nested.length > 0 && depth >= maxDepth) return true;
    level = nested.flatMap((item) => Object.values(item) as unknown[]);
  }
  return false;
}

function assertAllowed(workflow: Workflow, { allowed, denied }: GraphPolicy): void {
  const forbidden = (name: string) =>
    (denied !== undefined && matchesClass(name, denied)) || (allowed !== undefined && !matchesClass(name, allowed));
  const offending = nodesByClass(workflow, forbidden);
  if (offending.size === 0) return;
  const parts = [...offending].map(([name, ids]) => {
    const shown = ids.slice(0, listed).map((id) => id.slice(0, 60));
    const more = ids.length > listed ? ` and ${ids.length - listed} more` : '';
    return `${quoted(name)} (node ${shown.join(', ')}${more})`;
  });
  throw new ComfyRunpodError('WORKFLOW_FORBIDDEN_NODE', `This endpoint does not allow ${joined(parts)}.`, {
    issues: issuesOf(offending, 'class_not_allowed', 'this endpoint does not allow the node class'),
  });
}

/** ComfyUI itself tells only the first class that it lacks (ComfyUI protocol notes §1.3.3). */
function assertClassesKnown(workflow: Workflow, { catalog, failedPacks = [] }: GraphPolicyContext): void {
  const missing = nodesByClass(workflow, (name) => !catalog.has(name));
  if (missing.size === 0) return;
  const packs = joined(failedPacks.map(quoted));
  const cause = failedPacks.length > 0 ? ` Custom-node packs that failed to import: ${packs}.` : '';
  throw new ComfyRunpodError(
    'WORKFLOW_UNKNOWN_NODE',
    `This ComfyUI lacks ${joined([...missing.keys()].map(quoted))}.${cause}`,
    {
      issues: issuesOf(missing, 'missing_node_type', 'no such node class'),
      ...(failedPacks.length > 0 && {
        nextStep:
          "Repair the packs that failed to import (ComfyUI's log tells why), or use an image that has the classes.",
      }),
    },
  );
}

/** Node ids by class, for the classes that `wanted` picks; in alphabetical order. */
function nodesByClass(workflow: Workflow, wanted: (name: string) => boolean): ReadonlyMap<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [id, { class_type: name }] of Object.entries(workflow)) {
    if (!wanted(name)) continue;
    const ids = found.get(name);
    if (ids) ids.push(id);
    else found.set(name, [id]);
  }
  return new Map([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function issuesOf(nodes: ReadonlyMap<string, readonly string[]>, type: string, message: string): ErrorIssue[] {
  return [...nodes].flatMap(([classType, ids]) => ids.map((node) => ({ node, classType, type, message })));
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}

function joined(parts: readonly string[]): string {
  const more = parts.length > listed ? ` and ${parts.length - listed} more` : '';
  return `${parts.slice(0, listed).join(', ')}${more}`;
}
