/** Joins configuration, ComfyUI and the job runner: the one place that knows how the folders of the worker fit together. */
import path from 'node:path';
import { ComfyRunpodError, isAction, ResourceStack, raceSignal } from '../shared/index.ts';
import { BootLog } from './boot/boot-log.ts';
import { type ComfyConnection, type ComfySource, connectComfy } from './comfy/index.ts';
import { type BootParts, bootComfy, bootGpu, bootModels, bootSsh, bootWarmup, waitForModels } from './compose-boot.ts';
import { type InspectionParts, inspectRunner } from './compose-inspection.ts';
import { openModels, tellFolders, type WorkerModels } from './compose-models.ts';
import type { ComfyConfig, WorkerConfig } from './config.ts';
import { HeldInputs } from './inputs/index.ts';
import { JobJournal, startInspectServer } from './inspect/index.ts';
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
  type WorkspaceRoot,
  wipeFile,
} from './workspace/index.ts';

/** A runner and what it holds. */
export interface ComposedRunner {
  readonly runner: JobRunner;
  /** Keeps results that RunPod doesn't take. */
  readonly keepResult?: KeepResult;
  /** Settles when everything that jobs need is there; rejects with the error of the stage that failed. Absent: nothing is waited for. */
  readonly booted?: Promise<void>;
  /** Ends ComfyUI when the worker started it, and gives the workspace back. Idempotent. */
  close(): Promise<void>;
}

/**
 * Makes the runner of a worker. Must not wait for ComfyUI: the worker asks for jobs while ComfyUI boots, and the runner waits inside its
 * first job. `signal` is aborted when the process ends.
 */
export type RunnerFactory = (
  config: WorkerConfig,
  logger: Logger,
  signal: AbortSignal,
  boot?: BootLog,
) => Promise<ComposedRunner>;

/** ComfyUI, the workspace, and the folders of both by what they are for. */
interface Opened {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly folders: Readonly<Record<string, string>>;
  /** Finds out whether the folders are those of that ComfyUI, where that is not certain. */
  readonly checkFolders?: (signal: AbortSignal) => Promise<void>;
}

/** The factory of the product. Throws `WORKSPACE_FAILED` when there is no folder to work in, and what the first stages throw. */
export const createRunner: RunnerFactory = async (config, logger, signal, boot = new BootLog(logger)) => {
  signal.throwIfAborted();
  const owned = new ResourceStack();
  const ending = new AbortController();
  const close = () => {
    ending.abort(new ComfyRunpodError('WORKER_SHUTDOWN', 'The worker is stopping.'));
    return owned.close();
  };
  try {
    const composed = await compose({ config, boot, logger, owned, signal: AbortSignal.any([signal, ending.signal]) });
    return { ...composed, close };
  } catch (error) {
    await close();
    throw error;
  }
};

async function compose(parts: BootParts): Promise<Omit<ComposedRunner, 'close'>> {
  const { config, boot, logger, owned } = parts;
  const ssh = bootSsh(parts);
  ssh.catch(() => undefined);
  const models = await openModels(config.boot.models, logger).catch((error: unknown) =>
    boot.stage('models', () => Promise.reject(error as Error)),
  );
  const provided = bootModels(parts, models);
  const settled = provided.catch(() => undefined);
  // Nothing is written to the models folder any more when everything is closed.
  owned.defer(() => settled);
  const { comfy: bare, workspace, folders, checkFolders } = await open(parts, models);
  const comfy = waitForModels(bare, provided);
  const swept = sweep(workspace, logger);
  const store = folders['input'] === undefined ? undefined : holdInputs(folders['input'], logger, owned);
  const workerId = config.runpod?.workerId ?? 'local';
  const journal = new JobJournal();
  const { stallTimeoutMs: stallMs, encryptionKey, image, allowPrivate } = config;
  const delivery = { ...config.results, reach: { allowPrivate } };
  const jobs = createJobRunner({
    policy: config.nodes,
    inputs: { store, fetch: { allowPrivate } },
    onReceipt: (id, receipt) => journal.noteReceipt(id, receipt),
    boot: { report: () => boot.report(), missingModels: () => models.missing() },
    ...{ comfy, workspace, logger, workerId, stallMs, folders, delivery },
    ...(checkFolders && { checkFolders }),
    ...(encryptionKey !== undefined && { encryptionKey }),
    ...(image !== undefined && { image }),
    ...(delivery.volumeDir !== undefined && { keyFolder: path.join(path.dirname(delivery.volumeDir), 'keys') }),
  });
  const busy = new AbortController();
  const runner = journal.watch({
    // Leftovers of an earlier process are wiped while ComfyUI boots, and in any case before the first job writes.
    run: async (job, context) => {
      if (!isAction(job.input)) busy.abort();
      await swept;
      return jobs.run(job, context);
    },
  });
  if (config.boot.inspectable) await offerInspection(parts, { config, boot, comfy: bare, models, folders, journal });
  const booted = Promise.all([bootComfy(parts, bare), provided, ssh]).then(() => {
    boot.ready();
    bootWarmup(parts, jobs, busy.signal).catch(() => undefined);
  });
  // Whoever started the worker looks at it, or nobody does.
  booted.catch(() => undefined);
  return { runner, booted, keepResult: (...result) => keepResult(delivery, ...result) };
}

/** Opens the socket of `comfy-runpod-inspect`. */
async function offerInspection({ config, logger, owned }: BootParts, inspected: InspectionParts): Promise<void> {
  const server = await startInspectServer(config.boot.runtimeFolders, () => inspectRunner(inspected), logger);
  if (server) owned.defer(() => server.close());
}

async function open(parts: BootParts, models: WorkerModels): Promise<Opened> {
  const { config, logger, owned } = parts;
  const connect = (source: ComfySource) => {
    const comfy = connectComfy({ source, logger, startTimeoutMs: config.comfy.startTimeoutMs });
    owned.defer(() => comfy.close());
    return comfy;
  };
  const opened = await (config.comfy.kind === 'attach'
    ? openAttached(config.comfy, connect, parts)
    : openStarted(config.comfy, connect, parts, models));
  await opened.workspace.prepare();
  owned.defer(() => opened.workspace.close());
  return opened;
}

async function openAttached(
  { url, directories, exclusive }: Extract<ComfyConfig, { kind: 'attach' }>,
  connect: (source: ComfySource) => ComfyConnection,
  parts: BootParts,
): Promise<Opened> {
  await bootGpu(parts);
  const comfy = connect({ kind: 'attach', url });
  if (!directories) return { comfy, workspace: createRemoteWorkspace(comfy), folders: {} };
  const workspace = createSharedWorkspace(directories, { exclusive });
  const checkFolders = folderCheck(comfy, directories, parts.logger);
  return { comfy, workspace, folders: { ...directories }, checkFolders };
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
  parts: BootParts,
  models: WorkerModels,
): Promise<Opened> {
  const { boot, logger } = parts;
  const gpu = bootGpu(parts);
  const chosen = boot.stage('workspace', (note) => layOut(config.workspaceDir, logger, note));
  const [on, { root, directories }] = await Promise.all([gpu, chosen]);
  const { dir, python, port, environment } = config;
  const args = on === 'processor' && !config.args.includes('--cpu') ? [...config.args, '--cpu'] : config.args;
  const modelPaths = await tellFolders(parts.config.boot.models, models, root);
  const { input, output, temp } = directories;
  return {
    comfy: connect({
      ...{ kind: 'start', dir, python, port, args, environment, directories },
      ...(modelPaths !== undefined && { modelPaths }),
    }),
    workspace: createSharedWorkspace({ input, output, temp }, { exclusive: true }),
    folders: { input, output, temp, models: models.places?.own ?? path.join(dir, 'models') },
  };
}

/** Measures the RAM disk and chooses the folder of the workspace. Throws `WORKSPACE_FAILED`. */
async function layOut(wanted: string, logger: Logger, note: (text: string) => void): Promise<WorkspaceRoot> {
  const chosen = await chooseWorkspaceRoot(wanted);
  const { warning, freeBytes, root } = chosen;
  if (warning !== undefined) logger.warn({ freeBytes }, warning);
  note(`${root}, ${Math.floor(freeBytes / 2 ** 20)} MiB free${root === wanted ? '' : ', on disk'}`);
  return chosen;
}

async function sweep(workspace: Workspace, logger: Logger): Promise<void> {
  const files = await workspace.sweep();
  if (files > 0) logger.info({ count: files }, 'Files that an earlier worker left behind are wiped.');
}
