// Runs one staged node: from cache, by calling it, or by collecting what it left pending (ComfyUI protocol notes §2.6, §3.8).
// Neighbours: executor.ts stages and judges the outcome; map-over-lists.ts calls; run-context.ts is what nodes see.
// Invariants: 1. `executing` is sent per call attempt, so a lazy node is announced twice. 2. UI results are stored and sent
// before the node counts as finished. 3. A node's result is stored only when nothing of it is pending.
import type { CacheSet, SlotValues } from '../cache/cache-set.ts';
import { ExecutionBlocker, type NodeDeclaration, type NodeDefinition, type NodeResult } from '../node-definition.ts';
import type { NodeRegistry } from '../node-registry.ts';
import { keyError } from '../python-error.ts';
import type { DynamicPrompt, GraphNode } from './dynamic-prompt.ts';
import type { ExecutionList } from './execution-list.ts';
import { expandGraph, type PendingExpansion, resolveExpansion } from './expansion.ts';
import { type CallResult, mapOverLists, mergeSlots, mergeUi, slotsOf } from './map-over-lists.ts';
import { type GatheredInputs, gatherInputs, sliceInputs } from './node-inputs.ts';
import { createNodeContext, type PromptEnvironment } from './run-context.ts';

/** Everything one prompt's nodes share. */
export interface RunState {
  readonly environment: PromptEnvironment;
  readonly graph: DynamicPrompt;
  readonly registry: NodeRegistry;
  readonly caches: CacheSet;
  readonly list: ExecutionList;
  /** Nodes that ran in this run, in order. */
  readonly executed: Set<string>;
  /** Output nodes this prompt asked for. */
  readonly scheduled: ReadonlySet<string>;
  /** Nodes whose result was cached when the prompt started. */
  readonly cachedAtStart: ReadonlySet<string>;
  readonly expansions: Map<string, PendingExpansion[]>;
  readonly asyncWork: Map<string, Promise<CallResult[]>>;
  /** Faults that strike when a node is called. */
  readonly beforeNode: (nodeId: string, classType: string) => Promise<void>;
}

/** A node being run, for error reports. */
export interface RunningNode {
  readonly id: string;
  readonly node: GraphNode;
  readonly definition: NodeDefinition;
  readonly declaration: NodeDeclaration;
  gathered: GatheredInputs | undefined;
}

/** `pending`: the node goes back among the waiting ones. */
export type NodeOutcome = 'done' | 'pending';

/** Looks the node up. Throws outside of the node's own error handling, like the server. */
export async function lookUpNode(state: RunState, id: string): Promise<RunningNode> {
  const node = state.graph.get(id);
  const definition = state.registry.get(node.classType);
  if (definition === undefined) throw keyError(node.classType);
  return { id, node, definition, declaration: await state.registry.declare(definition), gathered: undefined };
}

/** Serves a node from cache; tells whether it could. */
export function serveFromCache(state: RunState, running: RunningNode): boolean {
  const { id } = running;
  if (state.caches.outputs.get(id) === undefined) return false;
  const { session, promptId, progress } = state.environment;
  if (session.hasClient) {
    const output = state.caches.ui.get(id)?.output ?? null;
    const data = { node: id, display_node: state.graph.displayId(id), output, prompt_id: promptId };
    session.send('executed', data, promptId);
  }
  progress.finish(id);
  return true;
}

/** Runs the node. Rejects with what the node raised. */
export async function runNode(state: RunState, running: RunningNode): Promise<NodeOutcome> {
  const { id } = running;
  const work = state.asyncWork.get(id);
  if (work !== undefined) {
    state.asyncWork.delete(id);
    return store(state, running, await work);
  }
  const expansion = state.expansions.get(id);
  if (expansion !== undefined) {
    const slots = expansion.map((part) => resolveExpansion(part, (source) => state.caches.outputs.get(source)));
    return finish(state, running, mergeSlots(slots, running.declaration));
  }
  return await start(state, running);
}

async function start(state: RunState, running: RunningNode): Promise<NodeOutcome> {
  const { id, node, definition, declaration } = running;
  const { environment, graph } = state;
  environment.progress.start(id);
  running.gathered = gatherInputs(node, declaration, (source) => state.caches.outputs.get(source));
  announce(state, id);
  const nodeState = state.caches.states.get(id) ?? new Map<string, unknown>();
  state.caches.states.set(id, nodeState);
  if (await needsMore(state, running, running.gathered)) return 'pending';
  await state.beforeNode(graph.realId(id), node.classType);
  const calls = mapOverLists({
    definition,
    lists: running.gathered.lists,
    beforeCall: () => environment.interrupt.throwIfRaised(),
    onBlocked: (blocker) => reportBlocked(state, running, blocker),
    call: (inputs, index) => definition.execute(inputs, createNodeContext(environment, id, index, nodeState)),
  });
  return definition.isAsync === true ? await beside(state, running, calls) : await store(state, running, await calls);
}

function announce(state: RunState, id: string): void {
  const { session, promptId } = state.environment;
  if (!session.hasClient) return;
  const display = state.graph.displayId(id);
  session.lastNodeId = display;
  session.send('executing', { node: id, display_node: display, prompt_id: promptId }, promptId);
}

/** Asks a lazy node what else it wants; tells whether it has to wait for it. */
async function needsMore(state: RunState, running: RunningNode, gathered: GatheredInputs): Promise<boolean> {
  const check = running.definition.checkLazyStatus;
  if (check === undefined) return false;
  const wanted = new Set<string>();
  const length = Math.max(1, ...[...gathered.lists.values()].map((list) => list.length));
  for (let index = 0; index < length; index += 1) {
    state.environment.interrupt.throwIfRaised();
    for (const name of check(sliceInputs(gathered.lists, index))) wanted.add(name);
  }
  const missing = [...wanted].filter((name) => !gathered.lists.has(name) || gathered.missing.has(name));
  for (const name of missing) await state.list.requireInput(running.id, name);
  return missing.length > 0;
}

/** Lets async work run beside other nodes; the node is staged again when it is done. */
async function beside(state: RunState, running: RunningNode, calls: Promise<CallResult[]>): Promise<NodeOutcome> {
  let settled = false;
  const done = calls.then(
    () => {
      settled = true;
    },
    () => {
      settled = true;
    },
  );
  await Promise.resolve();
  await Promise.resolve();
  if (settled) return await store(state, running, await calls);
  state.asyncWork.set(running.id, calls);
  const unblock = state.list.addExternalBlock(running.id);
  void done.then(unblock);
  return 'pending';
}

function reportBlocked(state: RunState, running: RunningNode, blocker: ExecutionBlocker): ExecutionBlocker {
  if (blocker.message === null) return blocker;
  const { session, promptId } = state.environment;
  const data = {
    prompt_id: promptId,
    node_id: running.id,
    node_type: running.node.classType,
    executed: [...state.executed],
    exception_message: `Execution Blocked: ${blocker.message}`,
    exception_type: 'ExecutionBlocked',
    traceback: [],
    current_inputs: [],
    current_outputs: [],
  };
  session.send('execution_error', data, promptId);
  return new ExecutionBlocker(null);
}

async function store(state: RunState, running: RunningNode, results: readonly CallResult[]): Promise<NodeOutcome> {
  const { id, declaration } = running;
  const ui = mergeUi(results);
  if (Object.keys(ui).length > 0) showUi(state, id, ui);
  const expands = results.some(
    (result): result is NodeResult => !(result instanceof ExecutionBlocker) && result.expand !== undefined,
  );
  if (expands) {
    state.expansions.set(id, await expandGraph(state, id, results, declaration));
    return 'pending';
  }
  return finish(
    state,
    running,
    mergeSlots(
      results.map((result) => slotsOf(result, declaration)),
      declaration,
    ),
  );
}

function showUi(state: RunState, id: string, output: Readonly<Record<string, readonly unknown[]>>): void {
  const { session, promptId } = state.environment;
  const display = state.graph.displayId(id);
  const meta = {
    node_id: id,
    display_node: display,
    parent_node: state.graph.parentOf(id),
    real_node_id: state.graph.realId(id),
  };
  state.caches.ui.set(id, { meta, output });
  if (!session.hasClient) return;
  session.send('executed', { node: id, display_node: display, output, prompt_id: promptId }, promptId);
}

function finish(state: RunState, running: RunningNode, slots: SlotValues): NodeOutcome {
  state.caches.outputs.set(running.id, slots);
  return 'done';
}
