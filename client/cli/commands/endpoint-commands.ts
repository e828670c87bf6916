/** The commands that talk to a configured endpoint: submit, status, wait, cancel, health. */
import { resolve } from 'node:path';
import {
  ComfyRunpodError,
  exitCodes,
  isTerminalStatus,
  type JobView,
  readProgressEvent,
} from '../../../shared/index.ts';
import type { Client } from '../../client.ts';
import { readJobResult } from '../../job-result.ts';
import type { JobNeeds } from '../../profiles/rank-endpoints.ts';
import { type CommandContext, configuredEndpoint } from '../command-context.ts';
import { followToEnd } from '../follow-to-end.ts';
import { type OpenedClient, openConfigured } from '../open-configured.ts';
import type { PresentFlags } from '../present-files.ts';
import { errorDocument } from '../render/error-text.ts';
import { oneLine } from '../terminal-text.ts';
import { parseNeeds } from './profiles.ts';
import type { SubmitFlags } from './submit-flags.ts';
import { submitInterruptibly } from './submit-interruptibly.ts';

/** Runs `use` with a client for the configured endpoint. */
async function withClient<T>(
  context: CommandContext,
  use: (client: Client, opened: OpenedClient) => Promise<T>,
  needs?: JobNeeds,
): Promise<T> {
  const opened = await openConfigured(configuredEndpoint(context), { context, needs, facts: { command: 'submit' } });
  const { client } = opened;
  try {
    return await use(client, opened);
  } finally {
    await client.close();
  }
}

/** `submit`: prints the id. */
export function submitCommand(workflow: string, flags: SubmitFlags, context: CommandContext): Promise<number> {
  if (flags.dryRun) return import('./dry-run.ts').then(({ dryRun }) => dryRun(workflow, flags, context));
  const needs = flags.needs === undefined ? undefined : parseNeeds(flags.needs);
  const submit = async (client: Client, { endpoints }: OpenedClient) => {
    const submitted = await submitInterruptibly(workflow, flags, { client, kind: 'runpod', endpoints }, context);
    if (submitted === 'left') return exitCodes.interrupted;
    if ('earlier' in submitted) {
      const { jobId = submitted.earlier.key } = submitted.earlier;
      context.note('cached    an earlier job; nothing was sent. `comfy-runpod fetch` says where its files are');
      context.print(`${jobId}\n`, { ok: true, jobId, cached: true });
      return exitCodes.success;
    }
    const { job, interrupted, seeds } = submitted;
    if (interrupted) {
      await job.cancel();
      throw new ComfyRunpodError('JOB_CANCELLED', `Job ${job.id} was submitted and cancelled again.`);
    }
    context.print(`${job.id}\n`, { ok: true, jobId: job.id, ...(Object.keys(seeds).length > 0 && { seeds }) });
    return 0;
  };
  return withClient(context, submit, needs);
}

/** `status ID`: one line. */
export function statusCommand(id: string, context: CommandContext): Promise<number> {
  return withClient(context, async (client) => {
    const view = await client.job(id).status();
    context.print(`${statusLine(view)}\n`, statusDocument(view));
    return 0;
  });
}

function statusLine(view: JobView): string {
  const progress = readProgressEvent(view.output);
  const share = progress?.fraction === undefined ? '' : ` ${Math.floor(progress.fraction * 100)}%`;
  const doing = progress === undefined ? '' : ` ${progress.phase}${share}`;
  const failure = isTerminalStatus(view.status) ? failureOf(view) : undefined;
  return oneLine(
    `${view.id} ${view.status}${doing}${failure === undefined ? '' : ` ${failure.code}: ${failure.message}`}`,
    500,
  );
}

function failureOf(view: JobView) {
  const result = readJobResult(view);
  return result.kind === 'succeeded' || result.kind === 'cancelled' ? undefined : result.error;
}

/** The view without the pictures in it. */
function statusDocument(view: JobView): object {
  const { output, error: _, ...rest } = view;
  const progress = readProgressEvent(output);
  const failure = isTerminalStatus(view.status) ? failureOf(view) : undefined;
  return {
    ok: true,
    job: { ...rest, ...(progress && { progress }), ...(failure && { error: errorDocument(failure) }) },
  };
}

/** `wait ID`: follows the job and saves its files. Ctrl-C leaves the job alone: it was submitted to run on its own. */
export function waitCommand(
  id: string,
  flags: PresentFlags & { readonly out: string },
  context: CommandContext,
): Promise<number> {
  return withClient(context, async (client, { priceOf }) =>
    followToEnd(
      client.job(id),
      {
        folder: resolve(context.io.folder, flags.out),
        cancelOnInterrupt: false,
        present: flags,
        book: await context.book(),
        priceOf,
        health: (signal) => client.health({ signal }),
      },
      context,
    ),
  );
}

/** `cancel ID`. */
export function cancelCommand(id: string, context: CommandContext): Promise<number> {
  return withClient(context, async (client) => {
    const view = await client.job(id).cancel();
    context.print(`${view.id} ${oneLine(view.status, 40)}\n`, { ok: true, job: { id: view.id, status: view.status } });
    return 0;
  });
}

/** `health`: counters of jobs and workers. */
export function healthCommand(context: CommandContext): Promise<number> {
  return withClient(context, async (client) => {
    const health = await client.health();
    const row = (counters: Readonly<Record<string, number>>) =>
      Object.entries(counters)
        .map(([name, value]) => `${name} ${value}`)
        .join('  ');
    context.print(`jobs     ${row(health.jobs)}\nworkers  ${row(health.workers)}\n`, { ok: true, ...health });
    return 0;
  });
}
