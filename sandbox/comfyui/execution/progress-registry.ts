// Progress of all nodes of a prompt, announced as a whole with every change (ComfyUI protocol notes §2.4 `progress_state`).
// Invariants: 1. a node started by the engine counts in floats (0.0 of 1.0), one served from cache in ints (1 of 1), as
// recorded. 2. Newer servers throttle `progress`: 0.1 s and 0.5 % apart, except first, last and those with a preview.
import type { PreviewImage } from '../node-definition.ts';
import { type PyFloat, pyFloat } from '../python-number.ts';
import { previewFrame, previewWithMetadataFrame } from '../websocket/binary-frames.ts';
import type { DynamicPrompt } from './dynamic-prompt.ts';
import type { ExecutionSession } from './session.ts';

interface NodeProgress {
  state: 'running' | 'finished';
  value: number | PyFloat;
  max: number | PyFloat;
}

interface Throttle {
  at: number;
  value: number;
}

/** What progress reporting needs. */
export interface ProgressOptions {
  readonly promptId: string;
  readonly prompt: DynamicPrompt;
  readonly session: ExecutionSession;
  readonly throttled: boolean;
  readonly now: () => number;
}

/** One prompt's progress. */
export class ProgressRegistry {
  private readonly nodes = new Map<string, NodeProgress>();
  private readonly lastSent = new Map<string, Throttle>();
  private readonly options: ProgressOptions;

  constructor(options: ProgressOptions) {
    this.options = options;
  }

  start(id: string): void {
    this.nodes.set(id, { state: 'running', value: pyFloat(0), max: pyFloat(1) });
    this.announce();
  }

  finish(id: string): void {
    const entry = this.nodes.get(id) ?? { state: 'finished', value: 0, max: 1 };
    this.nodes.set(id, { state: 'finished', value: entry.max, max: entry.max });
    this.announce();
  }

  /** One step of a progress bar: state, type 4 preview, `progress`, type 1 preview, in this order (§2.5). */
  update(id: string, value: number, max: number, preview: PreviewImage | undefined): void {
    const { session, promptId } = this.options;
    if (this.isThrottled(id, value, max, preview)) return;
    this.nodes.set(id, { state: 'running', value, max });
    this.announce();
    const withMetadata = session.wantsPreviewMetadata;
    if (preview !== undefined && withMetadata) {
      const frame = previewWithMetadataFrame(preview, this.where(id));
      session.sendFrame('preview-with-metadata', frame, promptId);
    }
    session.send('progress', { value, max, prompt_id: promptId, node: id }, promptId);
    if (preview !== undefined && !withMetadata) session.sendFrame('preview', previewFrame(preview), promptId);
  }

  private isThrottled(id: string, value: number, max: number, preview: PreviewImage | undefined): boolean {
    if (!this.options.throttled) return false;
    const now = this.options.now();
    const last = this.lastSent.get(id);
    const passes =
      last === undefined ||
      preview !== undefined ||
      value >= max ||
      (now - last.at >= 100 && Math.abs(value - last.value) >= max * 0.005);
    if (passes) this.lastSent.set(id, { at: now, value });
    return !passes;
  }

  private where(id: string) {
    const { prompt, promptId } = this.options;
    return {
      node_id: id,
      prompt_id: promptId,
      display_node_id: prompt.displayId(id),
      parent_node_id: prompt.parentOf(id),
      real_node_id: prompt.realId(id),
    };
  }

  private announce(): void {
    const { session, promptId } = this.options;
    const nodes = new Map<string, unknown>();
    for (const [id, entry] of this.nodes) {
      nodes.set(id, { value: entry.value, max: entry.max, state: entry.state, ...this.where(id) });
    }
    session.send('progress_state', { prompt_id: promptId, nodes }, promptId);
  }
}
