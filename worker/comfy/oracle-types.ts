/** What goes into the completion oracle and what comes out of it. The machine itself: {@link file://./oracle.ts}. */
import type { ComfyRunpodError } from '../../shared/index.ts';
import type { HistoryEntry } from './history.ts';
import type { TerminalHint } from './run-progress.ts';
import type { ComfyTimings, NodeOutputs } from './types.ts';

/** Times in milliseconds, and what the job allows. */
export interface OracleSettings
  extends Pick<
    ComfyTimings,
    'pollIdleMs' | 'pollHintMs' | 'historyLagMs' | 'outageMs' | 'cancelMs' | 'interruptGapMs'
  > {
  /** Silence after which the run counts as stalled. */
  readonly stallMs: number;
  /** A prompt of which ComfyUI took only some outputs is run all the same. */
  readonly allowPartial: boolean;
}

/** How a request failed: `other` is an answer that makes no sense. */
export type RequestFailure = 'refused' | 'reset' | 'timeout' | 'other';

/** An answer to the request with the same number. Answers may come late, twice or never. */
export type OracleAnswer =
  /** The prompt is queued; `partial`: without some of its outputs. */
  | { readonly type: 'accepted'; readonly seq: number; readonly partial?: ComfyRunpodError }
  /** The prompt is refused for good. */
  | { readonly type: 'rejected'; readonly seq: number; readonly cause: ComfyRunpodError }
  /** The server broke over the post, which does not prove that nothing was queued (ComfyUI protocol notes §1.3.1). */
  | { readonly type: 'doubtful'; readonly seq: number; readonly cause: ComfyRunpodError }
  | {
      readonly type: 'queue';
      readonly seq: number;
      readonly place: 'running' | 'pending' | 'absent';
      /** Changes when the queue moves. */
      readonly fingerprint: string;
      /** Another prompt runs. */
      readonly behind: boolean;
    }
  | {
      readonly type: 'history';
      readonly seq: number;
      /** `unreadable`: over, and its record can't be told, a 500 for good (§6.6). */
      readonly view: 'absent' | 'unreadable' | HistoryEntry;
    }
  /** A dequeue or an interrupt was taken, which says nothing about its effect. */
  | { readonly type: 'done'; readonly seq: number }
  | {
      readonly type: 'failed';
      readonly seq: number;
      readonly how: RequestFailure;
      readonly cause: ComfyRunpodError;
    };

/** Something happened. */
export type OracleEvent =
  | OracleAnswer
  | { readonly type: 'begin' }
  /** The time that the state asked for has come. */
  | { readonly type: 'tick' }
  /** A message of the socket about this prompt. */
  | {
      readonly type: 'message';
      readonly hint: TerminalHint;
      readonly output?: readonly [node: string, value: Readonly<Record<string, unknown>>];
    }
  /** The process behind the address has ended. */
  | { readonly type: 'crashed'; readonly cause: ComfyRunpodError }
  /** Cancelled, or its time is over. */
  | { readonly type: 'abort'; readonly cause: ComfyRunpodError };

/** A request to ComfyUI that the machine wants; its answer carries the same number. */
export type OracleRequest = 'post' | 'poll-queue' | 'poll-history' | 'dequeue' | 'interrupt';

/** What is to be done. */
export type OracleEffect =
  | { readonly type: OracleRequest; readonly seq: number }
  | { readonly type: 'finish'; readonly outcome: OracleOutcome };

/** How the run ended. A success has no failure and always an entry. */
export interface OracleOutcome {
  readonly entry?: HistoryEntry;
  /** What history and events told, together. */
  readonly outputs: NodeOutputs;
  readonly failure?: ComfyRunpodError;
  /** Why this ComfyUI must get no further prompt. */
  readonly condemn?: string;
  /** Requests that had to be made again. */
  readonly retries: number;
  /** Outputs that ComfyUI did not take, when the job allows that. */
  readonly partial?: ComfyRunpodError;
}

/** Why and until when a prompt is being taken off ComfyUI. */
export interface Cancelling {
  readonly failure: ComfyRunpodError;
  /** The failure stands whatever history says. */
  readonly final: boolean;
  readonly endsAt: number;
  readonly askedAt: number;
  /** An interrupt may be sent in this round. */
  readonly interruptDue: boolean;
  /** The prompt counts as gone after it was found nowhere this often. */
  readonly missesNeeded: number;
}

/** Everything that the machine remembers. Times are those of the events. */
export interface OracleState {
  readonly phase: 'idle' | 'posting' | 'lookup' | 'following' | 'cancelling' | 'done';
  /** Number of the latest request. */
  readonly seq: number;
  /** The latest request while it is unanswered. */
  readonly pending: OracleRequest | undefined;
  /** When a `tick` is wanted; Infinity: never. */
  readonly wakeAt: number;
  readonly pause: number;
  readonly outputs: NodeOutputs;
  readonly retries: number;
  /** When the current phase began. */
  readonly since: number;
  readonly attempts: number;
  /** The prompt was seen in ComfyUI. */
  readonly seen: boolean;
  readonly reposted: boolean;
  readonly doubt: { readonly how: RequestFailure | 'doubtful'; readonly cause: ComfyRunpodError } | undefined;
  readonly lastSignAt: number;
  readonly hint: TerminalHint;
  readonly hintAt: number;
  readonly fingerprint: string;
  readonly behind: boolean;
  /** The history that is asked for belongs to a look at the queue that found nothing. */
  readonly queueMissed: boolean;
  /** How often in a row the prompt was found neither in the queue nor in the history. */
  readonly misses: number;
  readonly outageSince: number | undefined;
  readonly lookSooner: boolean;
  readonly partial: ComfyRunpodError | undefined;
  readonly cancelling: Cancelling | undefined;
}

/** A run that has not begun. */
export const initialOracle: OracleState = {
  phase: 'idle',
  seq: 0,
  pending: undefined,
  wakeAt: Infinity,
  pause: 0,
  outputs: {},
  retries: 0,
  since: 0,
  attempts: 0,
  seen: false,
  reposted: false,
  doubt: undefined,
  lastSignAt: 0,
  hint: 'none',
  hintAt: 0,
  fingerprint: '',
  behind: false,
  queueMissed: false,
  misses: 0,
  outageSince: undefined,
  lookSooner: false,
  partial: undefined,
  cancelling: undefined,
};
