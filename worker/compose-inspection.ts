/** Puts together what `comfy-runpod-inspect` shows, from what worker/compose.ts holds. */
import { statfs } from 'node:fs/promises';
import { type Inspection, packageVersion } from '../shared/index.ts';
import type { BootLog } from './boot/boot-log.ts';
import type { ComfyConnection } from './comfy/index.ts';
import type { WorkerModels } from './compose-models.ts';
import type { WorkerConfig } from './config.ts';
import type { JobJournal } from './inspect/index.ts';

/** What it is put together from. */
export interface InspectionParts {
  readonly config: WorkerConfig;
  readonly boot: BootLog;
  readonly comfy: ComfyConnection;
  readonly models: WorkerModels;
  readonly folders: Readonly<Record<string, string>>;
  readonly journal: JobJournal;
}

/** Everything but the state of the process. */
export async function inspectRunner(parts: InspectionParts): Promise<Inspection> {
  const { config, boot, comfy, models, folders, journal } = parts;
  const ready = comfy.isReady();
  const server = ready ? await comfy.ready(AbortSignal.timeout(1_000)).catch(() => undefined) : undefined;
  const url = config.comfy.kind === 'attach' ? config.comfy.url : `http://127.0.0.1:${config.comfy.port}`;
  return {
    kind: 'comfy-runpod/inspection',
    mode: config.boot.mode,
    state:
      config.boot.mode === 'worker' ? (boot.report().readyMs === undefined ? 'starting' : 'ready') : config.boot.mode,
    pid: process.pid,
    uptimeMs: Math.round(performance.now()),
    ...(config.runpod !== undefined && { workerId: config.runpod.workerId }),
    ...(config.image !== undefined && { image: config.image }),
    versions: { worker: packageVersion, node: process.versions.node, ...(server && { comfyui: server.version }) },
    comfy: { state: ready ? 'ready' : 'starting', url },
    boot: boot.report(),
    folders: await measured(folders),
    models: models.states.map(({ label, where, bytes, path }) => ({
      ...{ name: label, where, bytes },
      ...(path !== undefined && { path }),
    })),
    missingModels: models.missing(),
    jobs: journal.jobs(),
  };
}

async function measured(folders: Readonly<Record<string, string>>): Promise<Inspection['folders']> {
  const found: Inspection['folders'] = {};
  for (const [name, path] of Object.entries(folders)) {
    const stats = await statfs(path).catch(() => undefined);
    if (!stats) continue;
    found[name] = { path, totalBytes: stats.blocks * stats.bsize, freeBytes: stats.bavail * stats.bsize };
  }
  return found;
}
