/**
 * Which of several endpoints a job is sent to, and why. Pure. First what the job needs, then whether a worker is there, then how long the queue is,
 * then what it costs by price and past times, then the order in which a person named them.
 */
import type { ComfyRunpodError, HealthView } from '../../shared/index.ts';

/** What a job asks of an endpoint. */
export interface JobNeeds {
  /** GPU memory, GiB. */
  readonly vram?: number;
  readonly tags?: readonly string[];
  /** Model files that the workflow names, without folders. */
  readonly models?: readonly string[];
}

/** An endpoint as it is known just now. */
export interface Candidate {
  readonly name: string;
  /** Counters of the endpoint, or why they could not be had. */
  readonly health: HealthView | ComfyRunpodError;
  readonly vram?: number | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Model files that it has; absent = not known. */
  readonly models?: readonly string[] | undefined;
  /** US dollars per second. */
  readonly price?: number | undefined;
  /** How long such a job took there before, milliseconds. */
  readonly pastMs?: number | undefined;
}

/** The order to try and what speaks against the rest. */
export interface Ranking {
  /** Indexes of the candidates, best first. */
  readonly order: readonly number[];
  /** One sentence for each candidate that is left out, by index. */
  readonly refused: ReadonlyMap<number, string>;
}

/** Ranks the candidates for one job. */
export function rankEndpoints(candidates: readonly Candidate[], needs: JobNeeds = {}): Ranking {
  const refused = new Map<number, string>();
  const scored: { index: number; score: readonly number[] }[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const against = unmet(candidate, needs) ?? closed(candidate);
    if (against === undefined) scored.push({ index, score: score(candidate, index) });
    else refused.set(index, against);
  }
  scored.sort((a, b) => compare(a.score, b.score));
  return { order: scored.map(({ index }) => index), refused };
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [at, value] of a.entries()) {
    const difference = value - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function unmet(candidate: Candidate, needs: JobNeeds): string | undefined {
  if (needs.vram !== undefined && (candidate.vram ?? Number.POSITIVE_INFINITY) < needs.vram) {
    return `its GPU has ${candidate.vram} GiB, ${needs.vram} are needed`;
  }
  const tag = needs.tags?.find((wanted) => !(candidate.tags ?? []).includes(wanted));
  if (tag !== undefined) return `it has no tag ${tag}`;
  if (candidate.models === undefined) return undefined;
  const has = new Set(candidate.models.map(fileName));
  const model = needs.models?.find((wanted) => !has.has(fileName(wanted)));
  return model === undefined ? undefined : `it has no model ${fileName(model)}`;
}

function fileName(path: string): string {
  return (path.split(/[\\/]/).at(-1) ?? path).toLowerCase();
}

/** Errors that the next request would meet again. A time-out is not one: the job may still get through, so such an endpoint is tried last. */
function closed({ health }: Candidate): string | undefined {
  if ('jobs' in health) return undefined;
  return ['UNAUTHORIZED', 'ENDPOINT_NOT_FOUND'].includes(health.code) ? `it refuses: ${health.code}` : undefined;
}

/** Parts of the decision, the first difference decides; small is good. */
function score(candidate: Candidate, index: number): readonly number[] {
  const { health } = candidate;
  if (!('jobs' in health)) return [5, 0, 0, index];
  const cost = (candidate.price ?? 0) * (candidate.pastMs ?? 1_000);
  return [readiness(health), queuePerWorker(health), cost, candidate.pastMs ?? 0, index];
}

/** 0: a worker waits for work. 1: workers run. 2: one starts. 3: scaled to zero, one will be started. 4: none can be had now. */
function readiness({ jobs, workers }: HealthView): number {
  if (workers.idle > jobs.inQueue) return 0;
  if (workers.running + workers.idle > 0) return 1;
  if (workers.initializing > 0) return 2;
  return workers.throttled + workers.unhealthy > 0 ? 4 : 3;
}

function queuePerWorker({ jobs, workers }: HealthView): number {
  return (jobs.inQueue + jobs.inProgress) / Math.max(1, workers.running + workers.idle + workers.initializing);
}

/** True where a queued job has nobody who could take it, now or soon. */
export function isEmptyOfWorkers({ workers }: HealthView): boolean {
  return workers.idle + workers.running + workers.initializing === 0;
}
