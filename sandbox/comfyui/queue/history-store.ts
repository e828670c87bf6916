// Finished prompts, in completion order, in memory only (ComfyUI protocol notes §1.5).
import { compareNumbers, type PyDict, type PyValue } from '../python-json.ts';
import { itemTuple, type QueueItem } from './queue-item.ts';

/** How a prompt ended, as `status` of its entry. */
export interface ExecutionStatus {
  readonly status_str: 'success' | 'error';
  readonly completed: boolean;
  readonly messages: readonly (readonly [string, unknown])[];
}

/** What the executor hands over besides the status. */
export interface ExecutionOutputs {
  readonly outputs: ReadonlyMap<string, unknown>;
  readonly meta: ReadonlyMap<string, unknown>;
}

/** One entry. `unreadable` (fault F11, or output Python cannot serialise) makes reading it answer 500. */
export interface HistoryEntry {
  readonly item: QueueItem;
  outputs: ReadonlyMap<string, unknown>;
  readonly meta: ReadonlyMap<string, unknown>;
  readonly status: ExecutionStatus;
  unreadable: boolean;
}

const SECRETS = ['auth_token_comfy_org', 'api_key_comfy_org'];

/** The entry as the server sends it. */
export function entryBody(entry: HistoryEntry): Map<string, unknown> {
  return new Map<string, unknown>([
    ['prompt', itemTuple(entry.item)],
    ['outputs', entry.outputs],
    ['status', entry.status],
    ['meta', entry.meta],
  ]);
}

/** The history. */
export class HistoryStore {
  private readonly entries = new Map<string, HistoryEntry>();
  private readonly limit: number;

  /** `limit`: the oldest entry is dropped when more than this many exist before adding (10 000 in ComfyUI). */
  constructor(limit: number) {
    this.limit = limit;
  }

  add(item: QueueItem, status: ExecutionStatus, result: ExecutionOutputs): HistoryEntry {
    if (this.entries.size > this.limit) {
      const oldest = this.entries.keys().next();
      if (oldest.done !== true) this.entries.delete(oldest.value);
    }
    if (item.extraData instanceof Map) for (const secret of SECRETS) (item.extraData as PyDict).delete(secret);
    const entry: HistoryEntry = { item, status, outputs: result.outputs, meta: result.meta, unreadable: false };
    this.entries.set(item.promptId, entry);
    return entry;
  }

  get(promptId: string): HistoryEntry | undefined {
    return this.entries.get(promptId);
  }

  all(): readonly HistoryEntry[] {
    return [...this.entries.values()];
  }

  delete(promptId: string): void {
    this.entries.delete(promptId);
  }

  clear(): void {
    this.entries.clear();
  }

  /** `max_items` and `offset` as the server reads them; without an offset the newest `maxItems`, oldest first. */
  page(maxItems: PyValue, offset: number | bigint): HistoryEntry[] {
    const size = this.entries.size;
    const max = typeof maxItems === 'number' || typeof maxItems === 'bigint' ? Number(maxItems) : undefined;
    const from = compareNumbers(offset, 0) === -1 && max !== undefined ? size - max : Number(offset);
    const out: HistoryEntry[] = [];
    let index = 0;
    for (const entry of this.entries.values()) {
      if (index >= from) {
        out.push(entry);
        // The count is tested after adding, so 0 or less never stops before the first entry that qualifies.
        if (max !== undefined && out.length >= max) break;
      }
      index += 1;
    }
    return out;
  }
}
