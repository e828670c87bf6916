// Holds the armed faults and decides, deterministically, which chance each one takes. Neighbours: fault-schema.ts (what there
// is); http/, websocket/, execution/ and routes ask `strike` at the points where something can go wrong.
// Invariants: 1. no fault, no difference. 2. A fault is asked in the order of arming; the first that matches strikes.
import { type Fault, type FaultInput, type FaultKind, faultSchema } from './fault-schema.ts';

/** What is known at the point that asks. */
export interface FaultChance {
  readonly promptId?: string | undefined;
  readonly classType?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly event?: string | undefined;
}

/** An armed fault. */
export interface ArmedFault {
  readonly fault: Fault;
  /** How often it struck. */
  readonly struck: number;
  disarm(): void;
}

interface Entry {
  readonly fault: Fault;
  chances: number;
  struck: number;
}

/** Whether `path` is what `pattern` names; `*` matches one path part. */
export function endpointMatches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  return wanted.length === given.length && wanted.every((part, index) => part === '*' || part === given[index]);
}

function matches(fault: Fault, chance: FaultChance): boolean {
  if (fault.promptId !== undefined && fault.promptId !== chance.promptId) return false;
  if (fault.classType !== undefined && fault.classType !== chance.classType) return false;
  if (fault.endpoint !== undefined && !endpointMatches(fault.endpoint, chance.endpoint ?? '')) return false;
  return true;
}

/** The faults of one stand-in; they survive its restarts. */
export class FaultController {
  private readonly entries = new Set<Entry>();
  private readonly changed: () => void;

  /** `changed` is told when faults are armed, disarmed or used up. */
  constructor(changed: () => void = () => undefined) {
    this.changed = changed;
  }

  /** Arms a fault. Throws a ZodError when it is not one. */
  arm(input: FaultInput): ArmedFault {
    const entry: Entry = { fault: faultSchema.parse(input), chances: 0, struck: 0 };
    this.entries.add(entry);
    this.changed();
    return {
      fault: entry.fault,
      get struck() {
        return entry.struck;
      },
      disarm: () => {
        this.entries.delete(entry);
        this.changed();
      },
    };
  }

  /** Disarms everything. */
  clear(): void {
    this.entries.clear();
    this.changed();
  }

  /** The faults still armed. */
  armed(): Fault[] {
    return [...this.entries].filter((entry) => !exhausted(entry)).map((entry) => entry.fault);
  }

  /** Whether a fault of the kind would match, without using up a chance. */
  isArmed(kind: FaultKind, chance: FaultChance = {}): boolean {
    return [...this.entries].some(
      (entry) => entry.fault.kind === kind && !exhausted(entry) && matches(entry.fault, chance),
    );
  }

  /** Takes a chance: the fault that strikes now, or undefined. `also` narrows the match further. */
  strike<Kind extends FaultKind>(
    kind: Kind,
    chance: FaultChance = {},
    also: (fault: Extract<Fault, { kind: Kind }>) => boolean = () => true,
  ): Extract<Fault, { kind: Kind }> | undefined {
    for (const entry of this.entries) {
      const fault = entry.fault;
      if (!isKind(fault, kind) || exhausted(entry) || !matches(fault, chance) || !also(fault)) continue;
      entry.chances += 1;
      if (entry.chances <= fault.skip) continue;
      entry.struck += 1;
      if (exhausted(entry)) this.changed();
      return fault;
    }
    return undefined;
  }
}

function exhausted(entry: Entry): boolean {
  return entry.fault.times !== 'always' && entry.struck >= entry.fault.times;
}

function isKind<Kind extends FaultKind>(fault: Fault, kind: Kind): fault is Extract<Fault, { kind: Kind }> {
  return fault.kind === kind;
}
