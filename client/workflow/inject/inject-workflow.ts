/**
 * Puts prompts, seeds and values into a workflow in API format and says what it did. The workflow that is given stays as it is; links are never
 * overwritten; what is not named is not touched. Pure.
 */
import { ComfyRunpodError, type Workflow } from '../../../shared/index.ts';
import type { ObjectInfo } from '../convert/object-info.ts';
import { parseAssignment, resolveTarget, valueFor } from './assignment.ts';
import { chooseSeeds, parseSeed } from './seeds.ts';
import { type Spot, spotText, textAt } from './spots.ts';
import type { PromptRole } from './text-inputs.ts';
import { type TracedPrompts, tracePrompts } from './trace-prompts.ts';

/** What is wished; all of it optional. */
export interface InjectionRequest {
  readonly prompt?: string;
  readonly negative?: string;
  /** `random`, `keep` (default) or a number, as {@link parseSeed} reads it. */
  readonly seed?: string;
  /** `NODE.input=value`, as {@link parseAssignment} reads it; applied last, so that it wins. */
  readonly set?: readonly string[];
}

/** One input that was changed. */
export interface InjectedChange {
  readonly wish: 'prompt' | 'negative' | 'seed' | 'set';
  readonly node: string;
  readonly classType: string;
  readonly title: string;
  readonly input: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** What was done. It holds the texts: for the person who wrote them, not for a log. */
export interface InjectionReport {
  readonly changes: readonly InjectedChange[];
  /** Chosen seeds by `NODE.input`. */
  readonly seeds: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/** Options of {@link injectWorkflow}. */
export interface InjectOptions {
  /** The node classes; without them types and ranges are not known. */
  readonly objectInfo?: ObjectInfo;
  /** A number from 0 up to, not including, 1. Default `Math.random`. */
  readonly random?: () => number;
}

/** Injects. Throws `INJECTION_TARGET_MISSING`, `INJECTION_AMBIGUOUS` (the candidates are listed), `INPUT_INVALID` or `USAGE`. */
export function injectWorkflow(
  workflow: Workflow,
  request: InjectionRequest,
  options: InjectOptions = {},
): { readonly workflow: Workflow; readonly report: InjectionReport } {
  const { objectInfo, random = Math.random } = options;
  const draft = new Draft(workflow);
  const notes: string[] = [];
  if (request.prompt !== undefined || request.negative !== undefined) {
    const traced = tracePrompts(workflow, objectInfo);
    for (const role of ['positive', 'negative'] as const) {
      const text = role === 'positive' ? request.prompt : request.negative;
      if (text === undefined) continue;
      const wish = role === 'positive' ? 'prompt' : 'negative';
      for (const spot of promptSpots(workflow, traced, role)) {
        for (const input of spot.inputs) draft.put(wish, spot, input, text);
      }
    }
    notes.push(...traced.notes);
  }
  const seeds: Record<string, number> = {};
  for (const [key, { spot, value }] of chooseSeeds(workflow, parseSeed(request.seed ?? 'keep'), random, objectInfo)) {
    draft.put('seed', spot, spot.inputs[0] ?? '', value);
    seeds[key] = value;
  }
  if (request.seed === 'random' && Object.keys(seeds).length === 0) notes.push('The workflow has no seed to choose.');
  for (const text of request.set ?? []) {
    const { target, value } = parseAssignment(text, workflow);
    const spot = resolveTarget(workflow, target, objectInfo);
    const typed = valueFor(workflow, spot, value, objectInfo);
    const [input = ''] = spot.inputs;
    draft.put('set', spot, input, typed);
    const key = `${spot.node}.${input}`;
    if (typeof typed === 'number' && (key in seeds || /^(noise_)?seed$/.test(input))) seeds[key] = typed;
  }
  return { workflow: draft.workflow(), report: { changes: draft.changes(), seeds, notes } };
}

/** The spots that a prompt goes to: the only one, or several that hold the same text. */
function promptSpots(workflow: Workflow, traced: TracedPrompts, role: PromptRole): readonly Spot[] {
  const spots = traced[role];
  const flag = role === 'positive' ? '--prompt' : '--negative';
  const [first] = spots;
  if (first === undefined) {
    const why = traced.shared.length > 0 ? ', because the same text is positive and negative' : '';
    const note = traced.notes.find((text) => text.includes(role));
    throw new ComfyRunpodError(
      'INJECTION_TARGET_MISSING',
      `The workflow has no ${role} prompt${why}. ${note ?? ''}`.trim(),
      {
        nextStep: 'Set the text with --set NODE.input=TEXT; `comfy-runpod inspect` lists the texts.',
        issues: issuesOf(workflow, traced.shared),
      },
    );
  }
  const texts = new Set(spots.map((spot) => textAt(workflow[spot.node], spot)));
  if (spots.length === 1 || texts.size === 1) return spots;
  const listed = spots.slice(0, 10).map(spotText).join(', ');
  throw new ComfyRunpodError('INJECTION_AMBIGUOUS', `${flag} could mean ${spots.length} different texts: ${listed}.`, {
    nextStep: `Name one: --set "${first.node}.${first.inputs[0] ?? ''}=TEXT".`,
    issues: issuesOf(workflow, spots),
  });
}

/** Candidates without their text: errors may be logged. */
function issuesOf(workflow: Workflow, spots: readonly Spot[]) {
  return spots.slice(0, 20).map((spot) => ({
    node: spot.node,
    classType: spot.classType,
    field: spot.inputs.join('+'),
    message: `"${spot.title.slice(0, 60)}" holds ${textAt(workflow[spot.node], spot)?.length ?? 0} characters`,
  }));
}

/** A copy of the workflow in which only what is put changes. */
class Draft {
  readonly #before: Workflow;
  readonly #changes = new Map<string, InjectedChange>();

  constructor(workflow: Workflow) {
    this.#before = workflow;
  }

  put(wish: InjectedChange['wish'], spot: Spot, input: string, after: unknown): void {
    const { node, classType, title } = spot;
    const before = this.#before[node]?.inputs[input];
    this.#changes.set(`${node}.${input}`, { wish, node, classType, title, input, before, after });
  }

  workflow(): Workflow {
    const changed = Map.groupBy(this.#changes.values(), ({ node }) => node);
    return Object.fromEntries(
      Object.entries(this.#before).map(([id, node]) => {
        const changes = changed.get(id);
        if (changes === undefined) return [id, node];
        const values = Object.fromEntries(changes.map(({ input, after }) => [input, after]));
        return [id, { ...node, inputs: { ...node.inputs, ...values } }];
      }),
    );
  }

  changes(): InjectedChange[] {
    return [...this.#changes.values()].filter(({ before, after }) => before !== after);
  }
}
