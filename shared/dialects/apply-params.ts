/**
 * `params` of seed-style callers: values by name in place of a rewritten graph. `seed` sets every constant seed input (`seed`,
 * `noise_seed`, `rand_seed`), because the caller means the whole picture; `NODE.INPUT` sets exactly that one; a bare input name sets
 * the one constant input of that name. Anything ambiguous is refused with the candidates.
 */
import { closest } from 'fastest-levenshtein';
import { ComfyRunpodError } from '../error.ts';
import { isLink } from '../workflow.ts';
import { fieldRefusal, isRecord, quoted } from './foreign-value.ts';
import { type ConstantInput, constantInputs, isSeed, seedInputs } from './graph-inputs.ts';
import type { JobDraft } from './job-draft.ts';

/** Turns `params` into injections of the draft. Throws `INPUT_INVALID` or `INJECTION_TARGET_MISSING`. */
export function applyParams(draft: JobDraft, params: Readonly<Record<string, unknown>>): void {
  const { workflow } = draft;
  if (!isRecord(workflow)) return;
  const constants = constantInputs(workflow);
  const linked = linkedInputs(workflow);
  for (const [name, value] of Object.entries(params)) {
    const field = `params.${quoted(name)}`;
    if (name === 'seed') {
      applySeed(draft, constants, value, field);
      continue;
    }
    const target = explicitTarget(workflow, name) ?? onlyCandidate(constants, name, field);
    if (linked.has(`${target.node}.${target.input}`)) {
      draft.warnings.push(`${field} replaces a link of node ${quoted(target.node)}.`);
    }
    draft.inject({ node: target.node, input: target.input, value }, field);
  }
}

function applySeed(draft: JobDraft, constants: readonly ConstantInput[], value: unknown, field: string): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw fieldRefusal(field, 'expected a whole number from 0 to 9007199254740991');
  }
  const seeds = constants.filter(isSeed);
  if (seeds.length === 0) {
    throw missing(field, `the workflow has no constant input named ${seedInputs.map(quoted).join(', ')}`);
  }
  for (const { node, input } of seeds) draft.inject({ node, input, value }, field);
}

interface Target {
  readonly node: string;
  readonly input: string;
}

/** `NODE.INPUT` where the workflow has that node. Node ids may hold dots themselves, so that every dot is tried. */
function explicitTarget(workflow: Readonly<Record<string, unknown>>, name: string): Target | undefined {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    const node = name.slice(0, dot);
    const input = name.slice(dot + 1);
    if (input !== '' && Object.hasOwn(workflow, node)) return { node, input };
  }
  return undefined;
}

function onlyCandidate(constants: readonly ConstantInput[], name: string, field: string): Target {
  const candidates = constants.filter((constant) => constant.input === name);
  const [first, second] = candidates;
  if (first === undefined) {
    const known = [...new Set(constants.map((constant) => constant.input))];
    const hint = known.length === 0 ? '' : `; the nearest input name is ${quoted(closest(name, known))}`;
    throw missing(field, `no node has a constant input of that name${hint}`);
  }
  if (second === undefined) return first;
  const shown = candidates
    .slice(0, 10)
    .map(({ node, input, classType }) => `${quoted(`${node}.${input}`)} (${classType.slice(0, 60)})`);
  const more = candidates.length > 10 ? ` and ${candidates.length - 10} more` : '';
  throw fieldRefusal(
    field,
    `several nodes have an input of that name: ${shown.join(', ')}${more}`,
    'Name the one that is meant, as "NODE.INPUT".',
  );
}

function missing(field: string, reason: string): ComfyRunpodError {
  return new ComfyRunpodError('INJECTION_TARGET_MISSING', `${field}: ${reason}.`, {
    issues: [{ field, message: reason }],
    nextStep: 'Use "seed", the name of an input that one node has, or "NODE.INPUT".',
  });
}

function linkedInputs(workflow: Readonly<Record<string, unknown>>): Set<string> {
  const linked = Object.entries(workflow).flatMap(([node, body]) =>
    isRecord(body) && isRecord(body['inputs'])
      ? Object.entries(body['inputs'])
          .filter(([, value]) => isLink(value))
          .map(([input]) => `${node}.${input}`)
      : [],
  );
  return new Set(linked);
}
