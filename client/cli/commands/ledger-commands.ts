/** What the ledger is asked: jobs, fetch, resume, cost. */
import { resolve } from 'node:path';
import {
  ComfyRunpodError,
  exitCodes,
  isComfyRunpodError,
  isTerminalStatus,
  toComfyRunpodError,
} from '../../../shared/index.ts';
import { isIntact } from '../../files/is-intact.ts';
import type { JobHandle } from '../../job-handle.ts';
import type { JobResult } from '../../job-result.ts';
import { doubtMs, type Ledger } from '../../ledger/ledger.ts';
import { type LedgerRow, type LedgerState, ledgerStates, openStates } from '../../ledger/ledger-row.ts';
import { namedAsSent } from '../../saving/named-by-item.ts';
import { isFetchable, saveArtifacts } from '../../saving/save-artifacts.ts';
import type { CommandContext } from '../command-context.ts';
import { LedgerEndpoints } from '../ledger-endpoints.ts';
import { endpointAddress } from '../open-configured.ts';
import { errorDocument } from '../render/error-text.ts';
import { shownPath } from '../render/result-text.ts';
import { oneLine } from '../terminal-text.ts';

/** Flags of `jobs`. */
export interface JobsFlags {
  readonly state?: string;
  readonly limit: string;
}

/** Jobs that are resumed at once. */
const resumedAtOnce = 4;

async function openLedger(context: CommandContext): Promise<Ledger> {
  const { ledger } = await context.book();
  if (ledger !== undefined) return ledger;
  throw new ComfyRunpodError('LEDGER_UNUSABLE', 'There is no ledger to read.');
}

/** `jobs`: the latest first. */
export async function jobsCommand(flags: JobsFlags, context: CommandContext): Promise<number> {
  const ledger = await openLedger(context);
  const states = flags.state?.split(',').map((state) => {
    if (!ledgerStates.includes(state as LedgerState)) {
      throw new ComfyRunpodError('USAGE', `--state takes ${ledgerStates.join(', ')}.`);
    }
    return state as LedgerState;
  });
  const limit = Number(flags.limit);
  if (!Number.isInteger(limit) || limit < 1) throw new ComfyRunpodError('USAGE', '--limit takes a whole number.');
  const rows = ledger.list({ limit, ...(states && { states }) });
  const lines = rows.map((row) => {
    const when = new Date(row.createdAt).toISOString().slice(0, 19).replace('T', ' ');
    const facts = [
      when,
      row.state.padEnd(9),
      row.jobId ?? `(no id) ${row.key}`,
      row.profile ?? row.endpoint.split('/').at(-1),
      row.executionMs === undefined ? undefined : `${(row.executionMs / 1_000).toFixed(1)} s`,
      row.cost === undefined ? undefined : `$${row.cost.toFixed(5)}`,
      row.code,
      row.files[0] && shownPath(row.files[0].path, context.io.folder),
      row.files.length > 1 ? `and ${row.files.length - 1} more` : undefined,
    ];
    return `${oneLine(facts.filter((fact) => fact !== undefined).join('  '), 400)}\n`;
  });
  context.print(lines.join('') || 'no jobs yet\n', { ok: true, jobs: rows });
  return exitCodes.success;
}

/**
 * `fetch ID`: the result again, from RunPod while it keeps it; else (also where its endpoint is not configured any more) the files that were saved,
 * checked by their hashes.
 */
export async function fetchCommand(
  id: string,
  flags: { readonly out?: string },
  context: CommandContext,
): Promise<number> {
  const book = await context.book();
  const row = book.ledger?.byJobId(id) ?? book.ledger?.row(id);
  await using endpoints = await LedgerEndpoints.open(context);
  try {
    const result = await endedResult(endpoints.client(endpointOf(row, context)).job(row?.jobId ?? id));
    const folder = resolve(context.io.folder, flags.out ?? row?.outFolder ?? 'results');
    const files = await saveArtifacts(namedAsSent(result.envelope.artifacts, row), { folder });
    if (row?.jobId !== undefined) book.known(row.jobId).saved(files);
    const paths = files.map(({ path }) => path);
    context.print(paths.map((path) => `${shownPath(path, context.io.folder)}\n`).join(''), {
      ok: true,
      jobId: result.jobId,
      files: paths.map((path) => ({ path })),
    });
    return exitCodes.success;
  } catch (error) {
    const unreachable =
      isComfyRunpodError(error) && (error.code === 'JOB_NOT_FOUND' || error.code === 'CONFIG_MISSING');
    if (!unreachable || !row || row.files.length === 0) throw error;
    const why = error.code === 'JOB_NOT_FOUND' ? 'RunPod has forgotten the job' : 'Its endpoint is not configured here';
    return await fromDisk(row, why, context);
  }
}

/** The endpoint that the ledger names; for a job that it does not know, the one that is configured. */
function endpointOf(row: LedgerRow | undefined, context: CommandContext): string {
  if (row !== undefined && row.jobId === undefined) {
    throw new ComfyRunpodError('JOB_NOT_FOUND', 'RunPod never told an id for this job.', {
      nextStep: 'Run the same command again: it is sent under the same key, and no worker renders one key twice.',
    });
  }
  if (row !== undefined) return row.endpoint;
  const config = context.config();
  if (config.kind === 'runpod') return endpointAddress(config.options);
  throw new ComfyRunpodError('JOB_NOT_FOUND', 'The ledger does not know this job, and no endpoint is configured.');
}

/** The result of a job that has succeeded. Throws its error, or `USAGE` for one that goes on: that is followed by `wait`. */
async function endedResult(job: JobHandle): Promise<Extract<JobResult, { kind: 'succeeded' }>> {
  const { id, status } = await job.status();
  if (!isTerminalStatus(status)) {
    throw new ComfyRunpodError('USAGE', `The job is ${oneLine(status, 40)}.`, {
      nextStep: `\`comfy-runpod wait ${id}\` follows it to its end.`,
    });
  }
  const result = await job.wait();
  if (result.kind !== 'succeeded') throw result.error;
  return result;
}

/** The result can't be had from RunPod: says where its files are, if they are what they were. */
async function fromDisk(row: LedgerRow, why: string, context: CommandContext): Promise<number> {
  const found = await Promise.all(row.files.map(async (file) => ({ ...file, intact: await isIntact(file) })));
  const lost = found.filter(({ intact }) => !intact);
  if (lost.length > 0) {
    throw new ComfyRunpodError('JOB_NOT_FOUND', `${why}, and files of it were moved or changed.`, {
      issues: lost.map(({ path }) => ({ field: path, message: 'is not what was saved' })),
      nextStep: 'Run the workflow again.',
    });
  }
  context.note(`${why}; these are the files that were saved.`);
  context.print(found.map(({ path }) => `${shownPath(path, context.io.folder)}\n`).join(''), {
    ok: true,
    jobId: row.jobId,
    files: found.map(({ path }) => ({ path })),
  });
  return exitCodes.success;
}

/** How one unfinished job was brought to its end. */
interface Resumed {
  readonly row: LedgerRow;
  readonly text: string;
  readonly state: LedgerState | 'busy';
  readonly files: readonly string[];
  readonly error?: ComfyRunpodError;
}

/** `resume`: every unfinished job of the ledger is followed to its end, saved and closed. Ctrl-C leaves the rest as it is. */
export async function resumeCommand(flags: { readonly out: string }, context: CommandContext): Promise<number> {
  const ledger = await openLedger(context);
  const rows = ledger.list({ states: openStates, limit: 10_000 }).toReversed();
  await using endpoints = await LedgerEndpoints.open(context);
  const leave = new AbortController();
  const unsubscribe = context.io.onInterrupt(() => leave.abort(new ComfyRunpodError('JOB_CANCELLED', 'Left.')));
  const startedAt = Date.now();
  const resumed: Resumed[] = [];
  const queue = rows.values();
  const lane = async () => {
    for (const row of queue) {
      if (leave.signal.aborted) return;
      const one = await resumeOne(row, { ledger, endpoints, flags, context, startedAt, signal: leave.signal });
      resumed.push(one);
      context.note(one.text);
    }
  };
  try {
    await Promise.all(Array.from({ length: resumedAtOnce }, lane));
  } finally {
    unsubscribe();
  }
  const files = resumed.flatMap((one) => one.files);
  context.print(files.map((path) => `${shownPath(path, context.io.folder)}\n`).join(''), {
    ok: !leave.signal.aborted,
    jobs: resumed.map(({ row, state, files: saved, error }) => ({
      key: row.key,
      jobId: row.jobId,
      state,
      files: saved.map((path) => ({ path })),
      ...(error && { error: errorDocument(error) }),
    })),
  });
  if (rows.length === 0) context.note('Nothing is unfinished.');
  if (leave.signal.aborted) return exitCodes.interrupted;
  const failed = resumed.find((one) => one.error);
  return failed?.error?.policy.exitCode ?? exitCodes.success;
}

interface Resuming {
  readonly ledger: Ledger;
  readonly endpoints: LedgerEndpoints;
  readonly flags: { readonly out: string };
  readonly context: CommandContext;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly signal: AbortSignal;
}

async function resumeOne(
  row: LedgerRow,
  { ledger, endpoints, flags, context, startedAt, signal }: Resuming,
): Promise<Resumed> {
  const name = row.jobId ?? row.key;
  const still = (text: string, error?: ComfyRunpodError): Resumed => ({
    row,
    state: row.state,
    files: [],
    text: `${name}: ${text}`,
    ...(error && { error }),
  });
  if (!ledger.claim(row.key)) return { ...still('another process works on it'), state: 'busy' };
  try {
    if (row.jobId === undefined) {
      if (Date.now() - row.createdAt > doubtMs) {
        ledger.closed(row.key, 'gone', 'SUBMIT_UNCERTAIN');
        return { ...still('whether RunPod had it was never known; by now it has forgotten it'), state: 'gone' };
      }
      if (row.state !== 'uncertain') ledger.uncertain(row.key);
      return still(
        'nobody knows whether RunPod has it. Run the same command again: it is sent under the same key, and a worker that has rendered it answers with that result.',
        new ComfyRunpodError('SUBMIT_UNCERTAIN', 'The process ended while the job was being sent.', {
          nextStep: 'Run the same command again: it is sent under the same key, and no worker renders one key twice.',
        }),
      );
    }
    const job = endpoints.client(row.endpoint).job(row.jobId);
    const result = await job.wait({ signal });
    const record = (await context.book()).known(row.jobId);
    record.ended(result, endpoints.priceOf(row.endpoint));
    if (result.kind !== 'succeeded') {
      const state = result.kind === 'cancelled' ? 'cancelled' : 'failed';
      return { ...still(`${state} (${result.error.code})`, result.error), state };
    }
    const folder = row.outFolder ?? resolve(context.io.folder, flags.out);
    const artifacts = namedAsSent(result.envelope.artifacts.filter(isFetchable), row);
    const files = await saveArtifacts(artifacts, {
      folder,
      signal,
      again: { before: startedAt, taken: ledger.savedPaths() },
    });
    record.saved(files);
    const paths = files.map(({ path }) => path);
    return {
      row,
      state: 'saved',
      files: paths,
      text: `${name}: saved ${paths.length} ${paths.length === 1 ? 'file' : 'files'}`,
    };
  } catch (error) {
    const failure = toComfyRunpodError(error);
    if (signal.aborted) return still('left as it is');
    if (failure.code === 'JOB_NOT_FOUND') {
      ledger.closed(row.key, 'gone', failure.code);
      return { ...still('RunPod has forgotten it', failure), state: 'gone' };
    }
    return still(`${failure.code}: ${failure.message}`, failure);
  } finally {
    ledger.release(row.key);
  }
}

/** Flags of `cost`. */
export interface CostFlags {
  readonly by: 'day' | 'endpoint' | 'workflow';
  readonly days: string;
}

/** `cost`: what jobs took and cost, summed up. Jobs of endpoints without a price count with their time only. */
export async function costCommand(flags: CostFlags, context: CommandContext): Promise<number> {
  const days = Number(flags.days);
  if (!(days > 0)) throw new ComfyRunpodError('USAGE', '--days takes a number of days.');
  const ledger = await openLedger(context);
  const rows = ledger.list({ since: Date.now() - days * 86_400_000, limit: 1_000_000 });
  const sums = new Map<string, { jobs: number; seconds: number; cost: number; unpriced: number }>();
  for (const row of rows.filter(({ executionMs }) => executionMs !== undefined)) {
    const sum = sums.get(groupOf(row, flags.by)) ?? { jobs: 0, seconds: 0, cost: 0, unpriced: 0 };
    sum.jobs += 1;
    sum.seconds += (row.executionMs ?? 0) / 1_000;
    sum.cost += row.cost ?? 0;
    sum.unpriced += row.cost === undefined ? 1 : 0;
    sums.set(groupOf(row, flags.by), sum);
  }
  const groups = [...sums].map(([group, sum]) => ({ group, ...sum })).toSorted((a, b) => (a.group < b.group ? -1 : 1));
  const total = groups.reduce((sum, { cost }) => sum + cost, 0);
  const lines = groups.map(({ group, jobs, seconds, cost, unpriced }) => {
    const missing = unpriced === 0 ? '' : `  (${unpriced} without a price)`;
    return `${group.padEnd(32)} ${String(jobs).padStart(5)} jobs ${seconds.toFixed(1).padStart(9)} s  $${cost.toFixed(4)}${missing}\n`;
  });
  context.print(`${lines.join('')}total $${total.toFixed(4)}\n`, { ok: true, groups, total });
  return exitCodes.success;
}

function groupOf(row: LedgerRow, by: CostFlags['by']): string {
  if (by === 'day') return new Date(row.createdAt).toISOString().slice(0, 10);
  if (by === 'workflow') return row.workflowHash.slice(0, 16);
  return row.profile ?? row.endpoint.split('/').at(-1) ?? row.endpoint;
}
