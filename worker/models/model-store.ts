/**
 * The models of a worker: finds or fetches each one, several at a time, and keeps what is known of them for `describe` and for the errors of
 * jobs. Nothing is removed but what was downloaded by this product: models only to make room (LRU), parts when nobody
 * goes on with them.
 */
import path from 'node:path';
import {
  ComfyRunpodError,
  isPickle,
  limits,
  type ModelSpec,
  modelLabel,
  sourceLabel,
  toComfyRunpodError,
} from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { type DownloadSupport, downloadModel } from './download/download-model.ts';
import { createModelAgent, type HttpTimes } from './download/model-http.ts';
import type { HubAccess } from './download/resolve-huggingface.ts';
import { sweepParts } from './download/sweep-parts.ts';
import { defaultPace, type TransferPace } from './download/transfer.ts';
import { findModel } from './find-model.ts';
import { ModelRoom } from './make-room.ts';
import { mapLimited } from './map-limited.ts';
import { ModelIndex, stateFolder } from './model-index.ts';
import { type ModelPlaces, nameInWorkflow, ownPath } from './model-places.ts';

/** How models are provided. */
export interface ModelStoreOptions {
  readonly places: ModelPlaces;
  readonly hub: HubAccess;
  /** Nothing is downloaded. */
  readonly offline?: boolean;
  readonly allowPickle?: boolean;
  /** Whether a model counts as required when its entry does not say. Default true. */
  readonly required?: boolean;
  /** Bytes that downloaded models may take, all together. Default: what the disk has. */
  readonly spaceLimitBytes?: number;
  readonly logger: Logger;
  readonly pace?: Partial<TransferPace>;
  readonly times?: Partial<HttpTimes>;
}

/** What became of one model. */
export interface ModelState {
  readonly label: string;
  /** How workflows name it. */
  readonly name: string;
  readonly required: boolean;
  readonly where: 'present' | 'host-cache' | 'volume' | 'downloaded' | 'missing';
  /** Bytes of the file. */
  readonly bytes: number;
  readonly ms: number;
  /** Absolute, unless it is missing. */
  readonly path?: string;
  /** Why it is missing. */
  readonly error?: ComfyRunpodError;
}

/** Parts that were left behind are kept for so long, for the next start to go on with. */
const abandonedPartMs = 7 * 24 * 60 * 60 * 1_000;

/**
 * Provides `specs` and answers what became of each, in their order. A model that can't be had is `missing` with its error. `onModel` is called
 * as each one is settled. Throws only the signal's reason, or `CONFIG_INVALID` for a list that can't be meant.
 */
export async function provideModels(
  specs: readonly ModelSpec[],
  options: ModelStoreOptions,
  signal: AbortSignal,
  onModel: (state: ModelState) => void = () => undefined,
): Promise<ModelState[]> {
  const { places, logger } = options;
  assertDistinct(specs);
  const index = await ModelIndex.open(places.own);
  const times = { connectMs: limits.inputConnectMs, idleMs: limits.modelIdleMs, ...options.times };
  const agent = createModelAgent(times);
  const keep = new Set(specs.map(ownPath));
  const partFolder = path.join(places.own, stateFolder, 'incoming');
  const room = new ModelRoom(
    { folder: places.own, partFolder, limitBytes: options.spaceLimitBytes, keep, logger },
    index,
  );
  const support: DownloadSupport = {
    agent,
    hub: options.hub,
    pace: { ...defaultPace, ...options.pace },
    logger,
    partFolder,
    makeRoom: (claim) => room.claim(claim),
  };
  try {
    const states = await mapLimited(specs, limits.modelsAtOnce, async (spec) => {
      const state = await provideOne(spec, options, index, support, signal).finally(() => room.release(ownPath(spec)));
      onModel(state);
      return state;
    });
    // Links and baked files are not in the index: only downloads are ever removed.
    await index.touch([...keep]).catch(() => undefined);
    await sweepParts(partFolder, abandonedPartMs).catch(() => undefined);
    return states;
  } finally {
    await agent.destroy();
  }
}

async function provideOne(
  spec: ModelSpec,
  options: ModelStoreOptions,
  index: ModelIndex,
  support: DownloadSupport,
  signal: AbortSignal,
): Promise<ModelState> {
  const startedAt = performance.now();
  const { places, logger } = options;
  const base = {
    label: modelLabel(spec),
    name: nameInWorkflow(spec),
    required: spec.required ?? options.required ?? true,
  };
  const ms = () => Math.round(performance.now() - startedAt);
  try {
    signal.throwIfAborted();
    assertFormat(spec, options.allowPickle ?? false);
    const found = await findModel(spec, places, index, logger);
    if (found !== undefined) {
      const state: ModelState = { ...base, where: found.where, bytes: found.size, ms: ms(), path: found.path };
      logger.info({ model: base.label, where: found.where, bytes: found.size }, 'Model found');
      return state;
    }
    if (options.offline === true && spec.source.kind !== 'none') throw offline(spec);
    const file = ownPath(spec);
    const target = path.join(places.own, file);
    const { bytes, sha256 } = await downloadModel(spec, { file, path: target }, support, signal);
    await index.add(file, sha256);
    logger.info({ model: base.label, from: sourceLabel(spec.source), bytes, ms: ms() }, 'Model downloaded');
    return { ...base, where: 'downloaded', bytes, ms: ms(), path: target };
  } catch (error) {
    signal.throwIfAborted();
    const failure = toModelError(error, base.label);
    logger[base.required ? 'error' : 'warn']({ model: base.label, code: failure.code }, failure.message);
    return { ...base, where: 'missing', bytes: 0, ms: ms(), error: failure };
  }
}

/** A code of the system, such as EROFS, says more than that something was unexpected. */
function toModelError(error: unknown, label: string): ComfyRunpodError {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (code === undefined || !/^E[A-Z]+$/.test(code)) return toComfyRunpodError(error);
  return new ComfyRunpodError('MODEL_DOWNLOAD_FAILED', `Model ${label} could not be written (${code}).`, {
    cause: error,
    details: { model: label },
    nextStep: 'Check that the worker may write to MODELS_DIR.',
  });
}

function assertFormat(spec: ModelSpec, allowPickle: boolean): void {
  const file = spec.source.kind === 'huggingface' ? spec.source.file : spec.name;
  if (allowPickle || !(isPickle(spec.name) || isPickle(file))) return;
  const label = modelLabel(spec);
  throw new ComfyRunpodError('MODEL_REFUSED', `Model ${label}: its format can carry code and is refused.`, {
    details: { model: label },
  });
}

function offline(spec: ModelSpec): ComfyRunpodError {
  const label = modelLabel(spec);
  return new ComfyRunpodError(
    'MODEL_UNAVAILABLE',
    `Model ${label} is not there, and HF_HUB_OFFLINE forbids to fetch it.`,
    {
      details: { model: label },
      nextStep: 'Put it into the image, the host cache or the network volume, or unset HF_HUB_OFFLINE.',
    },
  );
}

/** Two entries for one file would write over each other. */
function assertDistinct(specs: readonly ModelSpec[]): void {
  const seen = new Set<string>();
  for (const spec of specs) {
    const file = ownPath(spec);
    if (seen.has(file)) {
      throw new ComfyRunpodError('CONFIG_INVALID', `Two models are called ${file}.`, {
        nextStep: 'Give one of them another name; docs/models.md shows how.',
      });
    }
    seen.add(file);
  }
}
