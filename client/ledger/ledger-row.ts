/** A job in the ledger, as it is read. */
import * as z from 'zod';

/**
 * `sending`: written before the request; a process that died here leaves it uncertain whether RunPod has the job. `not-sent`: RunPod provably
 * does not have it. `uncertain`: nobody knows. `submitted`: RunPod has it, its id is known. `ended`: it succeeded and is not saved yet. `saved`:
 * its files are on disk. `failed` and `cancelled`: ended without a result. `gone`: RunPod has forgotten it before it was saved.
 */
export const ledgerStates = [
  'sending',
  'not-sent',
  'uncertain',
  'submitted',
  'ended',
  'saved',
  'failed',
  'cancelled',
  'gone',
] as const;
export type LedgerState = (typeof ledgerStates)[number];

/** States in which something may still be to be had. */
export const openStates: readonly LedgerState[] = ['sending', 'uncertain', 'submitted', 'ended'];

/** A file that was saved. */
export interface LedgerFile {
  readonly path: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** One job. Times are milliseconds since 1970, durations milliseconds, cost US dollars. */
export interface LedgerRow {
  /** Idempotency key: unique, and part of the job's payload. */
  readonly key: string;
  readonly state: LedgerState;
  readonly jobId?: string;
  /** Address and id of the endpoint: `https://api.runpod.ai/v2/abc123`. */
  readonly endpoint: string;
  readonly profile?: string;
  /** Command that submitted it: `run`, `submit`, `batch`, or the name of a program. */
  readonly command: string;
  /** sha256 of the workflow as it was sent. */
  readonly workflowHash: string;
  /** sha256 over the hashes of the files that went with it and the options that change the result. */
  readonly inputHash: string;
  /** Absolute folder that its files go to. */
  readonly outFolder?: string;
  readonly batch?: string;
  readonly item?: string;
  /** Chosen seeds by `NODE.input`. */
  readonly seeds: Readonly<Record<string, number>>;
  readonly files: readonly LedgerFile[];
  /** The worker's receipt. */
  readonly receipt?: unknown;
  readonly executionMs?: number;
  readonly delayMs?: number;
  readonly cost?: number;
  /** Error code of a job that failed. */
  readonly code?: string;
  /** Process that works on it, on this machine. */
  readonly processId?: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

const seedsSchema = z.record(z.string(), z.number()).catch({});
const filesSchema = z.array(z.object({ path: z.string(), sha256: z.string(), size: z.number() })).catch([]);

/** A row of the table as a {@link LedgerRow}. */
export function readLedgerRow(row: Readonly<Record<string, unknown>>): LedgerRow {
  const text = (name: string) => (typeof row[name] === 'string' ? row[name] : undefined);
  const number = (name: string) => (typeof row[name] === 'number' ? row[name] : undefined);
  const optional: Record<string, unknown> = {
    jobId: text('job_id'),
    profile: text('profile'),
    outFolder: text('out_folder'),
    batch: text('batch'),
    item: text('item'),
    receipt: parsed(text('receipt')),
    executionMs: number('execution_ms'),
    delayMs: number('delay_ms'),
    cost: number('cost'),
    code: text('code'),
    processId: number('process_id'),
  };
  return {
    key: text('key') ?? '',
    state: z.enum(ledgerStates).catch('uncertain').parse(row['state']),
    endpoint: text('endpoint') ?? '',
    command: text('command') ?? '',
    workflowHash: text('workflow_hash') ?? '',
    inputHash: text('input_hash') ?? '',
    seeds: seedsSchema.parse(parsed(text('seeds'))),
    files: filesSchema.parse(parsed(text('files'))),
    createdAt: number('created_at') ?? 0,
    updatedAt: number('updated_at') ?? 0,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
