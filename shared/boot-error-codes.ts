/** The rows of the error table that are about a worker's start: models, GPU, SSH. Part of {@link file://./error-codes.ts}. */
import { type ErrorPolicy, exitCodes, row } from './error-policy.ts';

const { jobFailed } = exitCodes;

/** One row per code. */
export const bootErrorPolicies = {
  MODEL_UNAVAILABLE: row(
    'configuration',
    'never',
    424,
    jobFailed,
    'Check the repository, the revision and the file, or the address, in MODELS or the manifest.',
  ),
  MODEL_DOWNLOAD_FAILED: row(
    'network',
    'later',
    502,
    jobFailed,
    'Start the worker again: what was downloaded is kept. If it repeats, put the model onto a network volume.',
  ),
  MODEL_CORRUPT: row(
    'configuration',
    'any-worker',
    502,
    jobFailed,
    'Compare sha256 and size in the manifest with the page of the model; the source may have changed.',
  ),
  MODEL_SPACE: row(
    'configuration',
    'never',
    507,
    jobFailed,
    'Give the container more disk, raise MODELS_SPACE_LIMIT, or put the model onto a network volume.',
  ),
  MODEL_REFUSED: row(
    'configuration',
    'never',
    403,
    jobFailed,
    'Use a safetensors or GGUF file; MODELS_ALLOW_PICKLE=1 lets pickles through, which can run code of their maker.',
  ),
  MODEL_MISSING: row(
    'configuration',
    'any-worker',
    424,
    jobFailed,
    'Read why the model could not be had, and correct MODELS, the manifest or the volume.',
  ),
  GPU_MISSING: row(
    'worker',
    'any-worker',
    503,
    jobFailed,
    'Choose a GPU for the endpoint, or set ALLOW_CPU=1 to run ComfyUI on the processor.',
    true,
  ),
  SSH_FAILED: row(
    'configuration',
    'never',
    500,
    jobFailed,
    'Check PUBLIC_KEY and SSH_PORT; docs/debugging.md says what SSH needs.',
  ),
} as const satisfies Record<string, ErrorPolicy>;
