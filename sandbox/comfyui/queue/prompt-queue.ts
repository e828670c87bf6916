// Pending, running and finished prompts (ComfyUI protocol notes §1.4, §6.2).
// Neighbours: execution/worker.ts takes from it, http/routes/ read and change it, websocket/hub.ts hears of every change.
// Invariants: 1. a prompt is in exactly one of pending, running and history from acceptance to its end. 2. `onChange` fires
// once per change, with the count of that moment (§2.4 `status`).
import { BinaryHeap } from './binary-heap.ts';
import { type ExecutionOutputs, type ExecutionStatus, type HistoryEntry, HistoryStore } from './history-store.ts';
import { copyItem, isBefore, itemTuple, type QueueItem } from './queue-item.ts';

/** A prompt taken from the queue: the original goes to the executor, the copy is what others see. */
export interface TakenItem {
  readonly ticket: number;
  readonly item: QueueItem;
}

/** What `/free` asked for; read and reset by the worker. */
export interface FreeFlags {
  unloadModels: boolean;
  freeMemory: boolean;
}

/** The queue of one server life. */
export class PromptQueue {
  readonly history: HistoryStore;
  private readonly pending = new BinaryHeap<QueueItem>(isBefore);
  private readonly running = new Map<number, QueueItem>();
  private readonly onChange: (remaining: number) => void;
  private flags: FreeFlags = { unloadModels: false, freeMemory: false };
  private ticket = 0;
  private wake: (() => void) | undefined;

  constructor(options: { readonly historyLimit: number; readonly onChange: (remaining: number) => void }) {
    this.history = new HistoryStore(options.historyLimit);
    this.onChange = options.onChange;
  }

  /** Pending plus running. */
  get remaining(): number {
    return this.pending.size + this.running.size;
  }

  /** Adds a prompt. Throws, with the prompt added, when it cannot be compared with an equal entry (§1.3.1). */
  put(item: QueueItem): void {
    this.pending.push(item);
    this.changed();
    this.wakeWorker();
  }

  /** Takes the next prompt, or undefined when none is pending. Throws like `put`. */
  take(): TakenItem | undefined {
    if (this.pending.size === 0) return undefined;
    const item = this.pending.pop();
    if (item === undefined) return undefined;
    const ticket = this.ticket;
    this.ticket += 1;
    this.running.set(ticket, copyItem(item));
    this.changed();
    return { ticket, item };
  }

  /** Moves a running prompt to history. */
  done(ticket: number, result: ExecutionOutputs, status: ExecutionStatus): HistoryEntry | undefined {
    const item = this.running.get(ticket);
    if (item === undefined) return undefined;
    this.running.delete(ticket);
    const entry = this.history.add(item, status, result);
    this.changed();
    return entry;
  }

  runningItems(): QueueItem[] {
    return [...this.running.values()];
  }

  /** In heap order. */
  pendingItems(): readonly QueueItem[] {
    return this.pending.entries();
  }

  /** `/queue`'s two lists. */
  snapshot(): { queue_running: unknown[]; queue_pending: unknown[] } {
    return {
      queue_running: this.runningItems().map(itemTuple),
      queue_pending: this.pendingItems().map(itemTuple),
    };
  }

  clear(): void {
    this.pending.clear();
    this.changed();
  }

  /** Removes one pending entry with this id; announces it once, or twice when the queue became empty (as recorded). */
  delete(promptId: unknown): boolean {
    const last = this.pending.size === 1;
    if (!this.pending.remove((item) => item.promptId === promptId)) return false;
    if (last) this.changed();
    this.changed();
    return true;
  }

  requestFree(flags: Partial<FreeFlags>): void {
    this.flags = { ...this.flags, ...flags };
    this.wakeWorker();
  }

  /** Reads and resets what `/free` asked for. */
  takeFlags(): FreeFlags {
    const flags = this.flags;
    this.flags = { unloadModels: false, freeMemory: false };
    return flags;
  }

  /** Resolves when something was queued or asked for, or when the signal aborts. */
  async waitForWork(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.pending.size > 0 || this.flags.freeMemory || this.flags.unloadModels) return;
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        signal.removeEventListener('abort', finish);
        this.wake = undefined;
        resolve();
      };
      this.wake = finish;
      signal.addEventListener('abort', finish, { once: true });
    });
  }

  private wakeWorker(): void {
    this.wake?.();
  }

  private changed(): void {
    this.onChange(this.remaining);
  }
}
