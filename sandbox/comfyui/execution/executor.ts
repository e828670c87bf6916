// Runs one prompt after another (ComfyUI protocol notes §2.6, §3.1 to §3.3, §6.1).
// Neighbours: worker.ts feeds it, node-runner.ts runs single nodes, cache/ keeps results between prompts.
// Invariants: 1. messages go out in the recorded order. 2. The first failing node ends the prompt. 3. What is thrown outside
// of a node's own error handling escapes: it kills the worker (§6.6). 4. `succeeded` is set by nodes, so a cycle found at
// run time leaves it as it was (§2.6 "dynamic dependency cycle").
import { type CacheMode, CacheSet } from '../cache/cache-set.ts';
import { ChangeMarkers } from '../cache/change-markers.ts';
import type { ComfyFolders, ComfyProfile } from '../node-definition.ts';
import type { NodeRegistry } from '../node-registry.ts';
import { fakeTraceback, InterruptedPrompt, pythonErrorInfo } from '../python-error.ts';
import type { PyDict, PyValue } from '../python-json.ts';
import type { ExecutionOutputs } from '../queue/history-store.ts';
import type { QueueItem } from '../queue/queue-item.ts';
import { DynamicPrompt } from './dynamic-prompt.ts';
import { ExecutionList } from './execution-list.ts';
import { historyOutputs } from './history-outputs.ts';
import type { InterruptFlag } from './interrupt-flag.ts';
import { describeInputs, extraPngInfo } from './node-inputs.ts';
import {
  lookUpNode,
  type NodeOutcome,
  type RunningNode,
  type RunState,
  runNode,
  serveFromCache,
} from './node-runner.ts';
import { ProgressRegistry } from './progress-registry.ts';
import type { PromptEnvironment, StandInClock } from './run-context.ts';
import type { ExecutionSession } from './session.ts';

/** The executor's surroundings. */
export interface ExecutorOptions {
  readonly registry: NodeRegistry;
  readonly session: ExecutionSession;
  readonly interrupt: InterruptFlag;
  readonly folders: ComfyFolders;
  readonly profile: ComfyProfile;
  readonly disableMetadata: boolean;
  readonly cacheMode: CacheMode;
  readonly clock: StandInClock;
  readonly closing: AbortSignal;
  readonly log: (level: 'INFO' | 'WARNING' | 'ERROR', text: string) => void;
  readonly beforeNode: (promptId: string, nodeId: string, classType: string) => Promise<void>;
  /** Runs right before `execution_success`. */
  readonly beforeSuccess: (promptId: string) => void;
  /** The known regression of early 2026: cached results are missing from history without a `client_id`. */
  readonly cachedUiNeedsClient: boolean;
  /** A turn for others between nodes: requests are answered, events delivered. */
  readonly yieldTurn: () => Promise<void>;
}

const OUT_OF_MEMORY_TIPS =
  'This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have accidentally set the batch_size to a large number.';

interface Failure {
  readonly nodeId: string;
  readonly error: unknown;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What one prompt left behind. */
export interface ExecutionResult extends ExecutionOutputs {
  readonly messages: readonly (readonly [string, unknown])[];
  readonly success: boolean;
}

/** Executes prompts; keeps caches between them. */
export class PromptExecutor {
  private readonly options: ExecutorOptions;
  private caches: CacheSet;
  private succeeded = true;
  private messages: [string, unknown][] = [];

  constructor(options: ExecutorOptions) {
    this.options = options;
    this.caches = new CacheSet(options.cacheMode);
  }

  /** Drops all caches: `/free {"free_memory": true}`. */
  reset(): void {
    this.caches = new CacheSet(this.options.cacheMode);
    this.messages = [];
    this.succeeded = true;
  }

  /** Runs a prompt to its end. Rejects only for what kills the worker. */
  async execute(item: QueueItem): Promise<ExecutionResult> {
    const { session, interrupt } = this.options;
    interrupt.reset();
    session.clientId = item.extraData instanceof Map ? (item.extraData.get('client_id') ?? null) : null;
    this.messages = [];
    this.addMessage('execution_start', { prompt_id: item.promptId }, false);
    const state = await this.prepare(item);
    await this.runAll(item, state);
    const result = historyOutputs(this.caches, state, this.options);
    session.lastNodeId = null;
    return { ...result, messages: [...this.messages], success: this.succeeded };
  }

  private async prepare(item: QueueItem): Promise<RunState> {
    const { options, caches } = this;
    const graph = new DynamicPrompt(item.prompt);
    const progress = new ProgressRegistry({
      promptId: item.promptId,
      prompt: graph,
      session: options.session,
      throttled: options.profile === 'late-2026',
      now: () => options.clock.now(),
    });
    const markers = new ChangeMarkers(graph, options.registry, (line) => options.log('WARNING', line));
    await caches.startPrompt(graph, markers, options.registry);
    const cached = [...item.prompt.keys()].filter((id) => caches.outputs.get(id) !== undefined);
    this.addMessage('execution_cached', { nodes: cached, prompt_id: item.promptId }, false);
    const list = new ExecutionList({
      prompt: graph,
      registry: options.registry,
      isCached: (id) => caches.outputs.get(id) !== undefined,
    });
    for (const id of item.outputs) await list.addNode(id);
    return {
      environment: this.environment(item, progress),
      graph,
      registry: options.registry,
      caches,
      list,
      executed: new Set(),
      scheduled: new Set(item.outputs),
      cachedAtStart: new Set(cached),
      expansions: new Map(),
      asyncWork: new Map(),
      beforeNode: (nodeId, classType) => options.beforeNode(item.promptId, nodeId, classType),
    };
  }

  private environment(item: QueueItem, progress: ProgressRegistry): PromptEnvironment {
    const { options } = this;
    return {
      promptId: item.promptId,
      prompt: item.prompt,
      extraData: item.extraData,
      folders: options.folders,
      profile: options.profile,
      disableMetadata: options.disableMetadata,
      clock: options.clock,
      interrupt: options.interrupt,
      progress,
      session: options.session,
      closing: options.closing,
    };
  }

  private async runAll(item: QueueItem, state: RunState): Promise<void> {
    for (;;) {
      await this.options.yieldTurn();
      const staged = await state.list.stage();
      if (staged.kind === 'empty') {
        this.options.beforeSuccess(item.promptId);
        this.addMessage('execution_success', { prompt_id: item.promptId }, false);
        return;
      }
      if (staged.kind === 'cycle') {
        this.reportError(item.prompt, state, {
          nodeId: staged.blamed,
          error: undefined,
          details: {
            exception_message: 'Dependency cycle detected',
            exception_type: 'graph.DependencyCycleError',
            traceback: [],
            current_inputs: [],
          },
        });
        return;
      }
      const failure = await this.step(item, state, staged.id);
      this.succeeded = failure === undefined;
      if (failure !== undefined) {
        this.reportFailure(item.prompt, state, failure);
        return;
      }
    }
  }

  private async step(item: QueueItem, state: RunState, id: string): Promise<Failure | undefined> {
    const running = await lookUpNode(state, id);
    if (serveFromCache(state, running)) {
      state.list.complete(id);
      return undefined;
    }
    let outcome: NodeOutcome;
    try {
      outcome = await runNode(state, running);
    } catch (error) {
      return this.failureOf(item, state, running, error);
    }
    if (outcome === 'pending') return undefined;
    state.environment.progress.finish(id);
    state.executed.add(id);
    state.list.complete(id);
    return undefined;
  }

  private failureOf(item: QueueItem, state: RunState, running: RunningNode, error: unknown): Failure {
    const nodeId = state.graph.realId(running.id);
    if (error instanceof InterruptedPrompt) {
      this.options.log('INFO', 'Processing interrupted');
      return { nodeId, error, details: {} };
    }
    const info = pythonErrorInfo(error);
    this.options.log('ERROR', `!!! Exception during processing !!! ${info.message}`);
    const outOfMemory = /(^|\.)OutOfMemoryError$/.test(info.type);
    if (outOfMemory) this.options.log('ERROR', 'Got an OOM, unloading all loaded models.');
    const hidden = { prompt: item.prompt as PyValue, extraPngInfo: extraPngInfo(item.extraData), nodeId: running.id };
    return {
      nodeId,
      error,
      details: {
        exception_message: `${info.message}\n${outOfMemory ? OUT_OF_MEMORY_TIPS : ''}`,
        exception_type: info.type,
        traceback: fakeTraceback('execution.py', 496, 'execute', 'output_data, … = await get_output_data(…)'),
        current_inputs:
          running.gathered === undefined ? {} : describeInputs(running.gathered, running.declaration, hidden),
      },
    };
  }

  private reportFailure(prompt: PyDict, state: RunState, failure: Failure): void {
    if (!(failure.error instanceof InterruptedPrompt)) {
      this.reportError(prompt, state, failure);
      return;
    }
    this.addMessage('execution_interrupted', this.failureHead(prompt, state, failure.nodeId), true);
  }

  private reportError(prompt: PyDict, state: RunState, failure: Failure): void {
    const data = {
      ...this.failureHead(prompt, state, failure.nodeId),
      ...failure.details,
      current_outputs: this.caches.outputs.ids(),
    };
    this.addMessage('execution_error', data, false);
  }

  private failureHead(prompt: PyDict, state: RunState, nodeId: string) {
    const node = prompt.get(nodeId);
    return {
      prompt_id: state.environment.promptId,
      node_id: nodeId,
      node_type: node instanceof Map ? node.get('class_type') : undefined,
      executed: [...state.executed],
    };
  }

  private addMessage(event: string, data: Readonly<Record<string, unknown>>, broadcast: boolean): void {
    const stamped = { ...data, timestamp: Math.trunc(this.options.clock.now()) };
    this.messages.push([event, stamped]);
    const promptId = typeof data['prompt_id'] === 'string' ? data['prompt_id'] : undefined;
    if (this.options.session.hasClient || broadcast) this.options.session.send(event, stamped, promptId);
  }
}
