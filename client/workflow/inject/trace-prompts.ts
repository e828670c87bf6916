/**
 * Finds the prompts of a workflow: from everything that samples back through the conditioning to the texts. Roles are kept apart all the way: through
 * nodes that carry both, by the output that is used. Pure.
 */
import { type ApiNode, compareNodeIds, isLink, type Link, type Workflow } from '../../../shared/index.ts';
import { findClass, type ObjectInfo } from '../convert/object-info.ts';
import { type Spot, spotKey, spotOf, uniqueSpots } from './spots.ts';
import { type PromptRole, sourceTextInputs, textInputs } from './text-inputs.ts';

/** The texts behind the samplers. */
export interface TracedPrompts {
  readonly positive: readonly Spot[];
  readonly negative: readonly Spot[];
  /** Texts that are positive for one sampler and negative for another, or both for the same: setting one would set the other. */
  readonly shared: readonly Spot[];
  /** Sentences about what stands in the way, such as a negative prompt that is zeroed out. */
  readonly notes: readonly string[];
}

/**
 * Inputs of samplers and guiders that lead to each prompt. A guider with two conditionings (DualCFGGuider) has the wanted one first and the
 * unwanted one second; what it calls `negative` beside them is often either of both, so that it adds only what is not positive.
 */
const rootInputs: Readonly<Record<PromptRole, readonly string[]>> = {
  positive: ['positive', 'conditioning', 'cond1', 'positive_cond', 'conditioning_positive'],
  negative: ['negative', 'cond2', 'negative_cond', 'conditioning_negative'],
};

/** Finds the prompts. */
export function tracePrompts(workflow: Workflow, objectInfo?: ObjectInfo): TracedPrompts {
  const tracer = new Tracer(workflow, objectInfo);
  const roots = samplingNodes(workflow, objectInfo);
  const found = (role: PromptRole) =>
    uniqueSpots(
      roots.flatMap((id) =>
        rootInputs[role].flatMap((name) => {
          const inputs = workflow[id]?.inputs ?? {};
          const value = inputs[name];
          if (!isLink(value)) return [];
          const spots = tracer.conditioning(value, role);
          return name === 'negative' && isLink(inputs['cond2']) ? spots.filter(({ node }) => !wanted.has(node)) : spots;
        }),
      ),
    );
  const wanted = new Set<string>();
  const positive = found('positive');
  for (const { node } of positive) wanted.add(node);
  const negative = found('negative');
  const both = new Set(positive.map(spotKey).filter((key) => negative.some((spot) => spotKey(spot) === key)));
  const own = (spots: readonly Spot[]) => spots.filter((spot) => !both.has(spotKey(spot)));
  return {
    positive: own(positive),
    negative: own(negative),
    shared: positive.filter((spot) => both.has(spotKey(spot))),
    notes: [...tracer.notes],
  };
}

/** Nodes that use a conditioning for good: those that take it beside a model; without any, those whose conditioning nobody takes on. */
function samplingNodes(workflow: Workflow, objectInfo: ObjectInfo | undefined): string[] {
  const names = [...rootInputs.positive, ...rootInputs.negative];
  const taking = Object.entries(workflow).filter(([, node]) => names.some((name) => isLink(node.inputs[name])));
  const ids = (entries: readonly (readonly [string, ApiNode])[]) => entries.map(([id]) => id).toSorted(compareNodeIds);
  const sampling = taking.filter(([, node]) => isLink(node.inputs['model']) && !makesConditioning(node, objectInfo));
  if (sampling.length > 0) return ids(sampling);
  const takenOn = new Set(
    taking.flatMap(([, node]) => names.map((name) => node.inputs[name]).filter(isLink)).map(([source]) => source),
  );
  return ids(taking.filter(([id]) => !takenOn.has(id)));
}

function makesConditioning(node: ApiNode, objectInfo: ObjectInfo | undefined): boolean {
  return objectInfo !== undefined && (findClass(objectInfo, node.class_type)?.outputs ?? []).includes('CONDITIONING');
}

/** Inputs of switches and relays that pass on what they are given. */
const relayed = /^(any|input|value|in|on_true|on_false)[_\d]*$/i;

class Tracer {
  readonly notes = new Set<string>();
  readonly #workflow: Workflow;
  readonly #objectInfo: ObjectInfo | undefined;

  constructor(workflow: Workflow, objectInfo: ObjectInfo | undefined) {
    this.#workflow = workflow;
    this.#objectInfo = objectInfo;
  }

  /** The texts behind a conditioning. */
  conditioning(link: Link, role: PromptRole, seen: ReadonlySet<string> = new Set()): Spot[] {
    const [id, slot] = link;
    const node = this.#workflow[id];
    if (node === undefined || seen.has(`${id} ${slot}`)) return [];
    const path = new Set([...seen, `${id} ${slot}`]);
    if (node.class_type === 'ConditioningZeroOut') {
      this.notes.add(`The ${role} prompt is zeroed out by node ${id}: there is no ${role} text.`);
      return [];
    }
    // A node that is given a conditioning passes it on: its own text (tracks, a box of GLIGEN) is something else.
    const given = this.#given(node, slot);
    const texts = given.length > 0 ? [] : textInputs(node, role, this.#objectInfo);
    if (texts.length > 0) return this.#texts(id, node, texts);
    const next = given.length > 0 ? given : relays(node);
    return next.flatMap((link) => this.conditioning(link, role, path));
  }

  /** Constant texts of one node are one spot; linked ones are where they come from. */
  #texts(id: string, node: ApiNode, names: readonly string[]): Spot[] {
    const constant = names.filter((name) => typeof node.inputs[name] === 'string');
    const linked = names.flatMap((name) => {
      const value = node.inputs[name];
      return isLink(value) ? this.#source(value, new Set([id])) : [];
    });
    return uniqueSpots([...(constant.length > 0 ? [spotOf(this.#workflow, id, constant)] : []), ...linked]);
  }

  #source([id]: Link, seen: ReadonlySet<string>): Spot[] {
    const node = this.#workflow[id];
    if (node === undefined || seen.has(id)) return [];
    const path = new Set([...seen, id]);
    const names = sourceTextInputs(node, this.#objectInfo);
    return names.flatMap((name) => {
      const value = node.inputs[name];
      if (typeof value === 'string') return [spotOf(this.#workflow, id, [name])];
      return isLink(value) ? this.#source(value, path) : [];
    });
  }

  /** The conditionings that a node is given, as far as they reach the output that is asked for. */
  #given(node: ApiNode, slot: number): Link[] {
    const { inputs, class_type: classType } = node;
    const positive = inputs['positive'];
    const negative = inputs['negative'];
    // A node that carries both: which one is asked for is the output that is used, not the role of whoever uses it.
    if (isLink(positive) && isLink(negative)) {
      const name = this.#objectInfo && findClass(this.#objectInfo, classType)?.outputNames[slot];
      const wantsNegative = name === undefined ? slot === 1 : /neg/i.test(name);
      return [wantsNegative ? negative : positive];
    }
    const declared = this.#objectInfo && findClass(this.#objectInfo, classType);
    const names = declared
      ? declared.inputs.filter(({ type }) => type === 'CONDITIONING').map(({ name }) => name)
      : Object.keys(inputs).filter((name) => /^(conditioning(_.*)?|positive|negative|cond\d*)$/.test(name));
    return names.map((name) => inputs[name]).filter(isLink);
  }
}

/** A switch or a relay of some pack: whatever it is given may be it. */
function relays({ inputs }: ApiNode): Link[] {
  return Object.entries(inputs).flatMap(([name, value]) => (relayed.test(name) && isLink(value) ? [value] : []));
}
