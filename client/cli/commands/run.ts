/** `run`: from a workflow file to files on disk, wherever the job runs. */
import { basename, resolve } from 'node:path';
import { ComfyRunpodError, exitCodes, isComfyRunpodError } from '../../../shared/index.ts';
import { copyEarlier } from '../../ledger/earlier-result.ts';
import type { LedgerRow } from '../../ledger/ledger-row.ts';
import type { CommandContext } from '../command-context.ts';
import { followToEnd } from '../follow-to-end.ts';
import type { PresentFlags } from '../present-files.ts';
import { shownPath } from '../render/result-text.ts';
import { type ComfyFolders, openTarget, type Target } from '../target.ts';
import { parseNeeds } from './profiles.ts';
import type { SubmitFlags } from './submit-flags.ts';
import { submitInterruptibly } from './submit-interruptibly.ts';

/** Parsed flags of `run`. */
export interface RunFlags extends SubmitFlags, PresentFlags {
  readonly out: string;
  readonly sandbox?: boolean;
  readonly comfyUrl?: string;
  readonly comfyInputDir?: string;
  readonly comfyOutputDir?: string;
  readonly comfyTempDir?: string;
}

/** Folders named by flags, as absolute paths. */
export function comfyFolders(
  flags: Pick<RunFlags, 'comfyInputDir' | 'comfyOutputDir' | 'comfyTempDir'>,
  folder: string,
): ComfyFolders {
  const { comfyInputDir, comfyOutputDir, comfyTempDir } = flags;
  return {
    ...(comfyInputDir !== undefined && { input: resolve(folder, comfyInputDir) }),
    ...(comfyOutputDir !== undefined && { output: resolve(folder, comfyOutputDir) }),
    ...(comfyTempDir !== undefined && { temp: resolve(folder, comfyTempDir) }),
  };
}

/** Runs one workflow. Answers with the exit code. */
export async function runCommand(workflow: string, flags: RunFlags, context: CommandContext): Promise<number> {
  const { sandbox, comfyUrl } = flags;
  if (flags.dryRun) return (await import('./dry-run.ts')).dryRun(workflow, flags, context);
  const target = await openTarget(
    {
      folders: comfyFolders(flags, context.io.folder),
      facts: { command: 'run', outFolder: resolve(context.io.folder, flags.out) },
      ...(sandbox && { sandbox }),
      ...(comfyUrl !== undefined && { comfyUrl }),
      ...(flags.needs !== undefined && { needs: parseNeeds(flags.needs) }),
    },
    context,
  );
  try {
    return await runOn(target, workflow, flags, context);
  } finally {
    await target.close();
  }
}

/** Runs one workflow on an opened target. */
export async function runOn(
  target: Target,
  workflow: string,
  flags: SubmitFlags & PresentFlags & { readonly out: string },
  context: CommandContext,
): Promise<number> {
  const explain = (error: unknown) =>
    target.kind === 'sandbox' && isComfyRunpodError(error) ? explainSandbox(error) : error;
  const submitted = await submitInterruptibly(workflow, { ...flags, waits: true }, target, context).catch(
    (error: unknown) => {
      throw explain(error);
    },
  );
  if (submitted === 'left') return exitCodes.interrupted;
  if ('earlier' in submitted) return reuseEarlier(submitted.earlier, flags, context);
  const { job, interrupted, seeds } = submitted;
  if (!context.json) context.note(`job       ${job.id}`);
  return followToEnd(
    job,
    {
      folder: resolve(context.io.folder, flags.out),
      cancelOnInterrupt: true,
      alreadyInterrupted: interrupted,
      present: flags,
      seeds,
      book: target.book,
      priceOf: target.priceOf,
      ...(target.kind === 'runpod' && { health: (signal) => target.client.health({ signal }) }),
      explain: (error) => (target.kind === 'sandbox' ? explainSandbox(error) : error),
    },
    context,
  );
}

/** The files of a job that has been paid for already, in the folder that was asked for. */
async function reuseEarlier(row: LedgerRow, flags: { readonly out: string }, context: CommandContext): Promise<number> {
  const files = await copyEarlier(row, resolve(context.io.folder, flags.out));
  context.note(`cached    the result of job ${row.jobId ?? row.key}; nothing was sent`);
  context.print(files.map(({ path }) => `${shownPath(path, context.io.folder)}\n`).join(''), {
    ok: true,
    cached: true,
    jobId: row.jobId,
    files: files.map((file) => ({ ...file, name: basename(file.path) })),
    receipt: row.receipt,
    cost: 0,
  });
  return exitCodes.success;
}

/** The stand-in computes pictures but no models: say so where a workflow asks for more. */
export function explainSandbox(error: ComfyRunpodError): ComfyRunpodError {
  if (error.code !== 'WORKFLOW_UNKNOWN_NODE') return error;
  return new ComfyRunpodError(
    error.code,
    `${error.message} The sandbox has image nodes only, no models or custom nodes.`,
    {
      issues: error.issues,
      details: error.details,
      nextStep:
        'Name a real ComfyUI with --comfy-url URL, or a RunPod endpoint with RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID.',
    },
  );
}
