/**
 * The completion oracle: one state machine that decides how a run ended. Pure: it is told what happened and when, and answers what to do;
 * {@link file://./execution.ts} does it. idle -> posting <-> lookup -> following -> (cancelling ->) done
 *
 * 1. Only the history entry makes a success. Events of the socket only make it look sooner (ComfyUI protocol notes Appendix A, §6.9).
 * 2. At most one request is under way. Answers to older ones are ignored, except a history entry: it is true whenever it comes.
 * 3. Lost means: absent from the queue and then from the history, twice in a row, and longer than the history may lag when an event
 *    announced the end (§6.2).
 * 4. Stalled means: no event of this prompt and no movement of the queue for `stallMs`. It is then interrupted; what does not stop is a
 *    dead worker thread (§6.6), and ComfyUI is given up.
 * 5. A prompt runs at most once: a post whose answer was lost is looked up before anything else (§6.3).
 * 6. Nothing is left running: whatever ends a run early takes it off ComfyUI first, within `cancelMs`.
 */
import { ComfyRunpodError, limits } from '../../shared/index.ts';
import type { HistoryEntry } from './history.ts';
import type {
  Cancelling,
  OracleAnswer,
  OracleEffect,
  OracleEvent,
  OracleOutcome,
  OracleRequest,
  OracleSettings,
  OracleState,
} from './oracle-types.ts';

/** Looks for a prompt whose answer was lost, this many times. */
const lookups = 4;
const lookupGapMs = 300;
/** Pause before a prompt that was found nowhere is looked for again. */
const secondLookMs = 250;
/** A prompt that waits behind another is silent for a reason; it has this many times longer, and never less than a run has by default. */
const behindFactor = 4;
/** Until it is known what a prompt waits for it has this long, however short its own patience is. */
const firstLookMs = 5_000;

/** One step being taken. */
interface Turn {
  readonly now: number;
  readonly settings: OracleSettings;
  s: OracleState;
  readonly effects: OracleEffect[];
}

/** Takes one event in, at the time `now` (milliseconds that never go back). After `finish` nothing happens any more. */
export function step(
  settings: OracleSettings,
  state: OracleState,
  event: OracleEvent,
  now: number,
): { readonly state: OracleState; readonly effects: readonly OracleEffect[] } {
  if (state.phase === 'done') return { state, effects: [] };
  const turn: Turn = { now, settings, s: state, effects: [] };
  take(turn, event);
  return { state: turn.s, effects: turn.effects };
}

function take(turn: Turn, event: OracleEvent): undefined {
  const { phase, cancelling } = turn.s;
  switch (event.type) {
    case 'begin':
      if (phase !== 'idle') return;
      set(turn, { phase: 'posting', since: turn.now });
      return ask(turn, 'post');
    case 'tick':
      return tick(turn);
    case 'message':
      return message(turn, event);
    case 'crashed':
      return finish(turn, { failure: cancelling?.failure ?? event.cause });
    case 'abort':
      if (phase === 'cancelling') return;
      if (phase === 'idle') return finish(turn, { failure: event.cause });
      return cancel(turn, event.cause);
    default:
      return answer(turn, event);
  }
}

function answer(turn: Turn, event: OracleAnswer): undefined {
  if (event.type === 'history' && typeof event.view === 'object') return recorded(turn, event.view);
  if (event.seq !== turn.s.seq || turn.s.pending === undefined) return;
  const asked = turn.s.pending;
  set(turn, { pending: undefined });
  switch (turn.s.phase) {
    case 'posting':
      return posted(turn, event);
    case 'lookup':
      return lookedUp(turn, event);
    case 'following':
      return followed(turn, event);
    case 'cancelling':
      return cancelled(turn, event, asked);
    default:
      return;
  }
}

/** The run is over and ComfyUI tells how. */
function recorded(turn: Turn, entry: HistoryEntry): undefined {
  const { cancelling } = turn.s;
  // A run that was over before the cancel reached it is as good as ever (§6.7 d).
  const cancelledFirst = cancelling && (cancelling.final || entry.interrupted);
  const failure = cancelledFirst ? cancelling.failure : entry.failure;
  const broken = entry.failure?.policy.recycle === true;
  finish(turn, { entry, ...(failure && { failure }), ...(broken && { condemn: 'the GPU failed in a node' }) });
}

function message(turn: Turn, event: Extract<OracleEvent, { type: 'message' }>): undefined {
  const { s, now } = turn;
  const ends = event.hint !== 'none';
  set(turn, {
    seen: true,
    lastSignAt: now,
    ...(event.output && { outputs: { ...s.outputs, [event.output[0]]: event.output[1] } }),
    ...(ends && { hint: event.hint, hintAt: s.hint === 'none' ? now : s.hintAt }),
  });
  if (s.phase === 'lookup') return follow(turn);
  if (s.phase !== 'following' || !ends) return;
  if (s.pending) set(turn, { lookSooner: true });
  else lookAtHistory(turn);
}

function tick(turn: Turn): undefined {
  const { s, now } = turn;
  if (now < s.wakeAt) return;
  switch (s.phase) {
    case 'posting':
      if (!s.pending) ask(turn, 'post');
      return;
    case 'lookup':
      if (!s.pending) ask(turn, 'poll-queue');
      return;
    case 'following':
      if (isStalled(turn)) return stalled(turn);
      if (s.pending) set(turn, { wakeAt: s.lastSignAt + patienceMs(turn) + 1 });
      else ask(turn, 'poll-queue');
      return;
    case 'cancelling':
      return tickCancelling(turn);
    default:
      return;
  }
}

// Posting

function posted(turn: Turn, event: OracleAnswer): undefined {
  const { s, settings, now } = turn;
  switch (event.type) {
    case 'accepted':
      if (event.partial && !settings.allowPartial) return cancel(turn, event.partial, true);
      set(turn, { seen: true, partial: event.partial });
      return follow(turn);
    case 'rejected':
      return finish(turn, { failure: event.cause });
    case 'doubtful':
      return lookUp(turn, 'doubtful', event.cause);
    case 'failed':
      // Nothing was sent: it may be about to come back.
      if (event.how === 'refused') {
        if (now - s.since >= settings.outageMs) return finish(turn, { failure: event.cause });
        set(turn, { attempts: s.attempts + 1, retries: s.retries + 1 });
        return nap(turn, Math.min(1_000, 100 * 2 ** s.attempts));
      }
      return lookUp(turn, event.how === 'other' ? 'doubtful' : event.how, event.cause);
    default:
      return;
  }
}

function lookUp(turn: Turn, how: RequestDoubt, cause: ComfyRunpodError): undefined {
  set(turn, { phase: 'lookup', since: turn.now, misses: 0, doubt: { how, cause }, retries: turn.s.retries + 1 });
  if (turn.s.seen) follow(turn);
  else ask(turn, 'poll-queue');
}

type RequestDoubt = NonNullable<OracleState['doubt']>['how'];

function lookedUp(turn: Turn, event: OracleAnswer): undefined {
  const { s, settings, now } = turn;
  if (event.type === 'queue') {
    if (event.place === 'absent') return ask(turn, 'poll-history');
    set(turn, { seen: true });
    return follow(turn);
  }
  if (event.type === 'history') {
    if (event.view === 'unreadable') return unreadable(turn);
    set(turn, { misses: s.misses + 1 });
    return turn.s.misses < lookups ? nap(turn, lookupGapMs) : notFound(turn);
  }
  // A look that fails is no look.
  if (event.type !== 'failed') return;
  if (now - s.since > settings.outageMs) return cancel(turn, event.cause);
  nap(turn, lookupGapMs);
}

/** Nobody knows the prompt that was posted. After a time-out the server may still be at it, and a second post may run it twice. */
function notFound(turn: Turn): undefined {
  const { doubt, reposted } = turn.s;
  if (doubt?.how === 'reset' && !reposted) {
    set(turn, { phase: 'posting', since: turn.now, reposted: true });
    return ask(turn, 'post');
  }
  const failure = doubt?.cause ?? lost();
  if (doubt?.how === 'timeout') cancel(turn, failure);
  else finish(turn, { failure });
}

// Following

function follow(turn: Turn): undefined {
  const { pollIdleMs } = turn.settings;
  set(turn, { phase: 'following', since: turn.now, lastSignAt: turn.now, misses: 0, outageSince: undefined });
  set(turn, { pause: pollIdleMs, fingerprint: '', lookSooner: false });
  if (turn.s.pending) set(turn, { pending: undefined, seq: turn.s.seq + 1 });
  if (turn.s.hint === 'none') nap(turn, pollIdleMs);
  else lookAtHistory(turn);
}

/** Right after a hint the history alone is asked: it is what decides, and the answer is usually there. */
function lookAtHistory(turn: Turn): undefined {
  set(turn, { queueMissed: false, lookSooner: false, pause: turn.settings.pollHintMs });
  ask(turn, 'poll-history');
}

function followed(turn: Turn, event: OracleAnswer): undefined {
  const { s, now } = turn;
  if (event.type === 'queue') {
    const moved = event.fingerprint !== s.fingerprint;
    set(turn, { fingerprint: event.fingerprint, behind: event.place === 'pending' && event.behind });
    if (moved) set(turn, { lastSignAt: now });
    if (event.place === 'absent') {
      set(turn, { queueMissed: true });
      return ask(turn, 'poll-history');
    }
    set(turn, { misses: 0, outageSince: undefined, seen: true });
  } else if (event.type === 'history') {
    if (event.view === 'unreadable') return unreadable(turn);
    set(turn, { misses: s.queueMissed ? s.misses + 1 : s.misses, outageSince: undefined });
  } else if (event.type === 'failed' && event.how !== 'timeout') {
    // A slow answer is no outage: the loop may be hashing (§1.1).
    const since = s.outageSince ?? now;
    if (now - since > turn.settings.outageMs) return cancel(turn, event.cause);
    set(turn, { outageSince: since });
  }
  afterLook(turn);
}

function afterLook(turn: Turn): undefined {
  const { s, settings } = turn;
  const lags = mayLag(turn);
  if (s.misses >= 2 && !lags) return finish(turn, { failure: lost() });
  if (isStalled(turn)) return stalled(turn);
  if (s.lookSooner) return lookAtHistory(turn);
  const idle = Math.min(s.misses > 0 ? secondLookMs : settings.pollIdleMs, Math.max(50, settings.stallMs / 4));
  const pause = lags ? Math.min(250, Math.max(settings.pollHintMs, s.pause * 1.6)) : idle;
  set(turn, { pause });
  nap(turn, pause);
}

function mayLag({ s, settings, now }: Turn): boolean {
  return s.hint !== 'none' && now - s.hintAt < settings.historyLagMs;
}

function patienceMs({ s, settings: { stallMs } }: Turn): number {
  if (s.behind) return Math.max(limits.stallMs, stallMs * behindFactor);
  return s.fingerprint === '' ? Math.max(firstLookMs, stallMs) : stallMs;
}

function isStalled(turn: Turn): boolean {
  return turn.now - turn.s.lastSignAt > patienceMs(turn);
}

function stalled(turn: Turn): undefined {
  const seconds = Math.round((turn.now - turn.s.lastSignAt) / 1000);
  const failure = new ComfyRunpodError('COMFY_STALLED', `ComfyUI gave no sign of progress for ${seconds} seconds.`, {
    details: { stallMs: turn.settings.stallMs },
  });
  cancel(turn, failure);
}

function unreadable(turn: Turn): undefined {
  const failure = new ComfyRunpodError('COMFY_PROTOCOL', "ComfyUI can't tell the result of the run.", {
    nextStep: 'A node put out data that is not JSON. Remove or update the custom node that does.',
  });
  finish(turn, { failure: turn.s.cancelling?.failure ?? failure });
}

function lost(): ComfyRunpodError {
  return new ComfyRunpodError(
    'PROMPT_LOST',
    'ComfyUI knows the prompt no more: it is neither queued nor in the history.',
  );
}

// Cancelling: out of the queue when it waits, interrupted when it runs, asked again until it is gone (§6.7).

function cancel(turn: Turn, failure: ComfyRunpodError, final = false): undefined {
  const { s, now, settings } = turn;
  // The server may still be reading a post that was given up.
  const doubtful = s.phase === 'posting' || s.phase === 'lookup';
  const endsAt = now + settings.cancelMs;
  const missesNeeded = doubtful && !s.seen && !final ? lookups : 2;
  set(turn, {
    phase: 'cancelling',
    since: now,
    misses: 0,
    pause: settings.pollHintMs,
    cancelling: { failure, final, endsAt, askedAt: now, interruptDue: true, missesNeeded },
  });
  ask(turn, 'dequeue');
}

function cancelled(turn: Turn, event: OracleAnswer, asked: OracleRequest): undefined {
  const { s } = turn;
  const { cancelling } = s;
  if (!cancelling) return;
  switch (event.type) {
    case 'done':
      return asked === 'dequeue' ? ask(turn, 'poll-queue') : napCancelling(turn, cancelling);
    case 'queue':
      if (event.place === 'absent') return ask(turn, 'poll-history');
      set(turn, { misses: 0 });
      if (event.place === 'pending' || !cancelling.interruptDue) return napCancelling(turn, cancelling);
      set(turn, { cancelling: { ...cancelling, interruptDue: false } });
      return ask(turn, 'interrupt');
    case 'history':
      if (event.view === 'unreadable') return unreadable(turn);
      set(turn, { misses: s.misses + 1 });
      if (turn.s.misses >= cancelling.missesNeeded) return finish(turn, { failure: cancelling.failure });
      return napCancelling(turn, cancelling);
    case 'failed':
      // Nothing runs where nothing listens.
      if (event.how === 'refused') return finish(turn, { failure: cancelling.failure });
      return napCancelling(turn, cancelling);
    default:
      return;
  }
}

function napCancelling(turn: Turn, { endsAt, missesNeeded }: Cancelling): undefined {
  const { s, settings, now } = turn;
  const pause = missesNeeded > 2 ? lookupGapMs : s.pause;
  set(turn, { pause: Math.min(settings.pollIdleMs, s.pause * 2) });
  nap(turn, Math.min(pause, endsAt - now));
}

function tickCancelling(turn: Turn): undefined {
  const { s, now, settings } = turn;
  const { cancelling } = s;
  if (!cancelling) return;
  if (now >= cancelling.endsAt) {
    return finish(turn, { failure: cancelling.failure, condemn: 'a prompt does not stop' });
  }
  if (s.pending) return;
  if (now - cancelling.askedAt < settings.interruptGapMs) return ask(turn, 'poll-queue');
  set(turn, { cancelling: { ...cancelling, askedAt: now, interruptDue: true } });
  ask(turn, 'dequeue');
}

// Every step ends in one of these.

function set(turn: Turn, change: Partial<OracleState>): undefined {
  turn.s = { ...turn.s, ...change };
}

/** Sends a request. While it is under way only a watch of the phase may fire. */
function ask(turn: Turn, type: OracleRequest): undefined {
  const seq = turn.s.seq + 1;
  const watch = turn.s.phase === 'following' ? turn.s.lastSignAt + patienceMs(turn) + 1 : Infinity;
  set(turn, { seq, pending: type, wakeAt: turn.s.cancelling?.endsAt ?? watch });
  turn.effects.push({ type, seq });
}

function nap(turn: Turn, ms: number): undefined {
  set(turn, { wakeAt: turn.now + ms });
}

function finish(turn: Turn, end: Pick<OracleOutcome, 'entry' | 'failure' | 'condemn'>): undefined {
  const { s } = turn;
  set(turn, { phase: 'done', pending: undefined, wakeAt: Infinity });
  // Some versions leave outputs out of the history that they announced (§3.2.3). A success that names none at all is believed: events
  // may then name files of an earlier run (§0.3).
  const told = end.entry?.outputs ?? {};
  const empty = end.entry && !end.failure && Object.keys(told).length === 0;
  const outputs = empty ? {} : { ...s.outputs, ...told };
  const partial = s.partial && { partial: s.partial };
  turn.effects.push({ type: 'finish', outcome: { ...end, outputs, retries: s.retries, ...partial } });
}
