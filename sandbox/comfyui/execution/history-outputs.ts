// What a finished prompt puts into history (ComfyUI protocol notes §1.5, §3.2.4, §3.2.5).
// Invariants: 1. 0.3.64 lists every node of the prompt that has a UI result, cached or not. 2. Late 2026 lists what this run
// executed and cached nodes that were scheduled or flagged with `has_intermediate_output`.
import type { CacheSet, UiResult } from '../cache/cache-set.ts';
import type { ComfyProfile } from '../node-definition.ts';
import type { ExecutionOutputs } from '../queue/history-store.ts';
import type { RunState } from './node-runner.ts';

/** Collects outputs and their origins. */
export function historyOutputs(
  caches: CacheSet,
  state: RunState,
  rules: { readonly profile: ComfyProfile; readonly cachedUiNeedsClient: boolean },
): ExecutionOutputs {
  const outputs = new Map<string, UiResult['output']>();
  const meta = new Map<string, UiResult['meta']>();
  const hideCached = rules.cachedUiNeedsClient && !state.environment.session.hasClient;
  for (const id of caches.ui.ids()) {
    const found = caches.ui.get(id);
    if (found === undefined) continue;
    if (state.cachedAtStart.has(id)) {
      if (hideCached) continue;
      if (rules.profile === 'late-2026' && !state.scheduled.has(id) && !hasIntermediateOutput(state, id)) continue;
    }
    outputs.set(id, found.output);
    meta.set(id, found.meta);
  }
  return { outputs, meta };
}

function hasIntermediateOutput(state: RunState, id: string): boolean {
  const definition = state.registry.get(state.graph.get(id).classType);
  const declaration = definition?.declaration;
  return typeof declaration === 'object' && declaration['has_intermediate_output'] === true;
}
