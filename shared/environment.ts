/**
 * Every environment variable of both ends: name, meaning, default, and how its text becomes a value. docs/configuration.md is generated
 * from here. An empty variable counts as unset. Only the config modules of the two ends read the process environment; they hand it to
 * {@link readEnvironment}.
 */
import * as z from 'zod';
import { bootVariables } from './boot-variables.ts';
import { ComfyRunpodError } from './error.ts';
import {
  choice,
  httpUrl,
  seconds,
  secureUrl,
  text,
  type VariableSpec,
  variable,
  wholeNumber,
} from './variable-kinds.ts';

export { isLoopbackUrl, type VariableSpec } from './variable-kinds.ts';

const logLevel = z
  .string()
  .transform((value) => value.toLowerCase())
  .transform((value) => (value === 'warning' ? 'warn' : value === 'notset' ? 'silent' : value))
  .pipe(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']))
  .optional();

/** A list of patterns: separated by commas, or a JSON array where one holds a comma. */
const patterns = text.transform((value, context): readonly string[] | undefined => {
  if (value === undefined) return undefined;
  const list = value.startsWith('[') ? parseList(value) : value.split(',');
  const named = list?.map((pattern) => pattern.trim()).filter((pattern) => pattern !== '');
  if (named !== undefined && named.length > 0) return named;
  context.addIssue({ code: 'custom', message: 'not a list of patterns' });
  return z.NEVER;
});

function parseList(json: string): string[] | undefined {
  try {
    return z.array(z.string()).safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

/** Variables of the client: library and command line. */
export const clientVariables = {
  RUNPOD_API_KEY: variable(
    'Key of the RunPod account that owns the endpoint. Never a flag: it would show in the process list.',
    'none',
    text,
    true,
  ),
  RUNPOD_ENDPOINT_ID: variable('Id of the serverless endpoint that runs the worker image.', 'none', text),
  RUNPOD_BASE_URL: variable(
    'Where the API answers: https, or http to loopback only.',
    'https://api.runpod.ai/v2',
    secureUrl.transform((url) => url ?? 'https://api.runpod.ai/v2'),
  ),
  RUNPOD_REQUEST_TIMEOUT: variable(
    'Seconds that one HTTP request may take, long polls aside.',
    '30',
    seconds(30, { min: 1, max: 600 }),
  ),
  RUNPOD_POLL_INTERVAL: variable(
    'Longest pause in seconds between two status requests, where no long poll answers.',
    '3',
    seconds(3, { min: 0.5, max: 60 }),
  ),
  RUNPOD_MAX_POLL_DURATION: variable(
    'Seconds to wait for a job before giving up waiting (the job goes on).',
    '86400',
    seconds(86_400, { min: 1, max: 604_800 }),
  ),
  COMFY_RUNPOD_DATA_DIR: variable(
    'Folder of the ledger, the file that knows every job that was sent, and of the count of calls that processes share.',
    "`comfy-runpod` in the user's data folder",
    text,
  ),
  COMFY_RUNPOD_CONFIG: variable(
    'File of named profiles (YAML).',
    "`comfy-runpod/config.yaml` in the user's configuration folder",
    text,
  ),
  COMFY_RUNPOD_PROFILE: variable(
    'Profile or profiles to use, separated by commas; `auto` stands for all.',
    'none',
    text,
  ),
  COMFY_RUNPOD_PRICE: variable(
    'US dollars per second of a running worker of RUNPOD_ENDPOINT_ID; what jobs cost is reckoned with it.',
    'not known',
    z
      .string()
      .refine((value) => /^\d*\.?\d+$/.test(value), 'not a number of dollars')
      .transform(Number)
      .optional(),
  ),
  COMFY_RUNPOD_GRAPHICS: variable(
    "How pictures are drawn in the terminal: kitty, iterm2, sixel or none; auto goes by the terminal's own variables.",
    'auto',
    choice(['auto', 'kitty', 'iterm2', 'sixel', 'none'], 'auto'),
  ),
} as const;

/** Variables of the worker. Those that RunPod sets come first. */
export const workerVariables = {
  RUNPOD_WEBHOOK_GET_JOB: variable(
    'Set by RunPod: address template of job-take; `$ID` is the worker id.',
    'none',
    text,
  ),
  RUNPOD_WEBHOOK_POST_OUTPUT: variable(
    'Set by RunPod: address template of job-done; `$RUNPOD_POD_ID` is the worker id, `$ID` the job id.',
    'none',
    text,
  ),
  RUNPOD_WEBHOOK_POST_STREAM: variable(
    'Set by RunPod: address template of job-stream, same placeholders.',
    'none',
    text,
  ),
  RUNPOD_WEBHOOK_PING: variable('Set by RunPod: address template of the heartbeat.', 'none', text),
  RUNPOD_PING_INTERVAL: variable(
    'Set by RunPod: milliseconds between heartbeats; less than 1000 counts as 1000.',
    '10000',
    wholeNumber(10_000, { min: 0, max: 600_000 }).transform((ms) => Math.max(1_000, ms)),
  ),
  RUNPOD_AI_API_KEY: variable('Set by RunPod: key of the worker routes, sent without `Bearer`.', 'none', text, true),
  RUNPOD_POD_ID: variable('Set by RunPod: id of this worker.', 'a random UUID', text),
  RUNPOD_POD_HOSTNAME: variable(
    'Set by RunPod: host name given in error reports.',
    'unknown',
    text.transform((value) => value ?? 'unknown'),
  ),
  RUNPOD_ENDPOINT_ID: variable('Set by RunPod: id of the endpoint; given in the log.', 'none', text),
  RUNPOD_LOG_LEVEL: variable(
    'Log level: trace, debug, info, warn, error or silent. Prompts and pictures are never logged at any level.',
    'info',
    logLevel.transform((value) => value ?? 'info'),
  ),
  RUNPOD_REPORTED_VERSION: variable(
    'Version told to RunPod in heartbeats as `runpod_version`. What the platform does with it is unknown, so it names the SDK whose protocol the worker speaks.',
    '1.12.0',
    text.transform((value) => value ?? '1.12.0'),
  ),
  COMFY_URL: variable('A running ComfyUI to attach to.', 'none: COMFY_DIR is started', httpUrl),
  COMFY_DIR: variable("ComfyUI's folder (with main.py): the worker starts and stops it.", 'none', text),
  COMFY_PYTHON: variable(
    'Python that starts ComfyUI.',
    'python3',
    text.transform((value) => value ?? 'python3'),
  ),
  COMFY_PORT: variable(
    'Loopback port for the ComfyUI that the worker starts; 0 picks a free one.',
    '8188',
    wholeNumber(8188, { min: 0, max: 65_535 }),
  ),
  COMFY_ARGS: variable(
    'More arguments for that ComfyUI, separated by spaces, or a JSON array of strings.',
    'none',
    text,
  ),
  COMFY_START_TIMEOUT: variable('Seconds that ComfyUI may take to start.', '600', seconds(600, { min: 1, max: 7_200 })),
  COMFY_INPUT_DIR: variable(
    "ComfyUI's input folder, when the worker shares its disk. Without it files travel over HTTP.",
    'none',
    text,
  ),
  COMFY_OUTPUT_DIR: variable("ComfyUI's output folder, likewise.", 'none', text),
  COMFY_TEMP_DIR: variable(
    "ComfyUI's temp folder (the one that holds the files, usually ending in /temp), likewise.",
    'none',
    text,
  ),
  COMFY_EXCLUSIVE: variable(
    '`true`: nobody but this worker uses the ComfyUI at COMFY_URL, so files that nodes leave beside their outputs may be wiped. A ComfyUI that the worker starts is its own.',
    'false',
    choice(['true', 'false'], 'false').transform((value) => value === 'true'),
  ),
  COMFY_RUNPOD_IMAGE: variable(
    'Name of the container image with its tag or digest; told in answers to `describe`. The image sets it.',
    'none',
    text,
  ),
  ENCRYPTION_KEY: variable(
    'Fernet key (32 bytes as URL-safe base64) for callers that send `encrypted_input`.',
    'none: such jobs are refused',
    text,
    true,
  ),
  WORKSPACE_DIR: variable(
    'RAM disk for the input, output and temp folders of the ComfyUI that the worker starts.',
    '/dev/shm/comfy-runpod',
    text.transform((value) => value ?? '/dev/shm/comfy-runpod'),
  ),
  ALLOWED_NODES: variable(
    'Node classes that jobs may use: patterns with `*` and `?`, separated by commas, or a JSON array of strings. All others are refused.',
    'none: all',
    patterns,
  ),
  DENIED_NODES: variable(
    'Node classes that jobs may not use, likewise, even where ALLOWED_NODES has them.',
    'none',
    patterns,
  ),
  STALL_TIMEOUT: variable(
    'Seconds of silence after which a run counts as stalled; a job may set its own.',
    '600',
    seconds(600, { min: 1, max: 604_800 }),
  ),
  RESULT_RETRY_TIMEOUT: variable(
    "Seconds for which the worker offers a result to RunPod before it gives it up or keeps it; the job's own ttl when that is shorter.",
    '86400',
    seconds(86_400, { min: 1, max: 604_800 }),
  ),
  BUCKET_ENDPOINT_URL: variable(
    'S3-compatible bucket for results that do not fit into the answer: https, with the bucket in the host or in the path, or beside BUCKET_NAME.',
    'none',
    secureUrl,
  ),
  BUCKET_ACCESS_KEY_ID: variable('Access key of that bucket.', 'none', text, true),
  BUCKET_SECRET_ACCESS_KEY: variable('Secret key of that bucket.', 'none', text, true),
  BUCKET_NAME: variable('Name of that bucket, when its address does not hold it.', 'none', text),
  RESULT_VOLUME_DIR: variable(
    'Absolute folder on a network volume for results that nothing else carries.',
    '/runpod-volume/comfy-runpod/results, where /runpod-volume exists',
    text,
  ),
  ALLOW_PRIVATE_ADDRESSES: variable(
    "Whether addresses that jobs bring (input files, `put` destinations, `s3Config`) may lead elsewhere than to public hosts: `false`; `loopback` for this machine, http included; `true` for any network that the worker reaches, its cloud's metadata service included. Leave it out where callers are not trusted.",
    'false',
    choice(['false', 'loopback', 'true'], 'false').transform((value) =>
      value === 'loopback' ? value : value === 'true',
    ),
  ),
  DRAIN_TIMEOUT: variable(
    'Seconds that jobs in flight may take after SIGTERM before the worker gives them up with an error report.',
    '3600',
    seconds(3_600, { min: 0, max: 604_800 }),
  ),
  PREFETCH: variable(
    'Whether a next job is taken, staged and queued in ComfyUI while one runs: `1` always, `0` never, `auto` when the recent runs were so short (at most 10 seconds, and 5 % of the time limit) that waiting behind one costs a job little.',
    'auto',
    choice(['auto', '0', '1'], 'auto'),
  ),
  REFRESH_WORKER: variable(
    '`true`: a fresh worker for every job (RunPod is told to recycle this one after its first job).',
    'false',
    choice(['true', 'false'], 'false').transform((value) => value === 'true'),
  ),
  ...bootVariables,
} as const;

type Specs = Readonly<Record<string, VariableSpec>>;

/** Values by variable name. */
export type EnvironmentValues<S extends Specs> = { readonly [K in keyof S]: z.output<S[K]['parse']> };

export type ClientEnvironment = EnvironmentValues<typeof clientVariables>;
export type WorkerEnvironment = EnvironmentValues<typeof workerVariables>;

/**
 * Reads variables from `environment`. Throws `CONFIG_INVALID` that names every malformed one and what is expected, never the value.
 */
export function readEnvironment<S extends Specs>(
  specs: S,
  environment: Readonly<Record<string, string | undefined>>,
): EnvironmentValues<S> {
  const values: Record<string, unknown> = {};
  const issues: { field: string; message: string }[] = [];
  for (const [name, spec] of Object.entries(specs)) {
    const raw = environment[name]?.trim();
    const parsed = spec.parse.safeParse(raw === '' ? undefined : raw);
    if (parsed.success) values[name] = parsed.data;
    else issues.push({ field: name, message: parsed.error.issues[0]?.message ?? 'not valid' });
  }
  if (issues.length > 0) {
    const listed = issues.map((issue) => `${issue.field}: ${issue.message}`).join('; ');
    throw new ComfyRunpodError('CONFIG_INVALID', `Wrong environment: ${listed}.`, { issues });
  }
  return values as EnvironmentValues<S>;
}
