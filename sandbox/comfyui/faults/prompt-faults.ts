// Faults that strike while a prompt runs and ends (F01, F09, F11, F13 to F16, F19, F22, F26). Called by the worker and executor
// of one server life; a CUDA fault poisons that life.
import { rm, truncate } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { ExecutionResult } from '../execution/executor.ts';
import type { ExecutionSession } from '../execution/session.ts';
import { type ComfyFolders, NodeError } from '../node-definition.ts';
import { folderOf, joinInside } from '../paths.ts';
import type { HistoryEntry } from '../queue/history-store.ts';
import type { PromptQueue } from '../queue/prompt-queue.ts';
import type { FaultController } from './fault-controller.ts';
import { oddOutput } from './odd-outputs.ts';

const CUDA_MESSAGE =
  'CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.';

/** What these faults act on. */
export interface PromptFaultContext {
  readonly faults: FaultController;
  readonly folders: ComfyFolders;
  readonly queue: PromptQueue;
  readonly session: ExecutionSession;
  readonly closing: AbortSignal;
  /** Without a fault. */
  readonly historyDelayMs: number;
}

/** One server life's prompt faults. */
export class PromptFaults {
  private readonly context: PromptFaultContext;
  private readonly blocked = new Set<string>();
  private poisoned = false;

  constructor(context: PromptFaultContext) {
    this.context = context;
  }

  historyDelay(promptId: string): number {
    return this.context.faults.strike('late-history', { promptId })?.delayMs ?? this.context.historyDelayMs;
  }

  beforePrompt(promptId: string): Promise<void> {
    if (this.context.faults.strike('dead-worker', { promptId }) === undefined) return Promise.resolve();
    return Promise.reject(new NodeError('KeyError', "'inputs'"));
  }

  async beforeNode(promptId: string, nodeId: string, classType: string): Promise<void> {
    const { faults, closing } = this.context;
    const chance = { promptId, classType };
    const slow = faults.strike('slow-node', chance);
    if (slow !== undefined) await wait(slow.delayMs, undefined, { signal: closing });
    if (faults.strike('cuda-fault', chance) !== undefined) this.poisoned = true;
    if (this.poisoned) throw new NodeError('RuntimeError', CUDA_MESSAGE);
    if (faults.strike('out-of-memory', chance) !== undefined) {
      throw new NodeError(
        'torch.OutOfMemoryError',
        'CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.02 GiB is free.',
      );
    }
    const failing = faults.strike('node-error', chance);
    if (failing !== undefined) throw new NodeError(failing.exceptionType, `${failing.message} (node ${nodeId})`);
  }

  beforeSuccess(promptId: string): void {
    const { faults, session } = this.context;
    const fault = faults.strike('blocked-then-success', { promptId });
    if (fault === undefined) return;
    this.blocked.add(promptId);
    const data = {
      prompt_id: promptId,
      node_id: '0',
      node_type: 'SandboxBlock',
      executed: [],
      exception_message: `Execution Blocked: ${fault.message}`,
      exception_type: 'ExecutionBlocked',
      traceback: [],
      current_inputs: [],
      current_outputs: [],
    };
    session.send('execution_error', data, promptId);
  }

  async beforeHistory(promptId: string, result: ExecutionResult): Promise<ExecutionResult> {
    const { faults } = this.context;
    let out = result;
    const lost = faults.strike('lost-output-files', { promptId });
    if (lost !== undefined) await this.spoilFiles(out, lost.keepBytes);
    if (faults.strike('empty-outputs', { promptId }) !== undefined || this.blocked.delete(promptId)) {
      out = { ...out, outputs: new Map(), meta: new Map() };
    }
    const odd = faults.strike('odd-outputs', { promptId });
    if (odd !== undefined) {
      const outputs = new Map([...out.outputs].map(([id, output]) => [id, oddOutput(output, odd.shape)]));
      out = { ...out, outputs };
    }
    if (faults.strike('error-in-success', { promptId }) !== undefined) out = withHiddenError(out, promptId);
    return out;
  }

  afterHistory(entry: HistoryEntry): void {
    const { faults, queue } = this.context;
    const { promptId } = entry.item;
    if (faults.strike('unreadable-history', { promptId }) !== undefined) entry.unreadable = true;
    if (faults.strike('history-evicted', { promptId }) !== undefined) queue.history.delete(promptId);
  }

  private async spoilFiles(result: ExecutionResult, keepBytes: number | null): Promise<void> {
    for (const output of result.outputs.values()) {
      for (const entry of Object.values(output as object).flat() as unknown[]) {
        if (typeof entry !== 'object' || entry === null || !('filename' in entry)) continue;
        const { filename, subfolder = '', type = 'output' } = entry as Record<string, unknown>;
        const base = folderOf(this.context.folders, String(type));
        const folder = base === undefined ? undefined : joinInside(base, String(subfolder));
        if (folder === undefined) continue;
        const file = path.join(folder, path.basename(String(filename)));
        if (keepBytes === null) await rm(file, { force: true });
        else await truncate(file, keepBytes);
      }
    }
  }
}

function withHiddenError(result: ExecutionResult, promptId: string): ExecutionResult {
  const kept = result.messages.filter(([name]) => name !== 'execution_success');
  const data = {
    prompt_id: promptId,
    node_id: '0',
    node_type: 'SandboxCycle',
    executed: [],
    exception_message: 'Dependency cycle detected',
    exception_type: 'graph.DependencyCycleError',
    traceback: [],
    current_inputs: [],
    current_outputs: [],
    timestamp: 0,
  };
  return { ...result, success: true, messages: [...kept, ['execution_error', data]] };
}
