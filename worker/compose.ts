/** Joins configuration, ComfyUI and the job runner: the one place that knows how the folders of the worker fit together. */
import path from 'node:path';
import { ResourceStack, raceSignal } from '../shared/index.ts';
import { type ComfyConnection, type ComfySource, connectComfy } from './comfy/index.ts';
import type { ComfyConfig, WorkerConfig } from './config.ts';
import { HeldInputs } from './inputs/index.ts';
import { createJobRunner } from './job/index.ts';
import { keepResult } from './outputs/index.ts';
import type { KeepResult } from './runpod/index.ts';
import type { JobRunner, Logger } from './types.ts';
import {
  assertRightFolders,
  chooseWorkspaceRoot,
  createRemoteWorkspace,
  createSharedWorkspace,
  probeFolders,
  releaseFolderName,
  type SharedDirectories,
  takeFolderName,
  type Workspace,
  wipeFile,
} from './workspace/index.ts';

/** A runner and what it holds. */
export interface ComposedRunner {
  readonly runner: JobRunner;
  /** Keeps results that RunPod doesn't take. */
  readonly keepResult?: KeepResult;
  /** Ends ComfyUI when the worker started it, and gives the workspace back. Idempotent. */
  close(): Promise<void>;
}

/**
 * Makes the runner of a worker. Must not wait for ComfyUI: the worker asks for jobs while ComfyUI boots, and the runner waits inside its
 * first job. `signal` is aborted when the process ends.
 */
export type RunnerFactory = (config: WorkerConfig, logger: Logger, signal: AbortSignal) => Promise<ComposedRunner>;

/** ComfyUI, the workspace, and the folders of both by what they are for. */
interface Opened {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly folders: Readonly<Record<string, string>>;
  /** Finds out whether the folders are those of that ComfyUI, where that is not certain. */
  readonly checkFolders?: (signal: AbortSignal) => Promise<void>;
}

/** The factory of the product. Throws `WORKSPACE_FAILED` when there is no folder to work in. */
export const createRunner: RunnerFactory = async (config, logger, signal) => {
  signal.throwIfAborted();
  const owned = new ResourceStack();
  try {
    const { comfy, workspace, folders, checkFolders } = await open(config, logger, owned);
    await workspace.prepare();
    owned.defer(() => workspace.close());
    const swept = sweep(workspace, logger);
    const store = folders['input'] === undefined ? undefined : holdInputs(folders['input'], logger, owned);
    const workerId = config.runpod?.workerId ?? 'local';
    const { stallTimeoutMs: stallMs, encryptionKey, image, results: delivery } = config;
    const jobs = createJobRunner({
      policy: config.nodes,
      inputs: { store },
      ...{ comfy, workspace, logger, workerId, stallMs, folders, delivery },
      ...(checkFolders && { checkFolders }),
      ...(encryptionKey !== undefined && { encryptionKey }),
      ...(image !== undefined && { image }),
    });
    const runner: JobRunner = {
      // Leftovers of an earlier process are wiped while ComfyUI boots, and in any case before the first job writes.
      run: (job, context) => swept.then(() => jobs.run(job, context)),
    };
    return { runner, keepResult: (...result) => keepResult(delivery, ...result), close: () => owned.close() };
  } catch (error) {
    await owned.close();
    throw error;
  }
};

async function open(config: WorkerConfig, logger: Logger, owned: ResourceStack): Promise<Opened> {
  const connect = (source: ComfySource) => {
    const comfy = connectComfy({ source, logger, startTimeoutMs: config.comfy.startTimeoutMs });
    owned.defer(() => comfy.close());
    return comfy;
  };
  if (config.comfy.kind === 'attach') {
    const { url, directories, exclusive } = config.comfy;
    const comfy = connect({ kind: 'attach', url });
    if (!directories) return { comfy, workspace: createRemoteWorkspace(comfy), folders: {} };
    const workspace = createSharedWorkspace(directories, { exclusive });
    const checkFolders = folderCheck(comfy, directories, logger);
    return { comfy, workspace, folders: { ...directories }, checkFolders };
  }
  return openStarted(config.comfy, connect, logger);
}

/** The variables that name the folders of a ComfyUI that runs already. */
const folderVariables = { input: 'COMFY_INPUT_DIR', output: 'COMFY_OUTPUT_DIR', temp: 'COMFY_TEMP_DIR' } as const;
const folderCheckMs = 30_000;

/** Checks once; a check that failed is made again for the next job. */
function folderCheck(
  comfy: ComfyConnection,
  directories: SharedDirectories,
  logger: Logger,
): (signal: AbortSignal) => Promise<void> {
  let checked: Promise<void> | undefined;
  const check = async () => {
    const findings = await probeFolders(directories, comfy.size, AbortSignal.timeout(folderCheckMs));
    assertRightFolders(findings, folderVariables);
    if (Object.values(findings).includes('unknown'))
      logger.warn({ ...findings }, 'ComfyUI would not tell whether the folders are its own.');
  };
  return (signal) => {
    checked ??= check().catch((error: unknown) => {
      checked = undefined;
      throw error;
    });
    return raceSignal(checked, signal);
  };
}

/** The store of input files, in a folder of its own that ComfyUI reads from and a later worker would sweep. */
function holdInputs(inputFolder: string, logger: Logger, owned: ResourceStack): HeldInputs {
  const name = takeFolderName();
  const store = new HeldInputs({
    folder: path.join(inputFolder, name),
    prefix: `${name}/`,
    wipe: (file) => wipeFile(file, 0),
    logger,
  });
  owned.defer(async () => {
    await store.close();
    releaseFolderName(name);
  });
  return store;
}

async function openStarted(
  config: Extract<ComfyConfig, { kind: 'start' }>,
  connect: (source: ComfySource) => ComfyConnection,
  logger: Logger,
): Promise<Opened> {
  const { directories, warning, freeBytes } = await chooseWorkspaceRoot(config.workspaceDir);
  if (warning !== undefined) logger.warn({ freeBytes }, warning);
  const { dir, python, port, args, environment } = config;
  const { input, output, temp } = directories;
  return {
    comfy: connect({ kind: 'start', dir, python, port, args, environment, directories }),
    workspace: createSharedWorkspace({ input, output, temp }, { exclusive: true }),
    folders: { input, output, temp, models: path.join(dir, 'models') },
  };
}

async function sweep(workspace: Workspace, logger: Logger): Promise<void> {
  const files = await workspace.sweep();
  if (files > 0) logger.info({ count: files }, 'Files that an earlier worker left behind are wiped.');
}
