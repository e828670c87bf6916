// A ComfyUI as a model in simulated time: one prompt, its queue, history and socket, a network that drops, delays, doubles and reorders,
// restarts, dead worker threads, interrupts that are ignored. Drives the completion oracle event by event; no clock, no sockets.
import { ComfyRunpodError } from '../../shared/index.ts';
import type { HistoryEntry } from '../../worker/comfy/history.ts';
import { step } from '../../worker/comfy/oracle.ts';
import {
  initialOracle,
  type OracleAnswer,
  type OracleEvent,
  type OracleOutcome,
  type OracleRequest,
  type OracleSettings,
  type OracleState,
} from '../../worker/comfy/oracle-types.ts';

/** What the network does to one request. `reset-late`: the server gets it and the answer is lost. */
export interface NetworkFault {
  readonly kind: 'none' | 'reset-early' | 'reset-late' | 'timeout' | 'garbled' | 'server-error' | 'doubled';
  readonly delayMs: number;
}

/** What happens to one message of the socket. */
export interface MessageFault {
  readonly kind: 'none' | 'dropped' | 'doubled';
  readonly delayMs: number;
}

/** One life of a run. Times are milliseconds from its beginning. */
export interface Scenario {
  readonly verdict: 'success' | 'failed' | 'unreadable';
  readonly partial: boolean;
  readonly allowPartial: boolean;
  readonly waitMs: number;
  /** Each node puts out one file and takes so long. */
  readonly nodeMs: readonly number[];
  readonly lagMs: number;
  /** The worker thread dies before it finishes the prompt. */
  readonly deadThread: boolean;
  readonly interruptsIgnored: number;
  readonly requests: readonly NetworkFault[];
  readonly messages: readonly MessageFault[];
  readonly socketDown: readonly (readonly [fromMs: number, forMs: number])[];
  readonly restart: { readonly atMs: number; readonly downMs: number; readonly supervised: boolean } | undefined;
  readonly evictedAfterMs: number | undefined;
  readonly cancelAtMs: number | undefined;
  readonly deadlineMs: number;
}

/** Settings of every simulated run. */
export const modelSettings = {
  pollIdleMs: 1_000,
  pollHintMs: 25,
  historyLagMs: 5_000,
  outageMs: 4_000,
  cancelMs: 6_000,
  interruptGapMs: 500,
  stallMs: 20_000,
} as const;
const timeoutMs = 3_000;

/** How it ended, and what was true. */
export interface ModelResult {
  readonly outcome: OracleOutcome | undefined;
  readonly endedAt: number;
  /** The prompt was taken this often by one life of the server. */
  readonly mostRunsPerLife: number;
  /** The prompt is still in the queue of a server that lives. */
  readonly leftRunning: boolean;
  /** Verdict that the server recorded, if it ever did. */
  readonly recorded: 'success' | 'failed' | 'interrupted' | 'unreadable' | undefined;
  /** Since when the record could be read without a fault, if it still can. */
  readonly readableSince: number | undefined;
  /** Nodes whose output the machine was told of. */
  readonly told: ReadonlySet<string>;
  readonly steps: number;
}

const error = (code: ConstructorParameters<typeof ComfyRunpodError>[0], text: string) =>
  new ComfyRunpodError(code, text);

/** Runs a scenario to its end or to `limitMs`. */
export function simulate(scenario: Scenario, limitMs: number): ModelResult {
  return new Model(scenario).run(limitMs);
}

class Model {
  readonly #scenario: Scenario;
  readonly #settings: OracleSettings;
  /** What is to come, earliest first; what was planned first stays first. */
  readonly #agenda: { at: number; act: () => void }[] = [];
  readonly #told = new Set<string>();
  #now = 0;
  #state: OracleState = initialOracle;
  #outcome: OracleOutcome | undefined;
  #steps = 0;
  #requestsSeen = 0;
  #messagesSeen = 0;
  #lastFaultAt = 0;
  // The server.
  #life = 0;
  #downUntil = 0;
  #place: 'absent' | 'pending' | 'running' = 'absent';
  #runsThisLife = 0;
  #mostRuns = 0;
  #done: string[] = [];
  #entry: ModelResult['recorded'];
  #entryAt = 0;
  #recorded: ModelResult['recorded'];
  #interruptsLeft: number;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#settings = { ...modelSettings, allowPartial: scenario.allowPartial };
    this.#interruptsLeft = scenario.interruptsIgnored;
  }

  run(limitMs: number): ModelResult {
    const { restart, cancelAtMs, deadlineMs } = this.#scenario;
    this.#at(0, () => this.#feed({ type: 'begin' }));
    if (restart) this.#at(restart.atMs, () => this.#restart(restart.downMs, restart.supervised));
    const abort = (cause: ComfyRunpodError) => this.#feed({ type: 'abort', cause });
    if (cancelAtMs !== undefined) this.#at(cancelAtMs, () => abort(error('JOB_CANCELLED', 'stopped')));
    this.#at(deadlineMs, () => abort(error('DEADLINE_EXCEEDED', 'late')));
    while (this.#outcome === undefined && this.#agenda.length > 0) {
      const next = this.#agenda.shift();
      if (!next || next.at > limitMs || this.#steps > 20_000) break;
      this.#now = Math.max(this.#now, next.at);
      next.act();
    }
    return {
      outcome: this.#outcome,
      endedAt: this.#now,
      mostRunsPerLife: this.#mostRuns,
      leftRunning: this.#place !== 'absent',
      recorded: this.#recorded,
      readableSince: this.#entry === undefined ? undefined : Math.max(this.#entryAt, this.#lastFaultAt),
      told: this.#told,
      steps: this.#steps,
    };
  }

  #at(at: number, act: () => void): void {
    let index = this.#agenda.length;
    while (index > 0 && (this.#agenda[index - 1]?.at ?? 0) > at) index--;
    this.#agenda.splice(index, 0, { at, act });
  }

  #feed(event: OracleEvent): void {
    if (this.#outcome) return;
    this.#steps++;
    if (event.type === 'message' && event.output) this.#told.add(event.output[0]);
    const { state, effects } = step(this.#settings, this.#state, event, this.#now);
    this.#state = state;
    const { wakeAt } = state;
    if (Number.isFinite(wakeAt)) {
      this.#at(Math.max(wakeAt, this.#now), () => {
        if (this.#state.wakeAt === wakeAt) this.#feed({ type: 'tick' });
      });
    }
    for (const effect of effects) {
      if (effect.type === 'finish') this.#outcome = effect.outcome;
      else this.#send(effect.type, effect.seq);
    }
  }

  // The network.

  #send(type: OracleRequest, seq: number): void {
    const fault = this.#scenario.requests[this.#requestsSeen++] ?? { kind: 'none', delayMs: 0 };
    const arrives = this.#now + 1 + Math.floor(fault.delayMs / 2);
    const answers = this.#now + 2 + fault.delayMs;
    if (fault.kind !== 'none' || fault.delayMs > 100) this.#lastFaultAt = answers + timeoutMs;
    const failed = (how: 'refused' | 'reset' | 'timeout' | 'other'): OracleAnswer => {
      return { type: 'failed', seq, how, cause: error('COMFY_UNREACHABLE', how) };
    };
    if (fault.kind === 'reset-early') {
      this.#at(answers, () => this.#feed(failed('reset')));
      return;
    }
    this.#at(arrives, () => {
      if (this.#now < this.#downUntil) {
        this.#lastFaultAt = this.#now;
        this.#at(answers, () => this.#feed(failed('refused')));
        return;
      }
      const answer = fault.kind === 'server-error' && type !== 'post' ? failed('other') : this.#serve(type, seq);
      const told: Record<NetworkFault['kind'], OracleAnswer> = {
        none: answer,
        doubled: answer,
        'reset-early': failed('reset'),
        'reset-late': failed('reset'),
        timeout: failed('timeout'),
        garbled: failed('other'),
        'server-error': type === 'post' ? { type: 'doubtful', seq, cause: error('COMFY_PROTOCOL', '500') } : answer,
      };
      this.#at(fault.kind === 'timeout' ? answers + timeoutMs : answers, () => this.#feed(told[fault.kind]));
      if (fault.kind === 'doubled') this.#at(answers + fault.delayMs * 3, () => this.#feed(answer));
    });
  }

  #serve(type: OracleRequest, seq: number): OracleAnswer {
    switch (type) {
      case 'post':
        this.#enqueue();
        return {
          type: 'accepted',
          seq,
          ...(this.#scenario.partial && { partial: error('WORKFLOW_REJECTED', 'part') }),
        };
      case 'poll-queue':
        return { type: 'queue', seq, place: this.#place, fingerprint: this.#place, behind: this.#place === 'pending' };
      case 'poll-history':
        return { type: 'history', seq, view: this.#view() };
      case 'dequeue':
        if (this.#place === 'pending') this.#place = 'absent';
        return { type: 'done', seq };
      case 'interrupt':
        this.#interrupt();
        return { type: 'done', seq };
    }
  }

  // The server.

  #enqueue(): void {
    this.#runsThisLife++;
    this.#mostRuns = Math.max(this.#mostRuns, this.#runsThisLife);
    this.#place = 'pending';
    const life = this.#life;
    this.#at(this.#now + this.#scenario.waitMs, () => {
      if (this.#life !== life || this.#place !== 'pending') return;
      this.#place = 'running';
      this.#say({ type: 'message', hint: 'none' });
      if (!this.#scenario.deadThread) this.#node(0, life);
    });
  }

  #node(index: number, life: number): void {
    const ms = this.#scenario.nodeMs[index];
    if (ms === undefined) {
      this.#end(this.#scenario.verdict, this.#scenario.lagMs);
      return;
    }
    this.#at(this.#now + ms, () => {
      if (this.#life !== life || this.#place !== 'running') return;
      const node = String(index);
      this.#done.push(node);
      this.#say({ type: 'message', hint: 'none', output: [node, { images: [{ filename: `${node}.png` }] }] });
      this.#node(index + 1, life);
    });
  }

  #interrupt(): void {
    if (this.#place !== 'running' || this.#scenario.deadThread) return;
    if (this.#interruptsLeft-- > 0) return;
    this.#end('interrupted', 0);
  }

  /** The announcement first, then, after a lag during which the prompt still counts as running, the record. */
  #end(verdict: NonNullable<ModelResult['recorded']>, lagMs: number): void {
    const life = this.#life;
    this.#say({ type: 'message', hint: 'likely' });
    this.#at(this.#now + lagMs, () => {
      if (this.#life !== life || this.#place !== 'running') return;
      this.#place = 'absent';
      this.#entry = verdict;
      this.#recorded = verdict;
      this.#entryAt = this.#now;
      this.#say({ type: 'message', hint: 'recorded' });
      const { evictedAfterMs } = this.#scenario;
      if (evictedAfterMs === undefined) return;
      this.#at(this.#now + evictedAfterMs, () => {
        this.#entry = undefined;
      });
    });
  }

  #view(): 'absent' | 'unreadable' | HistoryEntry {
    if (this.#entry === undefined) return 'absent';
    if (this.#entry === 'unreadable') return 'unreadable';
    const outputs = Object.fromEntries(this.#done.map((node) => [node, { images: [{ filename: `${node}.png` }] }]));
    const interrupted = this.#entry === 'interrupted';
    const failure = interrupted
      ? error('JOB_CANCELLED', 'interrupted')
      : this.#entry === 'failed'
        ? error('NODE_FAILED', 'a node failed')
        : undefined;
    return { outputs, cached: [], interrupted, ...(failure && { failure }) };
  }

  #restart(downMs: number, supervised: boolean): void {
    this.#life++;
    this.#downUntil = this.#now + downMs;
    this.#place = 'absent';
    this.#entry = undefined;
    this.#runsThisLife = 0;
    this.#done = [];
    if (supervised) this.#feed({ type: 'crashed', cause: error('COMFY_CRASHED', 'ended') });
  }

  #say(event: Extract<OracleEvent, { type: 'message' }>): void {
    const fault = this.#scenario.messages[this.#messagesSeen++] ?? { kind: 'none', delayMs: 0 };
    const down = this.#scenario.socketDown.some(([from, ms]) => this.#now >= from && this.#now < from + ms);
    if (down || fault.kind === 'dropped') return;
    this.#at(this.#now + 1 + fault.delayMs, () => this.#feed(event));
    if (fault.kind === 'doubled') this.#at(this.#now + 1 + fault.delayMs * 2, () => this.#feed(event));
  }
}
