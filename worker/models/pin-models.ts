/** Completes entries with the size and the hash that the hub tells now, so that a lock file means one file and no other. */
import { limits, type ModelSpec, modelLabel } from '../../shared/index.ts';
import { createModelAgent } from './download/model-http.ts';
import { type HubAccess, resolveHuggingFace } from './download/resolve-huggingface.ts';
import { defaultPace } from './download/transfer.ts';
import { mapLimited } from './map-limited.ts';

/** Pins every model of the hub; others stay as they are. Throws `MODEL_UNAVAILABLE`, `MODEL_DOWNLOAD_FAILED`, or the signal's reason. */
export async function pinModels(
  specs: readonly ModelSpec[],
  hub: HubAccess,
  signal: AbortSignal,
): Promise<ModelSpec[]> {
  const agent = createModelAgent({ connectMs: limits.inputConnectMs, idleMs: limits.modelIdleMs });
  try {
    return await mapLimited(specs, limits.modelsAtOnce, async (spec) => {
      const { source } = spec;
      if (source.kind !== 'huggingface') return spec;
      const { size, sha256 } = await resolveHuggingFace(source, modelLabel(spec), hub, agent, defaultPace, signal);
      return { ...spec, size, ...(sha256 !== undefined && { sha256 }) };
    });
  } finally {
    await agent.destroy();
  }
}
