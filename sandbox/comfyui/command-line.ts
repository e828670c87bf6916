// ComfyUI's own command line, as far as a server without models understands it (ComfyUI protocol notes §4.1).
// Invariant: an unknown or invalid argument is a usage error, which main.ts turns into text on stderr and exit code 2.
import path from 'node:path';
import type { CacheMode } from './cache/cache-set.ts';
import type { LogLevel } from './log-book.ts';
import type { ComfyProfile } from './node-definition.ts';

/** The parsed flags. */
export interface ComfyFlags {
  readonly host: string;
  readonly port: number;
  readonly input: string;
  readonly output: string;
  /** The real one, `<--temp-directory>/temp`. */
  readonly temp: string;
  readonly user: string;
  readonly models: string;
  /** Files of `--extra-model-paths-config`. */
  readonly extraModelPaths: readonly string[];
  readonly disableMetadata: boolean;
  readonly cache: CacheMode;
  readonly maxUploadMegabytes: number;
  readonly corsOrigin: string | undefined;
  readonly verbose: LogLevel;
  readonly logToStdout: boolean;
  readonly printServer: boolean;
  /** `--quick-test-for-ci`: start everything, then exit 0. */
  readonly quickTest: boolean;
}

/** The arguments make no sense; `message` is the last line argparse prints. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Arity = 'none' | 'one' | 'optional' | 'many';

const FLAGS: Readonly<Record<string, Arity>> = {
  '--listen': 'optional',
  '--port': 'one',
  '--tls-keyfile': 'one',
  '--tls-certfile': 'one',
  '--enable-cors-header': 'optional',
  '--max-upload-size': 'one',
  '--base-directory': 'one',
  '--extra-model-paths-config': 'many',
  '--output-directory': 'one',
  '--temp-directory': 'one',
  '--input-directory': 'one',
  '--user-directory': 'one',
  '--auto-launch': 'none',
  '--disable-auto-launch': 'none',
  '--cuda-device': 'one',
  '--default-device': 'one',
  '--cuda-malloc': 'none',
  '--disable-cuda-malloc': 'none',
  '--force-fp32': 'none',
  '--force-fp16': 'none',
  '--fp16-vae': 'none',
  '--fp32-vae': 'none',
  '--bf16-vae': 'none',
  '--cpu-vae': 'none',
  '--preview-method': 'one',
  '--preview-size': 'one',
  '--cache-classic': 'none',
  '--cache-lru': 'one',
  '--cache-none': 'none',
  '--use-split-cross-attention': 'none',
  '--use-quad-cross-attention': 'none',
  '--use-pytorch-cross-attention': 'none',
  '--use-sage-attention': 'none',
  '--use-flash-attention': 'none',
  '--disable-xformers': 'none',
  '--gpu-only': 'none',
  '--highvram': 'none',
  '--normalvram': 'none',
  '--lowvram': 'none',
  '--novram': 'none',
  '--cpu': 'none',
  '--reserve-vram': 'one',
  '--async-offload': 'none',
  '--default-hashing-function': 'one',
  '--disable-smart-memory': 'none',
  '--deterministic': 'none',
  '--fast': 'many',
  '--mmap-torch-files': 'none',
  '--disable-mmap': 'none',
  '--dont-print-server': 'none',
  '--quick-test-for-ci': 'none',
  '--windows-standalone-build': 'none',
  '--disable-metadata': 'none',
  '--disable-all-custom-nodes': 'none',
  '--whitelist-custom-nodes': 'many',
  '--disable-api-nodes': 'none',
  '--multi-user': 'none',
  '--verbose': 'optional',
  '--log-stdout': 'none',
  '--front-end-version': 'one',
  '--front-end-root': 'one',
  '--enable-compress-response-body': 'none',
  '--comfy-api-base': 'one',
  '--database-url': 'one',
};

/** Flags only newer versions know. */
const MODERN_FLAGS: Readonly<Record<string, Arity>> = {
  '--models-directory': 'one',
  '--enable-assets': 'none',
  '--disable-assets': 'none',
  '--enable-asset-hashing': 'none',
  '--feature-flag': 'many',
  '--cache-ram': 'many',
  '--high-ram': 'none',
  '--offline': 'none',
  '--disable-partner-nodes': 'none',
  '--enable-manager': 'none',
};

function flagsOf(profile: ComfyProfile): Readonly<Record<string, Arity>> {
  return profile === 'late-2026' ? { ...FLAGS, ...MODERN_FLAGS } : FLAGS;
}

const EXCLUSIVE: readonly (readonly string[])[] = [
  ['--cache-classic', '--cache-lru', '--cache-none'],
  ['--gpu-only', '--highvram', '--normalvram', '--lowvram', '--novram', '--cpu'],
  ['--cuda-malloc', '--disable-cuda-malloc'],
];

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  '--preview-method': ['none', 'auto', 'latent2rgb', 'taesd'],
  '--verbose': ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'],
  '--default-hashing-function': ['md5', 'sha1', 'sha256', 'sha512'],
  '--fast': ['fp16_accumulation', 'fp8_matrix_mult', 'cublas_ops', 'autotune'],
};

/** The first line argparse prints with an error. */
export function usageText(profile: ComfyProfile): string {
  const parts = Object.entries(flagsOf(profile)).map(([flag, arity]) => {
    const value = flag.slice(2).toUpperCase().replaceAll('-', '_');
    if (arity === 'none') return `[${flag}]`;
    return arity === 'one' ? `[${flag} ${value}]` : `[${flag} [${value}${arity === 'many' ? ' ...' : ''}]]`;
  });
  return `usage: main.py [-h] ${parts.join(' ')}`;
}

function takeValues(flag: string, arity: Arity, rest: string[]): string[] {
  if (arity === 'none') return [];
  const values: string[] = [];
  while (rest[0] !== undefined && !rest[0].startsWith('--') && (arity === 'many' || values.length === 0)) {
    values.push(rest.shift() ?? '');
  }
  if (arity === 'one' && values.length === 0) throw new UsageError(`argument ${flag}: expected one argument`);
  const allowed = CHOICES[flag];
  const wrong = values.find((value) => allowed !== undefined && !allowed.includes(value));
  if (wrong !== undefined) {
    const list = allowed?.map((choice) => `'${choice}'`).join(', ');
    throw new UsageError(`argument ${flag}: invalid choice: '${wrong}' (choose from ${list})`);
  }
  return values;
}

function collect(argv: readonly string[], known: Readonly<Record<string, Arity>>): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const rest = [...argv];
  const unknown: string[] = [];
  for (let token = rest.shift(); token !== undefined; token = rest.shift()) {
    const [flag = '', attached] = token.startsWith('--') ? token.split(/=(.*)/s) : [token];
    const arity = known[flag];
    if (arity === undefined) {
      unknown.push(token);
      continue;
    }
    if (attached !== undefined) rest.unshift(attached);
    found.set(flag, takeValues(flag, arity, rest));
  }
  if (unknown.length > 0) throw new UsageError(`unrecognized arguments: ${unknown.join(' ')}`);
  for (const group of EXCLUSIVE) {
    const given = group.filter((flag) => found.has(flag));
    if (given.length > 1) throw new UsageError(`argument ${given[1]}: not allowed with argument ${given[0]}`);
  }
  return found;
}

function numberOf(found: ReadonlyMap<string, string[]>, flag: string, fallback: number, kind: 'int' | 'float'): number {
  const text = found.get(flag)?.[0];
  if (text === undefined) return fallback;
  const value = Number(text);
  const fits = kind === 'int' ? Number.isInteger(value) : Number.isFinite(value);
  if (text.trim() === '' || !fits) throw new UsageError(`argument ${flag}: invalid ${kind} value: '${text}'`);
  return value;
}

function cacheMode(found: ReadonlyMap<string, string[]>): CacheMode {
  const size = numberOf(found, '--cache-lru', 0, 'int');
  if (size > 0) return { kind: 'lru', size };
  return found.has('--cache-none') ? { kind: 'none' } : { kind: 'classic' };
}

/** Parses the arguments. `cwd` stands for ComfyUI's install folder. Throws UsageError. */
export function parseCommandLine(argv: readonly string[], cwd: string, profile: ComfyProfile): ComfyFlags {
  const found = collect(argv, flagsOf(profile));
  const text = (flag: string): string | undefined => found.get(flag)?.[0];
  const base = path.resolve(cwd, text('--base-directory') ?? '.');
  const listen = found.get('--listen');
  const cors = found.get('--enable-cors-header');
  const verbose = found.get('--verbose');
  return {
    host: listen === undefined ? '127.0.0.1' : (listen[0]?.split(',')[0] ?? '0.0.0.0'),
    port: numberOf(found, '--port', 8188, 'int'),
    input: path.resolve(cwd, text('--input-directory') ?? path.join(base, 'input')),
    output: path.resolve(cwd, text('--output-directory') ?? path.join(base, 'output')),
    temp: path.resolve(cwd, text('--temp-directory') ?? base, 'temp'),
    user: path.resolve(cwd, text('--user-directory') ?? path.join(base, 'user')),
    models: path.resolve(cwd, text('--models-directory') ?? path.join(base, 'models')),
    extraModelPaths: (found.get('--extra-model-paths-config') ?? []).map((file) => path.resolve(cwd, file)),
    disableMetadata: found.has('--disable-metadata'),
    cache: cacheMode(found),
    maxUploadMegabytes: numberOf(found, '--max-upload-size', 100, 'float'),
    corsOrigin: cors === undefined ? undefined : (cors[0] ?? '*'),
    verbose: verbose === undefined ? 'INFO' : ((verbose[0] ?? 'DEBUG') as LogLevel),
    logToStdout: found.has('--log-stdout'),
    printServer: !found.has('--dont-print-server'),
    quickTest: found.has('--quick-test-for-ci'),
  };
}
