/**
 * The stages of a start that run beside ComfyUI's: GPU, models, SSH, warm-up. worker/compose.ts owns what they make.
 *
 *   gpu ─┬─> comfyui ──┬──> ready for jobs ──> warm-up workflow
 *   workspace ─┘       │
 *   models ────────────┘  (a job is taken and staged meanwhile)
 *   ssh
 */
import { readFile } from 'node:fs/promises';
import {
  ComfyRunpodError,
  type ResourceStack,
  raceSignal,
  toComfyRunpodError,
  workflowSchema,
} from '../shared/index.ts';
import type { BootLog } from './boot/boot-log.ts';
import type { ComfyConnection, ComfyServer } from './comfy/index.ts';
import type { WorkerModels } from './compose-models.ts';
import type { WorkerConfig } from './config.ts';
import type { JobRunner, Logger } from './types.ts';

/** What the stages share. */
export interface BootParts {
  readonly config: WorkerConfig;
  readonly boot: BootLog;
  readonly logger: Logger;
  readonly owned: ResourceStack;
  /** Aborted when the process ends. */
  readonly signal: AbortSignal;
}

/** Looks for the GPU. Answers whether ComfyUI has to run on the processor. Throws `GPU_MISSING`. */
export async function bootGpu({ config, boot, signal }: BootParts): Promise<'gpu' | 'processor'> {
  if (config.comfy.kind === 'attach') {
    boot.skip('gpu', 'ComfyUI runs already');
    return 'gpu';
  }
  const asked = config.comfy.args.includes('--cpu');
  return boot.stage('gpu', async (note) => {
    const { describeGpus, probeGpu } = await import('./boot/index.ts');
    const { gpus, why } = await probeGpu({ signal });
    note(gpus.length > 0 ? describeGpus(gpus) : `none: ${why}`);
    if (gpus.length > 0) return 'gpu';
    if (config.boot.allowCpu || asked) return 'processor';
    throw new ComfyRunpodError('GPU_MISSING', `There is no GPU: ${why}.`);
  });
}

/** Finds and fetches models. The promise is what jobs wait for. */
export function bootModels({ config, boot, signal }: BootParts, models: WorkerModels): Promise<void> {
  const { specs, manifest, warm } = config.boot.models;
  if (specs.length === 0 && manifest === undefined) {
    boot.skip('models', 'none are wanted');
    return Promise.resolve();
  }
  const provided = boot.stage('models', async (note) => note(await models.provide(signal)));
  if (warm) provided.then(() => warmModels({ boot, signal }, models)).catch(() => undefined);
  return provided;
}

async function warmModels({ boot, signal }: Pick<BootParts, 'boot' | 'signal'>, models: WorkerModels): Promise<void> {
  await boot.stage('readahead', async (note) => {
    const { warmFiles } = await import('./models/index.ts');
    const files = models.states.flatMap(({ path, where }) =>
      path === undefined || where === 'downloaded' ? [] : [path],
    );
    note(`${await warmFiles(files, signal)} bytes of ${files.length} models were read`);
  });
}

/** Offers SSH where a key is given. A worker that takes jobs goes without where it may not; one that is there to look inside does not. */
export async function bootSsh({ config, boot, logger, owned, signal }: BootParts): Promise<void> {
  const { ssh, mode, runtimeFolders } = config.boot;
  if (ssh === undefined) {
    boot.skip('ssh', 'PUBLIC_KEY is not set');
    return;
  }
  if (mode === 'worker' && process.getuid?.() !== 0) {
    logger.warn({}, 'PUBLIC_KEY is set, but SSH needs root: the worker goes without.');
    boot.skip('ssh', 'needs root');
    return;
  }
  await boot.stage('ssh', async (note) => {
    const { startSshServer } = await import('./boot/index.ts');
    const folder = `${runtimeFolders[0] ?? '/run/comfy-runpod'}/ssh`;
    const server = await startSshServer(
      { ...ssh, folder, logger, path: config.comfy.kind === 'start' ? config.comfy.environment['PATH'] : undefined },
      signal,
    );
    owned.defer(() => server.close());
    note(`port ${ssh.port}, host key ${server.fingerprint}`);
  });
}

/** A ComfyUI that counts as ready when the models are there, too: jobs wait for both, and are staged meanwhile. */
export function waitForModels(comfy: ComfyConnection, models: Promise<void>): ComfyConnection {
  let there = false;
  models.then(
    () => {
      there = true;
    },
    () => undefined,
  );
  const ready = async (signal: AbortSignal): Promise<ComfyServer> => {
    const [server] = await Promise.all([comfy.ready(signal), raceSignal(models, signal)]);
    return server;
  };
  const isReady = () => there && comfy.isReady();
  // Methods of a class with private fields need their own object.
  return new Proxy(comfy, {
    get(target, name) {
      if (name === 'ready') return ready;
      if (name === 'isReady') return isReady;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}

/** Waits for ComfyUI as a stage. */
export function bootComfy({ boot, signal }: BootParts, comfy: ComfyConnection): Promise<void> {
  return boot.stage('comfyui', async (note) => {
    const { version } = await comfy.ready(signal);
    note(`version ${version}`);
  });
}

const warmupId = 'warmup';

/** Runs the warm-up workflow once. `busy` aborts it: a real job warms as well. Never throws. */
export async function bootWarmup(
  { config, boot, logger, signal }: BootParts,
  runner: JobRunner,
  busy: AbortSignal,
): Promise<void> {
  const file = config.boot.warmupWorkflow;
  if (file === undefined || busy.aborted) return;
  try {
    await boot.stage('warmup', async (note) => {
      const workflow = workflowSchema.parse(JSON.parse(await readFile(file, 'utf8')));
      const context = {
        signal: AbortSignal.any([signal, busy]),
        resultLimitBytes: Number.POSITIVE_INFINITY,
        onProgress: () => undefined,
        rehearsal: true,
      };
      const outcome = await runner.run({ id: warmupId, input: { workflow } }, context);
      if (outcome.kind === 'failed') throw outcome.error;
      note(outcome.kind === 'completed' ? 'the workflow ran' : 'given up for a job');
    });
  } catch (error) {
    const failure = toComfyRunpodError(error);
    logger.warn({ code: failure.code }, 'The warm-up failed; the worker goes on without.');
  }
}
