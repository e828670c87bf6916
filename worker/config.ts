/**
 * The worker's configuration: environment variables become one typed value, once. The only place of worker/ that knows their names. What each
 * means and its default: shared/environment.ts.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { isAbsolute } from 'node:path';
import {
  ComfyRunpodError,
  packageVersion,
  readEnvironment,
  type WorkerEnvironment,
  workerVariables,
} from '../shared/core.ts';
import { type BootConfig, readBootConfig } from './boot-config.ts';
import type { AllowPrivate } from './net/index.ts';
import { type Bucket, describeBucket } from './outputs/delivery/bucket.ts';
import type { PrefetchMode } from './prefetch-policy.ts';
import { fillTemplate, type RunpodConfig } from './runpod/index.ts';

/** Environment variables as text. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** ComfyUI's folders as the worker sees them. */
export interface ComfyDirectories {
  readonly input: string;
  readonly output: string;
  /** The folder that holds the files, usually ending in `/temp`. */
  readonly temp: string;
}

/** Where ComfyUI comes from. */
export type ComfyConfig =
  /** Runs already. Without `directories` files travel over HTTP. */
  | {
      readonly kind: 'attach';
      readonly url: string;
      readonly directories?: ComfyDirectories;
      /** Nobody else uses it: files that nodes leave beside their outputs may be wiped. */
      readonly exclusive: boolean;
      /** How long ComfyUI may take to answer for the first time. */
      readonly startTimeoutMs: number;
    }
  /** Started, watched and stopped by the worker. */
  | {
      readonly kind: 'start';
      readonly dir: string;
      readonly python: string;
      /** 0: a free one. */
      readonly port: number;
      readonly args: readonly string[];
      /** Environment of the process, without RunPod's variables: custom nodes run in it. */
      readonly environment: Readonly<Record<string, string>>;
      readonly startTimeoutMs: number;
      readonly workspaceDir: string;
    };

/** The whole configuration. */
export interface WorkerConfig {
  /** Absent where RunPod's variables are: see {@link explainMissing}. */
  readonly runpod?: RunpodConfig;
  readonly comfy: ComfyConfig;
  /** How it starts. */
  readonly boot: BootConfig;
  readonly concurrency: number;
  readonly prefetch: PrefetchMode;
  readonly refreshWorker: boolean;
  readonly drainTimeoutMs: number;
  readonly stallTimeoutMs: number;
  /** Patterns of node classes that jobs may and may not use. */
  readonly nodes: { readonly allowed?: readonly string[]; readonly denied?: readonly string[] };
  /** Fernet key of encrypted requests. */
  readonly encryptionKey?: string;
  /** Name of the container image. */
  readonly image?: string;
  readonly results: ResultPlaces;
  /** Which addresses that jobs bring (inputs, destinations) may be used besides public ones. */
  readonly allowPrivate: AllowPrivate;
  readonly log: LogConfig;
  /** What is odd but no reason to fail; logged at start. */
  readonly warnings: readonly string[];
}

/** Where results go that RunPod's answer doesn't carry. */
export interface ResultPlaces {
  readonly bucket?: Bucket;
  /** Absolute. */
  readonly volumeDir?: string;
}

/** How the worker logs. */
export interface LogConfig {
  readonly level: WorkerEnvironment['RUNPOD_LOG_LEVEL'];
  readonly format: 'json' | 'text';
  readonly secrets: readonly string[];
}

/** Where the local API listens. */
export interface LocalApiAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Where SERVE_API_LOCALLY wants RunPod's API, or undefined. Throws `CONFIG_INVALID` for wrong values, and where RunPod's own variables say that
 * this is no test.
 */
export function readLocalApi(environment: Environment): LocalApiAddress | undefined {
  const { SERVE_API_LOCALLY, LOCAL_API_HOST, LOCAL_API_PORT } = workerVariables;
  const values = readEnvironment({ SERVE_API_LOCALLY, LOCAL_API_HOST, LOCAL_API_PORT }, environment);
  if (!values.SERVE_API_LOCALLY) return undefined;
  if (isSet(environment['RUNPOD_WEBHOOK_GET_JOB'])) {
    throw invalid(['SERVE_API_LOCALLY'], 'not inside RunPod Serverless, whose variables are set');
  }
  return { host: values.LOCAL_API_HOST, port: values.LOCAL_API_PORT };
}

/** True when no jobs are to be taken: then nothing of RunPod's is needed. Never throws. */
export function isInteractive(environment: Environment): boolean {
  return environment['MODE']?.trim().toLowerCase() === 'interactive';
}

const requiredByRunpod = ['RUNPOD_WEBHOOK_GET_JOB', 'RUNPOD_WEBHOOK_POST_OUTPUT'] as const;

/**
 * The error that tells what is missing to speak to RunPod, or undefined when nothing is. These variables are set by the platform, so the
 * next step is not to set them by hand.
 */
export function explainMissing(environment: Environment): ComfyRunpodError | undefined {
  const missing = requiredByRunpod.filter((name) => !isSet(environment[name]));
  if (missing.length === 0) return undefined;
  return new ComfyRunpodError(
    'CONFIG_MISSING',
    `The worker runs inside a RunPod Serverless container, where the platform sets ${missing.join(' and ')}; here ${
      missing.length > 1 ? 'they are' : 'it is'
    } not set.`,
    {
      issues: missing.map((field) => ({ field, message: 'not set' })),
      nextStep: 'On this machine run `comfy-runpod dev`: it starts a worker against a local stand-in for RunPod.',
    },
  );
}

/** Never logged, and not given to ComfyUI: custom nodes run in it. */
const secretVariables: ReadonlySet<string> = new Set([
  'RUNPOD_AI_API_KEY',
  'ENCRYPTION_KEY',
  'HF_TOKEN',
  'BUCKET_ACCESS_KEY_ID',
  'BUCKET_SECRET_ACCESS_KEY',
]);

/** Reads the log settings alone; never throws, so that whatever else is wrong can be logged. */
export function readLogConfig(environment: Environment): LogConfig {
  const level = workerVariables.RUNPOD_LOG_LEVEL.parse.safeParse(environment['RUNPOD_LOG_LEVEL']?.trim() || undefined);
  const secrets = [...secretVariables].map((name) => environment[name]?.trim() ?? '');
  return {
    level: level.success ? level.data : 'info',
    format: isSet(environment['RUNPOD_ENDPOINT_ID']) ? 'json' : 'text',
    secrets: secrets.filter((secret) => secret !== ''),
  };
}

/** Reads the configuration. Throws `CONFIG_INVALID` or `CONFIG_MISSING` with the names of the variables and never their values. */
export function readWorkerConfig(environment: Environment): WorkerConfig {
  const { readable, warnings } = forgiveLogLevel(environment);
  const values = readEnvironment(workerVariables, readable);
  const runpod = readRunpod(values, environment);
  return {
    ...(runpod !== undefined && { runpod }),
    comfy: readComfy(values, environment),
    boot: readBootConfig(values),
    concurrency: 1,
    prefetch: values.PREFETCH,
    refreshWorker: values.REFRESH_WORKER,
    drainTimeoutMs: values.DRAIN_TIMEOUT,
    stallTimeoutMs: values.STALL_TIMEOUT,
    nodes: {
      ...(values.ALLOWED_NODES !== undefined && { allowed: values.ALLOWED_NODES }),
      ...(values.DENIED_NODES !== undefined && { denied: values.DENIED_NODES }),
    },
    ...(values.ENCRYPTION_KEY !== undefined && { encryptionKey: values.ENCRYPTION_KEY }),
    ...(values.COMFY_RUNPOD_IMAGE !== undefined && { image: values.COMFY_RUNPOD_IMAGE }),
    results: readResultPlaces(values),
    allowPrivate: values.ALLOW_PRIVATE_ADDRESSES,
    log: readLogConfig(environment),
    warnings,
  };
}

const networkVolume = '/runpod-volume';

function readResultPlaces(values: WorkerEnvironment): ResultPlaces {
  const bucket = readBucket(values);
  const given = values.RESULT_VOLUME_DIR;
  if (given !== undefined && !isAbsolute(given)) throw invalid(['RESULT_VOLUME_DIR'], 'must be an absolute path');
  const attached = existsSync(networkVolume) ? `${networkVolume}/comfy-runpod/results` : undefined;
  const volumeDir = given ?? attached;
  return { ...(bucket && { bucket }), ...(volumeDir !== undefined && { volumeDir }) };
}

const bucketVariables = ['BUCKET_ENDPOINT_URL', 'BUCKET_ACCESS_KEY_ID', 'BUCKET_SECRET_ACCESS_KEY'] as const;

function readBucket(values: WorkerEnvironment): Bucket | undefined {
  const missing = bucketVariables.filter((name) => values[name] === undefined);
  if (missing.length === bucketVariables.length) return undefined;
  const { BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY, BUCKET_NAME } = values;
  if (!BUCKET_ENDPOINT_URL || !BUCKET_ACCESS_KEY_ID || !BUCKET_SECRET_ACCESS_KEY) {
    throw invalid(missing, 'needed with the other BUCKET_ variables');
  }
  const bucket = describeBucket({
    endpointUrl: BUCKET_ENDPOINT_URL,
    accessKeyId: BUCKET_ACCESS_KEY_ID,
    secretAccessKey: BUCKET_SECRET_ACCESS_KEY,
    ...(BUCKET_NAME !== undefined && { name: BUCKET_NAME }),
  });
  if (!bucket)
    throw invalid(['BUCKET_NAME'], 'needed because BUCKET_ENDPOINT_URL does not hold the name of the bucket');
  return bucket;
}

/** A misspelt log level is no reason to let a container crash in a loop: it warns and counts as unset. */
function forgiveLogLevel(environment: Environment): { readable: Environment; warnings: string[] } {
  const text = environment['RUNPOD_LOG_LEVEL']?.trim();
  if (!text || workerVariables.RUNPOD_LOG_LEVEL.parse.safeParse(text).success) {
    return { readable: environment, warnings: [] };
  }
  return {
    readable: { ...environment, RUNPOD_LOG_LEVEL: undefined },
    warnings: ['RUNPOD_LOG_LEVEL is not a known level; using info. Known: trace, debug, info, warn, error, silent.'],
  };
}

function readRunpod(values: WorkerEnvironment, environment: Environment): RunpodConfig | undefined {
  const take = values.RUNPOD_WEBHOOK_GET_JOB;
  const done = values.RUNPOD_WEBHOOK_POST_OUTPUT;
  if (take === undefined || done === undefined) return undefined;
  const template = (name: string, text: string) => readTemplate(name, text, environment);
  const podId = values.RUNPOD_POD_ID;
  const ping = values.RUNPOD_WEBHOOK_PING;
  const stream = values.RUNPOD_WEBHOOK_POST_STREAM;
  return {
    takeTemplate: template('RUNPOD_WEBHOOK_GET_JOB', take),
    doneTemplate: template('RUNPOD_WEBHOOK_POST_OUTPUT', done),
    ...(stream !== undefined && { streamTemplate: template('RUNPOD_WEBHOOK_POST_STREAM', stream) }),
    ...(ping !== undefined && { pingTemplate: template('RUNPOD_WEBHOOK_PING', ping) }),
    ...(values.RUNPOD_AI_API_KEY !== undefined && { apiKey: values.RUNPOD_AI_API_KEY }),
    // Made once, used in every address (RunPod protocol notes §5 statement 4).
    workerId: podId ?? randomUUID(),
    ...(podId !== undefined && { podId }),
    hostname: values.RUNPOD_POD_HOSTNAME,
    pingIntervalMs: values.RUNPOD_PING_INTERVAL,
    timings: { resultHorizonMs: values.RESULT_RETRY_TIMEOUT },
    reportedVersion: values.RUNPOD_REPORTED_VERSION,
    userAgent: `comfy-runpod/${packageVersion} (${process.platform} ${release()}; ${process.arch}) Language/Node ${process.versions.node}`,
  };
}

/** Placeholders that are filled later, per worker or per job. */
const laterPlaceholders = ['ID', 'RUNPOD_POD_ID'];

/** Fills placeholders such as `$RUNPOD_GPU_TYPE_ID` from RunPod's own variables (RunPod protocol notes §2.3); a key never enters an address. */
function readTemplate(name: string, text: string, environment: Environment): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ComfyRunpodError('CONFIG_INVALID', `Wrong environment: ${name}: not an http or https address.`, {
      issues: [{ field: name, message: 'not an http or https address' }],
    });
  }
  const allowed = Object.entries(environment).filter(
    ([key]) => key.startsWith('RUNPOD_') && !/KEY|SECRET|TOKEN/.test(key) && !laterPlaceholders.includes(key),
  );
  return fillTemplate(text, Object.fromEntries(allowed.map(([key, value]) => [key, encodePlaceholder(value)])));
}

function encodePlaceholder(value: string | undefined): string | undefined {
  return value === undefined ? undefined : encodeURIComponent(value).replaceAll('%20', '+');
}

function readComfy(values: WorkerEnvironment, environment: Environment): ComfyConfig {
  const directories = readDirectories(values);
  const startTimeoutMs = values.COMFY_START_TIMEOUT;
  if (values.COMFY_URL !== undefined) {
    const { COMFY_URL: url } = values;
    const exclusive = values.COMFY_EXCLUSIVE;
    return { kind: 'attach', url, exclusive, startTimeoutMs, ...(directories !== undefined && { directories }) };
  }
  if (values.COMFY_DIR === undefined) {
    throw new ComfyRunpodError('CONFIG_MISSING', 'The worker has no ComfyUI: neither COMFY_URL nor COMFY_DIR is set.', {
      issues: ['COMFY_URL', 'COMFY_DIR'].map((field) => ({ field, message: 'not set' })),
      nextStep: 'Set COMFY_DIR to a ComfyUI folder that the worker starts, or COMFY_URL to one that runs already.',
    });
  }
  return {
    kind: 'start',
    dir: values.COMFY_DIR,
    python: values.COMFY_PYTHON,
    port: values.COMFY_PORT,
    args: readArguments(values.COMFY_ARGS),
    environment: comfyEnvironment(environment),
    startTimeoutMs,
    workspaceDir: values.WORKSPACE_DIR,
  };
}

/** RunPod's variables hold the worker's key and the addresses of its routes; whoever has them can take jobs and post results. */
function comfyEnvironment(environment: Environment): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !name.startsWith('RUNPOD_') && !secretVariables.has(name)) kept[name] = value;
  }
  return kept;
}

const directoryVariables = ['COMFY_INPUT_DIR', 'COMFY_OUTPUT_DIR', 'COMFY_TEMP_DIR'] as const;

function readDirectories(values: WorkerEnvironment): ComfyDirectories | undefined {
  const given = directoryVariables.filter((name) => values[name] !== undefined);
  if (given.length === 0) return undefined;
  const { COMFY_INPUT_DIR: input, COMFY_OUTPUT_DIR: output, COMFY_TEMP_DIR: temp } = values;
  if (input === undefined || output === undefined || temp === undefined) {
    const missing = directoryVariables.filter((name) => values[name] === undefined);
    throw invalid(missing, `needed because ${given.join(' and ')} ${given.length > 1 ? 'are' : 'is'} set`);
  }
  const relative = directoryVariables.filter((name) => !isAbsolute(values[name] ?? ''));
  if (relative.length > 0) throw invalid(relative, 'must be an absolute path');
  return { input, output, temp };
}

/** Splits COMFY_ARGS: a JSON array of strings, or words separated by white space. */
function readArguments(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  if (!text.startsWith('[')) return text.split(/\s+/).filter((word) => word !== '');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(['COMFY_ARGS'], 'begins with "[" but is not a JSON array');
  }
  if (!Array.isArray(value) || !value.every((item): item is string => typeof item === 'string')) {
    throw invalid(['COMFY_ARGS'], 'must be a JSON array of strings');
  }
  return value;
}

function invalid(fields: readonly string[], message: string): ComfyRunpodError {
  const listed = fields.map((field) => `${field}: ${message}`).join('; ');
  return new ComfyRunpodError('CONFIG_INVALID', `Wrong environment: ${listed}.`, {
    issues: fields.map((field) => ({ field, message })),
  });
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value.trim() !== '';
}
