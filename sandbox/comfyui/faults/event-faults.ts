// Faults that strike while events are delivered (F04, F05, F07, F08, F10, F12, F26, F27). Called by the delivery loop with each
// message right before it goes out; counts a prompt's events from 1.
import { pyFloat } from '../python-number.ts';
import type { JsonMessage, OutMessage } from '../websocket/out-message.ts';
import type { FaultController } from './fault-controller.ts';
import { oddOutput } from './odd-outputs.ts';

/** What event faults may do to the server. */
export interface EventFaultActions {
  readonly cutSocket: (client: unknown, refuseReconnectMs: number) => void;
  readonly stall: (forMs: number | undefined) => void;
  readonly crash: (restartAfterMs: number | null) => void;
}

/** Prompts whose messages are counted; older ones have ended. */
const countedPrompts = 1_000;
const FOREIGN_PROMPT = 'f0000000-0000-4000-8000-00000000f0e1';
const HUGE_FRAME_BYTES = 8 * 1024 * 1024;

function foreignEvents(): OutMessage[] {
  const base = { to: null, promptId: FOREIGN_PROMPT } as const;
  return [
    {
      ...base,
      kind: 'json',
      event: 'progress',
      data: { value: 3, max: 7, prompt_id: FOREIGN_PROMPT, node: '999' },
    },
    { ...base, kind: 'binary', event: 'preview', frame: Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xd8, 0xff, 0xd9]) },
    { ...base, kind: 'json', event: 'executing', data: { node: null, prompt_id: FOREIGN_PROMPT } },
  ];
}

function oddFrame(kind: 'huge' | 'unknown-type' | 'truncated-header'): Uint8Array {
  if (kind === 'truncated-header') return Buffer.from([0, 0]);
  if (kind === 'unknown-type') return Buffer.from([0, 0, 0, 99, 1, 2, 3, 4]);
  const frame = Buffer.alloc(HUGE_FRAME_BYTES);
  frame.writeUInt32BE(1, 0);
  frame.writeUInt32BE(2, 4);
  return frame;
}

/** Stateful: remembers how many events each prompt had and what waits to be swapped. */
export class EventFaults {
  private readonly faults: FaultController;
  private readonly actions: EventFaultActions;
  private readonly counts = new Map<string, number>();
  private held: OutMessage | undefined;

  constructor(faults: FaultController, actions: EventFaultActions) {
    this.faults = faults;
    this.actions = actions;
  }

  /** Counts the messages of the latest prompts; older ones have ended. */
  private count(promptId: string): void {
    const count = (this.counts.get(promptId) ?? 0) + 1;
    this.counts.delete(promptId);
    this.counts.set(promptId, count);
    const [oldest] = this.counts.keys();
    if (this.counts.size > countedPrompts && oldest !== undefined) this.counts.delete(oldest);
  }

  /** The messages to deliver instead of `message`. */
  shape(message: OutMessage): readonly OutMessage[] {
    const { promptId } = message;
    if (promptId !== undefined) this.count(promptId);
    if (this.strikeServer(message) === 'dead') return [];
    const out = this.reshape(this.dress(message));
    if (this.faults.strike('foreign-events', { promptId }, (fault) => fault.event === message.event) !== undefined) {
      out.push(...foreignEvents());
    }
    const odd = this.faults.strike('odd-frame', { promptId }, (fault) => this.isAt(fault.at, message));
    if (odd !== undefined) {
      out.unshift({ kind: 'binary', event: 'unknown', frame: oddFrame(odd.frame), to: message.to, promptId });
    }
    if (this.held !== undefined && out.length > 0 && !out.includes(this.held)) {
      out.push(this.held);
      this.held = undefined;
    }
    return out;
  }

  private isAt(at: number | string, message: OutMessage): boolean {
    if (message.promptId === undefined) return false;
    return typeof at === 'number' ? this.counts.get(message.promptId) === at : at === message.event;
  }

  private strikeServer(message: OutMessage): 'alive' | 'dead' {
    const chance = { promptId: message.promptId };
    const lost = this.faults.strike('lost-socket', chance, (fault) => this.isAt(fault.at, message));
    if (lost !== undefined) this.actions.cutSocket(message.to, lost.refuseReconnectMs);
    const stalled = this.faults.strike('stalled-delivery', chance, (fault) => this.isAt(fault.at, message));
    if (stalled !== undefined) this.actions.stall(stalled.forMs);
    const crash = this.faults.strike('crash', chance, (fault) => this.isAt(fault.at, message));
    if (crash === undefined) return 'alive';
    this.actions.crash(crash.restartAfterMs);
    return 'dead';
  }

  private dress(message: OutMessage): OutMessage {
    if (message.kind !== 'json' || message.event !== 'executed') return message;
    const { promptId } = message;
    const data = message.data as JsonMessage['data'] & { readonly output?: unknown };
    let output = data.output;
    if (this.faults.strike('nan', { promptId }, (fault) => fault.in === 'executed') !== undefined) {
      output = { ...(output as object), score: [pyFloat(Number.NaN)] };
    }
    const odd = this.faults.strike('odd-outputs', { promptId });
    if (odd !== undefined) output = oddOutput(output, odd.shape);
    return output === data.output ? message : { ...message, data: { ...(data as object), output } };
  }

  private reshape(message: OutMessage): OutMessage[] {
    const fault = this.faults.strike(
      'reshape-event',
      { promptId: message.promptId },
      (candidate) => candidate.event === message.event && this.held === undefined,
    );
    if (fault?.action === 'drop') return [];
    if (fault?.action === 'duplicate') return [message, message];
    if (fault?.action !== 'swap-with-next') return [message];
    this.held = message;
    return [];
  }
}
