/**
 * The one entrance for job inputs of every dialect: detects the dialect, turns the input into the canonical job (validated by
 * `parseJobInput` whatever the dialect) and gives the responder that answers in the same dialect.
 */
import type { JobInput } from '../job-input.ts';
import { parseJobInput } from '../parse-job-input.ts';
import { type DialectName, detectDialect, dialectNames, isDialectName } from './detect-dialect.ts';
import { fieldRefusal, isRecord, parseJsonField } from './foreign-value.ts';
import { JobDraft } from './job-draft.ts';
import { readAiDock } from './read-ai-dock.ts';
import { readCog } from './read-cog.ts';
import { readComfygen } from './read-comfygen.ts';
import { readDimhara } from './read-dimhara.ts';
import { readSalad } from './read-salad.ts';
import { readWorkerComfyui } from './read-worker-comfyui.ts';
import { createResponder, type Responder } from './responder.ts';

/** What reading may need besides the input. */
export interface DialectOptions {
  /** Text of ENCRYPTION_KEY, for encrypted requests. */
  readonly fernetKey?: string;
  /** Largest age of an encrypted request, seconds. Without it the age is not checked: a job may have queued for a day. */
  readonly fernetTtlSeconds?: number;
  /** Milliseconds since 1970. Default: the system clock. */
  readonly clock?: () => number;
  /** A random whole number from 0 to 2^32 - 1, for dialects that ask for random seeds. Default: WebCrypto. */
  readonly randomSeed?: () => number;
}

/** A job input, understood. */
export interface JobRequest {
  readonly dialect: DialectName;
  readonly job: JobInput;
  /** What was accepted but not done as asked. Also part of the answer's `meta`. */
  readonly warnings: readonly string[];
  /** Answers in the request's dialect. */
  readonly respond: Responder;
}

/**
 * Reads a job input. Throws a coded error (`INPUT_*`, `FILE_*`, `WORKFLOW_*`, `INJECTION_TARGET_MISSING`, `CONFIG_*` for encrypted requests)
 * that names the field as the caller knows it and never repeats a value.
 */
export async function readJobRequest(input: unknown, options: DialectOptions = {}): Promise<JobRequest> {
  const value = typeof input === 'string' ? parseJsonField(input, 'input', 'INPUT_INVALID') : input;
  if (isRecord(value) && typeof value['dialect'] === 'string' && !isDialectName(value['dialect'])) {
    throw fieldRefusal('dialect', `expected one of ${dialectNames.join(', ')}`);
  }
  const dialect = detectDialect(value);
  if (dialect === 'canonical' || !isRecord(value)) {
    return { dialect, job: parseCanonical(value), warnings: [], respond: createResponder(dialect, [], {}) };
  }
  const draft = await readForeign(dialect, value, options);
  const job = draft.finish();
  return { dialect, job, warnings: draft.warnings, respond: createResponder(dialect, draft.warnings, draft.answer) };
}

function parseCanonical(value: unknown): JobInput {
  if (!isRecord(value)) return parseJobInput(value);
  const { dialect: _named, ...job } = value;
  return parseJobInput(job);
}

function readForeign(
  dialect: Exclude<DialectName, 'canonical'>,
  input: Record<string, unknown>,
  options: DialectOptions,
): JobDraft | Promise<JobDraft> {
  const randomSeed = options.randomSeed ?? webCryptoSeed;
  switch (dialect) {
    case 'worker-comfyui':
    case 'worker-comfyui-4':
      return readWorkerComfyui(input);
    case 'dimhara':
      return readDimhara(input, {
        ...(options.fernetKey !== undefined && { key: options.fernetKey }),
        ...(options.fernetTtlSeconds !== undefined && { ttlSeconds: options.fernetTtlSeconds }),
        ...(options.clock !== undefined && { clock: options.clock }),
      });
    case 'comfygen':
      return readComfygen(input);
    case 'cog':
      return readCog(input, randomSeed);
    case 'ai-dock':
      return readAiDock(input, randomSeed);
    case 'salad':
      return readSalad(input);
    case 'raw':
      return readRaw(input);
  }
}

/** The input is the graph itself. A `dialect` key beside the nodes is no node. */
function readRaw(input: Readonly<Record<string, unknown>>): JobDraft {
  const { dialect, ...nodes } = input;
  return new JobDraft(isRecord(dialect) ? input : nodes, '');
}

function webCryptoSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}
