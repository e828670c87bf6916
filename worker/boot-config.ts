/** The part of the configuration that is about the start: models, GPU, SSH, the mode. Read by worker/config.ts. */
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ComfyRunpodError, parseModels, type WorkerEnvironment } from '../shared/core.ts';
import type { ModelSpec } from '../shared/index.ts';
import type { ModelPlaces } from './models/model-places.ts';

/** Models of a worker. */
export interface ModelsConfig {
  /** Of MODELS. */
  readonly specs: readonly ModelSpec[];
  readonly manifest?: string;
  /** Folders for links and downloads, in the order in which they are tried. Empty: there is none. */
  readonly own: readonly string[];
  readonly elsewhere: Omit<ModelPlaces, 'own'>;
  readonly required: boolean;
  readonly allowPickle: boolean;
  readonly offline: boolean;
  readonly spaceLimitBytes?: number;
  readonly hub: { readonly hubUrl: string; readonly token?: string };
  readonly warm: boolean;
}

/** SSH of a worker. */
export interface SshConfig {
  readonly publicKeys: readonly string[];
  readonly port: number;
}

/** The start of a worker. */
export interface BootConfig {
  readonly mode: 'worker' | 'interactive';
  readonly models: ModelsConfig;
  readonly warmupWorkflow?: string;
  readonly allowCpu: boolean;
  /** Absent: no SSH. */
  readonly ssh?: SshConfig;
  /** Folders for things of the running worker, in the order in which they are tried. */
  readonly runtimeFolders: readonly string[];
  /** Whether a socket for `comfy-runpod-inspect` is wanted. */
  readonly inspectable: boolean;
}

/** Name of the folder that is used where the wanted one can't be written to. */
export const fallbackRuntimeFolder = path.join(tmpdir(), 'comfy-runpod-run');

/** Makes the configuration of the start. Throws `CONFIG_INVALID` for a wrong MODELS. */
export function readBootConfig(values: WorkerEnvironment): BootConfig {
  const publicKeys = values.PUBLIC_KEY;
  if (values.MODE === 'interactive' && publicKeys === undefined) throw noKey();
  return {
    mode: values.MODE,
    models: readModels(values),
    ...(values.WARMUP_WORKFLOW !== undefined && { warmupWorkflow: values.WARMUP_WORKFLOW }),
    allowCpu: values.ALLOW_CPU,
    ...(publicKeys !== undefined && { ssh: { publicKeys, port: values.SSH_PORT } }),
    runtimeFolders: [values.RUNTIME_DIR ?? '/run/comfy-runpod', fallbackRuntimeFolder],
    inspectable: values.RUNTIME_DIR !== undefined,
  };
}

function readModels(values: WorkerEnvironment): ModelsConfig {
  const image = values.COMFY_DIR === undefined ? undefined : path.join(values.COMFY_DIR, 'models');
  const volume = values.NETWORK_VOLUME_DIR;
  return {
    specs: values.MODELS === undefined ? [] : parseModels(values.MODELS),
    ...(values.MODELS_MANIFEST !== undefined && { manifest: values.MODELS_MANIFEST }),
    own: ownFolders(values.MODELS_DIR, image),
    elsewhere: {
      ...(image !== undefined && { image }),
      // The same two that docs/models.md names.
      volume: [path.join(volume, 'ComfyUI', 'models'), path.join(volume, 'models')],
      hostCache: path.join(volume, 'huggingface-cache', 'hub'),
    },
    required: values.MODELS_REQUIRED,
    allowPickle: values.MODELS_ALLOW_PICKLE,
    offline: values.HF_HUB_OFFLINE,
    ...(values.MODELS_SPACE_LIMIT !== undefined && { spaceLimitBytes: values.MODELS_SPACE_LIMIT }),
    hub: { hubUrl: values.HF_ENDPOINT, ...(values.HF_TOKEN !== undefined && { token: values.HF_TOKEN }) },
    warm: values.WARM_MODELS,
  };
}

function ownFolders(given: string | undefined, image: string | undefined): string[] {
  if (given !== undefined) return [given];
  return image === undefined ? [] : [image, path.join(tmpdir(), 'comfy-runpod-models')];
}

/** Without a key nobody could come in: ComfyUI listens to this machine only. */
function noKey(): ComfyRunpodError {
  return new ComfyRunpodError(
    'CONFIG_MISSING',
    'MODE is interactive and PUBLIC_KEY is not set: there would be no way in.',
    {
      issues: [{ field: 'PUBLIC_KEY', message: 'not set' }],
      nextStep: 'Set PUBLIC_KEY to your SSH public key (the content of ~/.ssh/id_ed25519.pub).',
    },
  );
}
