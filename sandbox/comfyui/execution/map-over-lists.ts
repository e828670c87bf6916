// One node over lists (ComfyUI protocol notes §3.8): called once per item, or once with whole lists; results merged by slot.
import { ExecutionBlocker, type NodeDeclaration, type NodeDefinition, type NodeResult } from '../node-definition.ts';
import { sliceInputs } from './node-inputs.ts';

/** One call's result: an ordinary one, or the blocker that kept it from running. */
export type CallResult = NodeResult | ExecutionBlocker;

function firstBlocker(inputs: Readonly<Record<string, unknown>>, lists: boolean): ExecutionBlocker | undefined {
  for (const value of Object.values(inputs)) {
    if (value instanceof ExecutionBlocker) return value;
    if (!lists || !Array.isArray(value)) continue;
    const found: unknown = value.find((item) => item instanceof ExecutionBlocker);
    if (found instanceof ExecutionBlocker) return found;
  }
  return undefined;
}

/** How calls are made. */
export interface MappedCall {
  readonly definition: NodeDefinition;
  readonly lists: ReadonlyMap<string, readonly unknown[]>;
  /** Tested before each call: throws a pending interrupt. */
  readonly beforeCall: () => void;
  /** Told of a blocked call; returns the blocker to pass on. */
  readonly onBlocked: (blocker: ExecutionBlocker) => ExecutionBlocker;
  readonly call: (inputs: Readonly<Record<string, unknown>>, index: number) => Promise<NodeResult>;
}

async function once(mapped: MappedCall, inputs: Readonly<Record<string, unknown>>, index: number): Promise<CallResult> {
  mapped.beforeCall();
  const blocker = firstBlocker(inputs, mapped.definition.inputIsList === true);
  return blocker === undefined ? await mapped.call(inputs, index) : mapped.onBlocked(blocker);
}

/** Makes all calls in order. */
export async function mapOverLists(mapped: MappedCall): Promise<CallResult[]> {
  if (mapped.definition.inputIsList === true) return [await once(mapped, Object.fromEntries(mapped.lists), 0)];
  const length = Math.max(0, ...[...mapped.lists.values()].map((list) => list.length));
  if (length === 0) return [await once(mapped, {}, 0)];
  const out: CallResult[] = [];
  for (let index = 0; index < length; index += 1) {
    out.push(await once(mapped, sliceInputs(mapped.lists, index), index));
  }
  return out;
}

/** A call's values by slot; a blocker fills every slot. */
export function slotsOf(result: CallResult, declaration: NodeDeclaration): readonly unknown[] {
  if (!(result instanceof ExecutionBlocker)) return result.outputs;
  return declaration.output.map(() => result);
}

/** Merges calls by slot: one value per call, or all values of list outputs in a row. */
export function mergeSlots(calls: readonly (readonly unknown[])[], declaration: NodeDeclaration): unknown[][] {
  const width = calls[0]?.length ?? 0;
  return Array.from({ length: width }, (_, slot) => {
    if (declaration.output_is_list[slot] !== true) return calls.map((call) => call[slot]);
    return calls.flatMap((call) => {
      const value = call[slot];
      return Array.isArray(value) ? (value as unknown[]) : [value];
    });
  });
}

/** Concatenates the UI lists of all calls, by the keys of the first. */
export function mergeUi(results: readonly CallResult[]): Record<string, unknown[]> {
  const shown = results.flatMap((result) =>
    result instanceof ExecutionBlocker || result.ui === undefined ? [] : [result.ui],
  );
  const out: Record<string, unknown[]> = {};
  for (const key of Object.keys(shown[0] ?? {})) out[key] = shown.flatMap((ui) => [...(ui[key] ?? [])]);
  return out;
}
