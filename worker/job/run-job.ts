/**
 * One job from its input to its outcome: check -> stage -> run -> collect -> wipe -> envelope.
 *
 * 1. It never throws and always wipes, whatever happens.
 * 2. Files are read into memory before they are wiped, and measured against the limit before they are read.
 * 3. A run that failed still delivers what it made, beside the error.
 * 4. A run is repeated at most once: out of memory (after freeing it), or a file that ComfyUI named and that is not there.
 */
import {
  ComfyRunpodError,
  compareNodeIds,
  createDeadline,
  type JobInput,
  limits,
  parseJobInput,
  toComfyRunpodError,
} from '../../shared/index.ts';
import type { ComfyConnection, Execution } from '../comfy/index.ts';
import {
  buildEnvelope,
  type CollectedOutputs,
  collectOutputs,
  type ListedOutputs,
  listOutputs,
  tooLarge,
} from '../outputs/index.ts';
import type { JobOutcome, JsonBody, Logger, RunContext, RunnerJob } from '../types.ts';
import type { JobFiles, WipeReport, Workspace } from '../workspace/index.ts';
import { bindGraph } from './bind-graph.ts';
import { budgetError, cancelBudgetMs, jobBudgetMs } from './job-budget.ts';
import { JobLedger } from './job-ledger.ts';
import { type GraphPlan, planGraph } from './plan-graph.ts';
import { ProgressReporter } from './progress-reporter.ts';
import { createRedactor } from './redact.ts';
import { callerName, selectOutputs, submittedNode, undelivered } from './select-outputs.ts';

/** What jobs run with. */
export interface JobSupport {
  readonly comfy: ComfyConnection;
  readonly workspace: Workspace;
  readonly logger: Logger;
  readonly workerId: string;
  readonly stallMs: number;
}

/** How the work ended, before the wipe. */
interface Ended {
  readonly collected?: CollectedOutputs;
  readonly failure?: ComfyRunpodError;
}

/** Bytes around the envelope in a job-done body. */
const wrapperBytes = 256;
/** The same, with the longest error beside it. */
const wrapperWithErrorBytes = 64 * 1024;
/** Cleaning up must not hang on a ComfyUI that hangs. */
const cleanUpMs = 10_000;

/** Runs one job. Never throws. */
export async function runJob(support: JobSupport, job: RunnerJob, context: RunContext): Promise<JobOutcome> {
  const logger = support.logger.child({ jobId: job.id });
  let input: JobInput;
  try {
    context.signal.throwIfAborted();
    input = parseJobInput(job.input);
  } catch (error) {
    if (context.signal.aborted) return { kind: 'cancelled' };
    const failure = toComfyRunpodError(error);
    logger.warn({ code: failure.code }, 'Job refused');
    return { kind: 'failed', error: failure };
  }
  try {
    return await new JobRun(support, logger, input, context).run();
  } catch (error) {
    const failure = toComfyRunpodError(error);
    logger.error({ code: failure.code, kind: error instanceof Error ? error.name : typeof error }, 'Job broke down');
    return { kind: 'failed', error: failure };
  }
}

class JobRun {
  readonly #support: JobSupport;
  readonly #logger: Logger;
  readonly #input: JobInput;
  readonly #context: RunContext;
  readonly #ledger = new JobLedger();
  readonly #files: JobFiles;
  readonly #progress: ProgressReporter;
  readonly #folders: string[] = [];
  #staged = new Map<string, string>();

  constructor(support: JobSupport, logger: Logger, input: JobInput, context: RunContext) {
    this.#support = support;
    this.#logger = logger;
    this.#input = input;
    this.#context = context;
    this.#files = support.workspace.openJob();
    this.#folders.push(this.#files.folder);
    this.#progress = new ProgressReporter(context.onProgress, this.#ledger.startedAt);
    this.#progress.useWorkflow(input.workflow);
  }

  async run(): Promise<JobOutcome> {
    const ended = await this.#work();
    const wipe = await this.#cleanUp();
    const outcome = this.#outcome(ended, wipe);
    this.#progress.end();
    const fields = { ms: this.#ledger.elapsedMs(), wipedFiles: wipe.files, wipedBytes: wipe.bytes };
    if (wipe.mode === 'wiped' && wipe.kept.length > 0) {
      this.#logger.error({ files: wipe.kept.length }, 'Files of the job could not be wiped');
    }
    if (outcome.kind === 'failed') this.#logger.warn({ ...fields, code: outcome.error.code }, 'Job failed');
    else this.#logger.info(fields, outcome.kind === 'completed' ? 'Job completed' : 'Job cancelled');
    return outcome;
  }

  async #work(): Promise<Ended> {
    const budgetMs = jobBudgetMs(this.#input, this.#context.executionTimeoutMs);
    using deadline = createDeadline(budgetMs, () => budgetError(budgetMs), this.#context.signal);
    const { signal } = deadline;
    try {
      this.#progress.enter('starting');
      const plan = await this.#plan(signal);
      await this.#stage(plan, signal);
      return await this.#execute(plan, signal);
    } catch (error) {
      return { failure: toComfyRunpodError(error) };
    }
  }

  async #plan(signal: AbortSignal): Promise<GraphPlan> {
    const { comfy } = this.#support;
    const server = await comfy.ready(signal);
    this.#ledger.comfyVersion = server.version;
    const names = Object.values(this.#input.workflow).map((node) => node.class_type);
    return planGraph(this.#input, await comfy.describe(names, signal));
  }

  async #stage(plan: GraphPlan, signal: AbortSignal): Promise<void> {
    this.#progress.enter('staging');
    const used = new Set(plan.fileUses.map((use) => use.file));
    const files = (this.#input.files ?? []).filter((file) => used.has(file.name));
    const staged = await this.#ledger.time('stageMs', () => this.#files.stage(files, signal));
    this.#staged = new Map(staged.map((file) => [file.name, file.value]));
    this.#ledger.bytesIn = staged.reduce((sum, file) => sum + file.size, 0);
  }

  async #execute(plan: GraphPlan, signal: AbortSignal): Promise<Ended> {
    for (let attempt = 0; ; attempt++) {
      const execution = await this.#ledger.time('runMs', () => this.#runOnce(plan, signal));
      this.#ledger.executions.push(execution);
      const { failure } = execution;
      const mayRepeat = attempt === 0 && !signal.aborted;
      if (failure?.code === 'OUT_OF_MEMORY' && mayRepeat) {
        await this.#prepareRepeat('out of memory', signal);
        continue;
      }
      if (failure) return await this.#failed(failure, execution, signal);
      try {
        return await this.#collect(plan, execution, signal);
      } catch (error) {
        const problem = toComfyRunpodError(error);
        if (problem.code !== 'OUTPUT_MISSING' || !mayRepeat) throw problem;
        await this.#prepareRepeat('a named file is missing', signal);
      }
    }
  }

  /** Drops ComfyUI's caches, so that the next run makes everything anew, in a folder of its own. */
  async #prepareRepeat(why: string, signal: AbortSignal): Promise<void> {
    this.#logger.warn({ why }, 'The run is repeated once');
    await this.#support.comfy.freeMemory(signal);
    this.#folders.push(this.#files.renewFolder());
  }

  #runOnce(plan: GraphPlan, signal: AbortSignal): Promise<Execution> {
    const { comfyOrgApiKey, limits: jobLimits } = this.#input;
    return this.#support.comfy.execute({
      prompt: bindGraph(plan, { staged: this.#staged, folder: this.#files.folder }),
      ...(comfyOrgApiKey !== undefined && { extraData: { api_key_comfy_org: comfyOrgApiKey } }),
      stallMs: jobLimits?.stallMs ?? this.#support.stallMs,
      signal,
      cancelMs: cancelBudgetMs(this.#context.executionTimeoutMs),
      redact: createRedactor(() => ({
        secrets: [...plan.secrets, ...(comfyOrgApiKey === undefined ? [] : [comfyOrgApiKey])],
        renames: this.#renames(),
      })),
      onSnapshot: (snapshot) => this.#progress.update(snapshot),
    });
  }

  #renames(): Map<string, string> {
    const renames = new Map([...this.#staged].map(([name, value]) => [value, name]));
    for (const folder of this.#folders) renames.set(`${folder}/`, '');
    return renames;
  }

  async #collect(plan: GraphPlan, execution: Execution, signal: AbortSignal): Promise<Ended> {
    this.#progress.enter('collecting');
    const all = listOutputs(execution.outputs, compareNodeIds);
    const selected = selectOutputs(all, this.#input);
    if (selected.files.length === 0 && selected.values.length === 0) throw nothingPutOut(all, this.#input);
    const missing = undelivered(all, plan.outputNodes, this.#input);
    for (const node of missing) {
      const classType = this.#input.workflow[node]?.class_type ?? 'unknown class';
      this.#ledger.warnings.push({ node, message: `Output node ${node} (${classType}) delivered nothing.` });
    }
    const limit = this.#context.resultLimitBytes - wrapperBytes;
    return { collected: await this.#read(selected, limit, this.#collectingTime(signal)) };
  }

  /** A run that failed: what it made before is collected too, when that is possible and fits. */
  async #failed(failure: ComfyRunpodError, execution: Execution, signal: AbortSignal): Promise<Ended> {
    if (this.#context.signal.aborted) return { failure };
    const selected = selectOutputs(listOutputs(execution.outputs, compareNodeIds), this.#input);
    if (selected.files.length === 0 && selected.values.length === 0) return { failure };
    this.#progress.enter('collecting');
    const limit = this.#context.resultLimitBytes - wrapperWithErrorBytes;
    const collected = await this.#read(selected, limit, this.#collectingTime(signal)).catch(() => undefined);
    return { failure, ...(collected && { collected }) };
  }

  /** When the job's own deadline is over, collecting still has the margin that was kept back for it. */
  #collectingTime(signal: AbortSignal): AbortSignal {
    return signal.aborted && !this.#context.signal.aborted ? AbortSignal.timeout(cleanUpMs) : signal;
  }

  #read(listed: ListedOutputs, limitBytes: number, signal: AbortSignal): Promise<CollectedOutputs> {
    const { workflow, metadata = 'strip' } = this.#input;
    return this.#ledger.time('collectMs', () =>
      collectOutputs({
        listed,
        locate: (file, locateSignal) => this.#files.locate(file, locateSignal),
        classOf: (node) => workflow[submittedNode(node, workflow)]?.class_type ?? 'unknown',
        callerName: (file) => callerName(file, this.#folders),
        metadata,
        limitBytes,
        signal,
      }),
    );
  }

  /** Wipes files and ComfyUI's memory of the run. Never throws. */
  async #cleanUp(): Promise<WipeReport> {
    const { comfy } = this.#support;
    const keep = this.#input.debug === true;
    const named = this.#ledger.executions.flatMap((execution) => listOutputs(execution.outputs, compareNodeIds).files);
    const forgotten = this.#ledger.executions.map(async ({ promptId }) => {
      if (!keep) await comfy.forget(promptId, AbortSignal.timeout(cleanUpMs));
    });
    const [wipe] = await Promise.all([this.#files.wipe(named, { keep }), Promise.allSettled(forgotten)]);
    return wipe;
  }

  #outcome(ended: Ended, wipe: WipeReport): JobOutcome {
    const { collected } = ended;
    if (this.#context.signal.aborted) return { kind: 'cancelled' };
    this.#ledger.bytesOut = collected?.artifacts.reduce((sum, artifact) => sum + artifact.bytes.length, 0) ?? 0;
    if (ended.failure) {
      const output = collected && this.#envelope('partial', collected, wipe);
      return { kind: 'failed', error: ended.failure, ...(output && { output }) };
    }
    const { resultLimitBytes } = this.#context;
    const output = this.#envelope('success', collected ?? { artifacts: [], values: [] }, wipe);
    if (output.byteLength + wrapperBytes > resultLimitBytes) {
      const files = collected?.artifacts.length ?? 0;
      return { kind: 'failed', error: tooLarge(output.byteLength, resultLimitBytes, files, this.#ledger.bytesOut) };
    }
    this.#progress.enter('delivering');
    return { kind: 'completed', output };
  }

  #envelope(status: 'success' | 'partial', collected: CollectedOutputs, wipe: WipeReport): JsonBody {
    const receipt = this.#ledger.receipt(this.#support.workerId, this.#input.workflow, wipe);
    return buildEnvelope(status, collected, receipt);
  }
}

function nothingPutOut(all: ListedOutputs, input: JobInput): ComfyRunpodError {
  const previews = all.files.filter((file) => file.type === 'temp').length;
  if (previews > 0 && input.outputs?.temp !== true) {
    return new ComfyRunpodError('OUTPUT_NONE', `The run put out ${previews} previews and nothing else.`, {
      nextStep: 'Set outputs.temp to true to get previews, or use a saving node such as SaveImage.',
    });
  }
  if (input.outputs?.nodes && all.files.length + all.values.length > 0) {
    return new ComfyRunpodError('OUTPUT_NONE', 'The nodes named in outputs.nodes put nothing out.', {
      nextStep: 'Name output nodes in outputs.nodes, or leave it out to get everything.',
    });
  }
  return new ComfyRunpodError('OUTPUT_NONE', 'The run ended without any output.');
}

/** Default of {@link JobSupport.stallMs}. */
export const defaultStallMs = limits.stallMs;
