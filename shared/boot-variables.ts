/** Variables of a worker's start: models, GPU, SSH, how it runs. A part of {@link file://./environment.ts}. */
import * as z from 'zod';
import { absolutePath, byteSize, choice, flag, secureUrl, text, variable, wholeNumber } from './variable-kinds.ts';

const keyLine =
  /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]+={0,2}( [^\r\n]*)?$/;

/** Public keys, one a line. Options before a key are refused: one of them runs commands. */
const publicKeys = text.transform((value, context): readonly string[] | undefined => {
  const lines = value
    ?.split(/\r?\n|\\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines === undefined || lines.length === 0) return undefined;
  if (lines.every((line) => keyLine.test(line))) return lines;
  const secret = lines.some((line) => line.includes('PRIVATE KEY'));
  const message = secret
    ? 'is a private key: give the public one (the file that ends in .pub)'
    : 'not a list of SSH public keys';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

export const bootVariables = {
  MODE: variable(
    '`worker`: take jobs. `interactive`: no job protocol, only ComfyUI and SSH, to look inside (docs/debugging.md).',
    'worker',
    choice(['worker', 'interactive'], 'worker'),
  ),
  MODELS: variable(
    'Models to link or download at the start: `repo:file:folder[:name]`, separated by commas (docs/models.md).',
    'none',
    text,
  ),
  MODELS_MANIFEST: variable('Manifest or lock file (YAML) of more models, an absolute path.', 'none', absolutePath),
  MODELS_DIR: variable(
    'Models folder that links and downloads go into; ComfyUI is told of it.',
    '`models` in COMFY_DIR, or a temporary folder where that is read-only',
    absolutePath,
  ),
  MODELS_REQUIRED: variable(
    '`1`: the worker ends when a model can not be had. `0`: it starts without it, says so in `ping` and `describe`, and jobs that name it fail with the reason.',
    '1',
    flag(true),
  ),
  MODELS_ALLOW_PICKLE: variable(
    '`1`: models in formats that can carry code (.ckpt, .pt, .pth, .bin, .pkl) are accepted.',
    '0',
    flag(false),
  ),
  MODELS_SPACE_LIMIT: variable(
    'What downloaded models may take, such as `50GB`. The least recently used ones make room.',
    'none: what the disk has',
    byteSize,
  ),
  NETWORK_VOLUME_DIR: variable(
    "Where the network volume is mounted. Models are looked for in its `ComfyUI/models`, its `models` and RunPod's cache on it.",
    '/runpod-volume',
    absolutePath.transform((value) => value ?? '/runpod-volume'),
  ),
  HF_TOKEN: variable(
    'Hugging Face token for models that need a login. ComfyUI does not get it.',
    'none',
    z.string().startsWith('hf_', { error: 'not a Hugging Face token (hf_...)' }).optional(),
    true,
  ),
  HF_ENDPOINT: variable(
    'Where the Hugging Face hub answers: https, or http to loopback only.',
    'https://huggingface.co',
    secureUrl.transform((value) => value ?? 'https://huggingface.co'),
  ),
  HF_HUB_OFFLINE: variable('`1`: nothing is downloaded.', '0', flag(false)),
  WARM_MODELS: variable(
    '`1`: models are read once while ComfyUI boots, so that it finds them in memory.',
    '0',
    flag(false),
  ),
  WARMUP_WORKFLOW: variable(
    'Workflow in API format that runs once before the first job, unless a job is there already; an absolute path. Its results are dropped.',
    'none',
    absolutePath,
  ),
  ALLOW_CPU: variable(
    '`1`: the ComfyUI that the worker starts may run without a GPU, on the processor.',
    '0',
    flag(false),
  ),
  PUBLIC_KEY: variable(
    'SSH public keys, one a line, that may log in. Without one there is no SSH.',
    'none: no SSH',
    publicKeys,
  ),
  SSH_PORT: variable('Port of SSH.', '22', wholeNumber(22, { min: 1, max: 65_535 })),
  RUNTIME_DIR: variable(
    'Folder for things of the running worker: SSH keys, and the socket that `comfy-runpod-inspect` asks. The image sets it.',
    '/run/comfy-runpod for SSH; no socket',
    absolutePath,
  ),
  SERVE_API_LOCALLY: variable(
    "`true`: RunPod's API is emulated in this container, so that `/run` and the others answer here, for tests.",
    'false',
    flag(false),
  ),
  LOCAL_API_HOST: variable(
    'Address that the local API listens on; 0.0.0.0 lets `docker run -p` reach it. Whoever reaches it can run workflows.',
    '127.0.0.1',
    text.transform((value) => value ?? '127.0.0.1'),
  ),
  LOCAL_API_PORT: variable('Port of the local API.', '8000', wholeNumber(8000, { min: 0, max: 65_535 })),
} as const;
