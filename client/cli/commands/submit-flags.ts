/** The flags that `run` and `submit` share, and the job they make. */
import { type Command, Option } from 'commander';
import { type JobInputWire, limits, type Workflow } from '../../../shared/index.ts';
import type { ClientSubmitOptions } from '../../client.ts';
import type { JobHandle } from '../../job-handle.ts';
import type { LedgerRow } from '../../ledger/ledger-row.ts';
import { prepareJob } from '../../submit/prepare-job.ts';
import type { JobPolicy, SubmitRoute } from '../../transport/transport.ts';
import type { InjectionReport, InjectionRequest } from '../../workflow/inject/inject-workflow.ts';
import { type CommandContext, secondsOption } from '../command-context.ts';
import { declarationsFor } from '../declarations.ts';
import { findEarlier, noteEstimate } from '../look-ahead.ts';
import { noteInjected } from '../render/injected-text.ts';
import { noteAdvice, noteLoaded } from '../render/loaded-text.ts';
import type { Target } from '../target.ts';

/** Parsed flags. */
export interface SubmitFlags {
  readonly image: readonly string[];
  readonly mask?: readonly string[];
  readonly video?: readonly string[];
  readonly audio?: readonly string[];
  readonly prompt?: string;
  readonly negative?: string;
  readonly seed?: string;
  /** `NODE.input=value`. */
  readonly set?: readonly string[];
  readonly debug?: boolean;
  readonly metadata?: 'strip' | 'keep';
  readonly timeout?: string;
  readonly runsync?: boolean;
  readonly cache?: boolean;
  /** Not a flag: somebody waits for the result. */
  readonly waits?: boolean;
  readonly allowExistingInputs?: boolean;
  readonly needs?: string;
  readonly objectInfo?: string;
  /** Ask for pictures of what is being made. */
  readonly previews?: boolean;
  /** Show what would be sent, and send nothing. */
  readonly dryRun?: boolean;
  /** False with --no-validate. */
  readonly validate?: boolean;
}

/** Time RunPod gives the job beyond its own limit, so that the worker's report of it arrives first. */
const reportMarginMs = 30_000;

/** Adds the flags. */
export function addSubmitFlags(command: Command): Command {
  const metadata = new Option(
    '--metadata <mode>',
    'remove prompt and workflow from the results, or keep them (default: strip)',
  ).choices(['strip', 'keep']);
  return addInjectFlags(command)
    .argument('[pictures...]', 'more pictures, the same as --image')
    .addOption(imageOption())
    .addOption(metadata)
    .addOption(objectInfoOption())
    .option('--allow-existing-inputs', 'nodes without a picture may name files that the ComfyUI there already has')
    .option('--timeout <seconds>', 'longest run on the worker')
    .option('--runsync', 'submit with /runsync: 20 MB each way instead of 10, the result is kept for a minute only')
    .option('--needs <list>', 'what an endpoint must have, where several are named: vram=24,tag=video,model=FILE')
    .option('--previews', 'ask for pictures of what is being made, and draw them in a terminal that can')
    .option('--dry-run', 'show what would change and how large the job would be, and send nothing')
    .option('--no-validate', 'send the workflow without the check of what ComfyUI would refuse')
    .option('--debug', "keep the job's files on the worker instead of wiping them");
}

/** Adds what saves a single job: the result of an earlier one. */
export function addReuseFlags(command: Command): Command {
  return command
    .option('--no-runsync', 'never /runsync; by default `run` uses it for a workflow that took under a second before')
    .option('--cache', 'use the saved result of an earlier job when workflow, inputs and worker are the same');
}

/** The flag for pictures. */
export function imageOption(): Option {
  return new Option(
    '-i, --image <[NODE=]FILE>',
    'picture for the next node that loads one, or for the named node; repeatable',
  )
    .argParser((value: string, previous: readonly string[]) => [...previous, value])
    .default([], 'none');
}

/** The flags that change a workflow before it is sent; `inject` has them, too. */
export function addInjectFlags(command: Command): Command {
  const collect = (value: string, previous: readonly string[]) => [...previous, value];
  const files = (flags: string, about: string) => new Option(flags, about).argParser(collect).default([], 'none');
  return command
    .option('-p, --prompt <text>', 'the positive prompt: put where the samplers get it from')
    .option('-n, --negative <text>', 'the negative prompt, likewise')
    .option('--seed <seed>', 'random (one for all), keep, or a number for every seed (default: keep)')
    .addOption(files('--set <NODE.input=value>', 'any other value; the node by id, title or class; repeatable'))
    .addOption(
      files('--mask <[NODE=]FILE>', 'mask for the next node that loads one, or for the named node; repeatable'),
    )
    .addOption(files('--video <[NODE=]FILE>', 'video, likewise'))
    .addOption(files('--audio <[NODE=]FILE>', 'sound, likewise'));
}

/** The wishes in the flags. */
export function injectionOf({ prompt, negative, seed, set }: SubmitFlags): InjectionRequest {
  return {
    ...(prompt !== undefined && { prompt }),
    ...(negative !== undefined && { negative }),
    ...(seed !== undefined && { seed }),
    ...(set !== undefined && set.length > 0 && { set }),
  };
}

/** The flag that names the node classes. */
export function objectInfoOption(): Option {
  return new Option(
    '--object-info <file|url>',
    'node classes of the ComfyUI that runs it: its address, its /object_info in a file, or what `describe --out` wrote',
  );
}

/** A job that is ready to be sent, and how. */
export interface FlaggedJob {
  readonly input: JobInputWire;
  readonly options: Pick<ClientSubmitOptions, 'route' | 'policy'>;
  /** Seeds that were chosen, by `NODE.input`. */
  readonly seeds: Readonly<Record<string, number>>;
  /** What was put into the workflow. */
  readonly report: InjectionReport;
  /** The workflow as it was read, for whoever shows what changed. */
  readonly before: Workflow;
}

/** Builds the job from the flags. Throws coded errors; nothing is sent. */
export async function prepareFromFlags(
  workflow: string,
  flags: SubmitFlags,
  target: Pick<Target, 'kind' | 'comfyUrl'>,
  context: CommandContext,
  signal: AbortSignal,
): Promise<FlaggedJob> {
  const route: SubmitRoute = flags.runsync ? 'runsync' : 'run';
  const executionMs = flags.timeout === undefined ? undefined : executionTime(flags.timeout);
  const bodyLimit = route === 'run' ? limits.runBodyBytes : limits.runsyncBodyBytes;
  const declarations = declarationsFor({ objectInfo: flags.objectInfo, comfyUrl: target.comfyUrl }, context);
  const { input, loaded, report, advice } = await prepareJob({
    workflow,
    stdin: context.io.stdin,
    declarations,
    pictures: flags.image,
    media: { mask: flags.mask ?? [], video: flags.video ?? [], audio: flags.audio ?? [] },
    injection: injectionOf(flags),
    folder: context.io.folder,
    allowExisting: flags.allowExistingInputs === true || target.kind === 'direct',
    bodyLimit: target.kind === 'direct' ? Number.POSITIVE_INFINITY : bodyLimit,
    resultBytes: resultLimit(target, route),
    validate: flags.validate !== false,
    signal,
    ...(flags.debug === true && { debug: true }),
    ...(flags.metadata !== undefined && { metadata: flags.metadata }),
    ...(executionMs !== undefined && { executionMs }),
  });
  noteLoaded(loaded, context);
  noteAdvice(advice, context);
  noteInjected(report, context);
  const { seeds } = report;
  return {
    input: flags.previews === true ? { ...input, previews: true } : input,
    seeds,
    report,
    before: loaded.workflow,
    options: { route, ...(executionMs !== undefined && { policy: policyFor(executionMs) }) },
  };
}

/** A job that was submitted, and the seeds that were chosen for it. */
export interface SubmittedJob {
  readonly job: JobHandle;
  readonly seeds: Readonly<Record<string, number>>;
}

/** Builds the job from the flags and submits it. Nothing is sent when anything is wrong. */
export async function submitFromFlags(
  workflow: string,
  flags: SubmitFlags,
  target: Pick<Target, 'client' | 'kind' | 'comfyUrl' | 'endpoints'>,
  context: CommandContext,
  signal: AbortSignal,
): Promise<SubmittedJob | { readonly earlier: LedgerRow }> {
  const { input, options, seeds } = await prepareFromFlags(workflow, flags, target, context, signal);
  const earlier = flags.cache === true ? await findEarlier(input, target, context) : undefined;
  if (earlier) return { earlier };
  const isShort = target.endpoints.length > 0 && (await noteEstimate(input, target, context));
  // Only for whoever waits: such a result is kept for a minute.
  const quick = flags.waits === true && flags.runsync === undefined && isShort ? { route: 'runsync' as const } : {};
  signal.throwIfAborted();
  // Without the signal: a submit that is cut off in the middle is the one thing that can't be cleaned up afterwards.
  return { job: await target.client.submit(input, { ...options, ...quick, seeds }), seeds };
}

/** What one answer carries; a ComfyUI that is driven directly answers with any size. */
function resultLimit(target: Pick<Target, 'kind'>, route: SubmitRoute): number {
  if (target.kind === 'direct') return Number.POSITIVE_INFINITY;
  return route === 'run' ? limits.runResultBytes : limits.runsyncResultBytes;
}

function executionTime(text: string): number {
  return secondsOption(text, '--timeout', 1, limits.executionTimeoutMs.max / 1000);
}

function policyFor(executionMs: number): JobPolicy {
  const { min, max } = limits.executionTimeoutMs;
  return { executionTimeout: Math.min(max, Math.max(min, executionMs + reportMarginMs)) };
}
