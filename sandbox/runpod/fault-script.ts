// Decides, request by request, what goes wrong. Deterministic: a rule counts the requests it matches and looks at nothing
// else; there is no chance in it. Applying the faults is the business of fault-effects.ts and of the routes.
import { Recent } from '../recent.ts';
import {
  type FaultAction,
  type FaultRule,
  type FaultRuleInput,
  faultRuleSchema,
  type RouteName,
  type RoutePart,
} from './fault-schema.ts';

/** A request as fault rules see it. */
export interface FaultSubject {
  readonly route: RouteName;
  /** Narrower target, when the request has one. */
  readonly part?: RoutePart | undefined;
  readonly endpointId: string;
  readonly jobId?: string | undefined;
  readonly workerId?: string | undefined;
}

/** A rule given in code: the JSON form, plus a predicate. */
export type FaultRuleWithMatch = FaultRuleInput & { match?: (subject: FaultSubject) => boolean };

/** One fault that was applied. */
export interface FaultHit {
  readonly name: string | undefined;
  readonly kind: FaultAction['kind'];
  /** Which of the rule's matches this was, from 1. */
  readonly occurrence: number;
  readonly subject: FaultSubject;
}

/** Faults that end a request in a way of their own. At most one applies. */
export type EndingFault = Extract<FaultAction, { kind: 'hang' | 'drop' | 'reset' | 'answer' | 'truncate' }>;

/** Everything that goes wrong with one request. */
export interface FaultPlan {
  readonly delayMs: number;
  readonly ending: EndingFault | undefined;
  readonly deliverTwice: boolean;
  readonly dropEmptyInput: boolean;
  readonly loseLease: boolean;
}

/** A plan in which nothing goes wrong. */
export const NO_FAULTS: FaultPlan = {
  delayMs: 0,
  ending: undefined,
  deliverTwice: false,
  dropEmptyInput: false,
  loseLease: false,
};

interface ActiveRule {
  readonly rule: FaultRule;
  readonly match: ((subject: FaultSubject) => boolean) | undefined;
  seen: number;
}

const recentHits = 10_000;

/** The rules in force and what they did so far. */
export interface FaultScript {
  /** Adds rules behind the ones in force; throws a ZodError for a malformed one. Answers how to take them out again. */
  add(...rules: readonly FaultRuleWithMatch[]): () => void;
  /** Removes every rule and forgets the hits. */
  clear(): void;
  /** How many faults were applied so far. */
  total(): number;
  /** The latest faults (at least the last 10 000), all of them or those of rules with `name`. */
  hits(name?: string): readonly FaultHit[];
  /** Counts one request in every rule it matches and answers what goes wrong with it. */
  plan(subject: FaultSubject): FaultPlan;
}

/** Creates a script from rules. */
export function createFaultScript(initial: readonly FaultRuleWithMatch[] = []): FaultScript {
  let active: ActiveRule[] = [];
  const hits = new Recent<FaultHit>(recentHits);

  function add(...rules: readonly FaultRuleWithMatch[]): () => void {
    const added = rules.map(
      ({ match, ...rule }): ActiveRule => ({ rule: faultRuleSchema.parse(rule), match, seen: 0 }),
    );
    active = [...active, ...added];
    return () => {
      active = active.filter((entry) => !added.includes(entry));
    };
  }

  function plan(subject: FaultSubject): FaultPlan {
    let result = NO_FAULTS;
    for (const entry of active) {
      if (!matches(entry, subject)) continue;
      entry.seen += 1;
      if (!occurs(entry.rule.when, entry.seen)) continue;
      const next = include(result, entry.rule.do);
      if (next === result) continue;
      result = next;
      hits.push({ name: entry.rule.name, kind: entry.rule.do.kind, occurrence: entry.seen, subject });
    }
    return result;
  }

  add(...initial);
  return {
    add,
    plan,
    clear() {
      active = [];
      hits.clear();
    },
    total: () => hits.total,
    hits: (name) => hits.list().filter((hit) => name === undefined || hit.name === name),
  };
}

/** Joins the plans of several jobs delivered in one answer: delays add up, the first ending wins. */
export function mergePlans(plans: readonly FaultPlan[]): FaultPlan {
  return plans.reduce(
    (all, plan) => ({
      delayMs: all.delayMs + plan.delayMs,
      ending: all.ending ?? plan.ending,
      deliverTwice: all.deliverTwice || plan.deliverTwice,
      dropEmptyInput: all.dropEmptyInput || plan.dropEmptyInput,
      loseLease: all.loseLease || plan.loseLease,
    }),
    NO_FAULTS,
  );
}

function matches({ rule, match }: ActiveRule, subject: FaultSubject): boolean {
  const targets: readonly string[] = Array.isArray(rule.route) ? rule.route : [rule.route];
  // A delivery is a second look at a take that was counted on arrival, so `job-take` and `*` don't match it again.
  const names =
    subject.part === 'job-take/delivery'
      ? [subject.part]
      : [subject.route, '*', ...(subject.part ? [subject.part] : [])];
  if (!targets.some((name) => names.includes(name))) return false;
  if (rule.endpointId !== undefined && rule.endpointId !== subject.endpointId) return false;
  if (rule.jobId !== undefined && rule.jobId !== subject.jobId) return false;
  if (rule.workerId !== undefined && rule.workerId !== subject.workerId) return false;
  return match?.(subject) ?? true;
}

function occurs(when: FaultRule['when'], seen: number): boolean {
  if (when === 'always') return true;
  if ('nth' in when) return seen === when.nth;
  if ('from' in when) return seen >= when.from && seen <= (when.to ?? Number.POSITIVE_INFINITY);
  const offset = when.offset ?? 0;
  return seen > offset && (seen - offset) % when.every === 0;
}

function include(plan: FaultPlan, action: FaultAction): FaultPlan {
  switch (action.kind) {
    case 'delay':
      return { ...plan, delayMs: plan.delayMs + action.ms };
    case 'deliver-twice':
      return { ...plan, deliverTwice: true };
    case 'drop-empty-input':
      return { ...plan, dropEmptyInput: true };
    case 'lose-lease':
      return { ...plan, loseLease: true };
    case 'hang':
    case 'drop':
    case 'reset':
    case 'answer':
    case 'truncate':
      return plan.ending ? plan : { ...plan, ending: action };
  }
}
