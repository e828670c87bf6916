/**
 * Whether ComfyUI would take a workflow, before anything is paid for: the check of `POST /prompt`, with every error instead of the first, and
 * advice on top. Pure: runs in a browser, too.
 *
 * Invariant: an error is what the ComfyUI that runs the workflow would refuse, or a model file that it does not have. Everything that can't be
 * known from its declarations is advice: the checks of custom classes, lists that another version may have changed, files of the input folder.
 */
import { compareNodeIds, nodeTitle, type Workflow } from '../../../shared/index.ts';
import type { ObjectInfo } from '../convert/object-info.ts';
import { adviseOnShape } from './advise-on-shape.ts';
import { checkNode } from './check-node.ts';
import { type ClassContract, classContract } from './class-contract.ts';
import { Findings } from './findings.ts';
import { findCycles, type Sources, sourcesOf, upstreamOf } from './graph-walk.ts';
import { isModelFile } from './model-files.ts';
import { nearestNames } from './nearest-names.ts';
import { place, where } from './node-check.ts';
import type { WorkflowValidation } from './validation.ts';

/** What a validation goes by beside the declarations. */
export interface ValidateOptions {
  /**
   * True (default): the declarations are those of the ComfyUI that runs the workflow. False: they are of another one, so that unknown classes,
   * models, inputs and values of lists are advice.
   */
  readonly exact?: boolean;
  /** How messages call the declarations. */
  readonly from?: string;
  /** Names of all classes, where they are known without their declarations: a class that is not among them is missing. */
  readonly classNames?: ReadonlySet<string>;
  /** Names of model files by ComfyUI's folders, for declarations without lists of files. */
  readonly models?: Readonly<Record<string, readonly string[]>>;
  /** Custom-node packs that failed to import there. */
  readonly failedPacks?: readonly { readonly pack: string; readonly reason?: string | undefined }[];
  /** Largest result that travels in one answer, bytes; for advice on large pictures. */
  readonly resultBytes?: number;
}

/** Validates a workflow in API format. Throws nothing; linear in the size of the workflow. */
export function validateWorkflow(
  workflow: Workflow,
  objectInfo: ObjectInfo,
  options: ValidateOptions = {},
): WorkflowValidation {
  const findings = new Findings();
  const contractOf = (classType: string) => classContract(objectInfo, classType);
  const unknown = checkClasses(workflow, objectInfo, options, findings);
  const outputs = Object.keys(workflow).filter((id) => contractOf(workflow[id]?.class_type ?? '')?.isOutput === true);
  checkOutputs(outputs, unknown, options, findings);
  const sources = sourcesOf(workflow, (id, input) => looksAt(contractOf(workflow[id]?.class_type ?? ''), input));
  // A class that nobody knows may be an output: then what feeds it counts, too.
  const reached = upstreamOf([...outputs, ...unknown], sources);
  checkCycles(workflow, reached, sources, findings);
  for (const id of [...reached].toSorted(compareNodeIds)) {
    const node = workflow[id];
    const contract = node && contractOf(node.class_type);
    if (!node || !contract) continue;
    checkNode({
      id,
      node,
      contract,
      workflow,
      contractOf,
      exact: options.exact ?? true,
      models: options.models ?? {},
      findings,
    });
  }
  if (options.exact === false && options.models === undefined)
    adviseOnUncheckedModels(workflow, reached, options, findings);
  // Undeclared links are not checked, but followed when the workflow runs.
  const links = sourcesOf(workflow, () => true);
  const runs = upstreamOf(reached, links);
  adviseOnShape({ workflow, contractOf, outputs, runs, links, resultBytes: options.resultBytes }, findings);
  return findings.result();
}

/** Once for all models: by declarations without lists of files nothing is known about any. */
function adviseOnUncheckedModels(
  workflow: Workflow,
  reached: ReadonlySet<string>,
  { from = 'the given node classes' }: ValidateOptions,
  findings: Findings,
): void {
  const nodes = [...reached].filter((id) => Object.values(workflow[id]?.inputs ?? {}).some(isModelFile));
  if (nodes.length === 0) return;
  const text = `whether the models of ${nodes.length === 1 ? '1 node' : `${nodes.length} nodes`} are there is not known by ${from}`;
  findings.advise('model_unknown', nodes.toSorted(compareNodeIds), text);
}

/** ComfyUI follows the links of declared inputs only. */
function looksAt(contract: ClassContract | undefined, input: string): boolean {
  if (contract === undefined) return true;
  return contract.inputs.some((one) => one.name === input || (one.dynamic && input.startsWith(`${one.name}.`)));
}

/** Ids of nodes whose class is not declared; reports those that are missing. */
function checkClasses(
  workflow: Workflow,
  objectInfo: ObjectInfo,
  options: ValidateOptions,
  findings: Findings,
): string[] {
  const { classNames, exact = true, from = 'the given node classes', failedPacks = [] } = options;
  const unknown = Object.keys(workflow).filter(
    (id) => classContract(objectInfo, workflow[id]?.class_type ?? '') === undefined,
  );
  const names = [...(classNames ?? Object.keys(objectInfo))];
  const packs = failedPacks.slice(0, 5).map(({ pack }) => pack.slice(0, 80));
  const failed = packs.length === 0 ? '' : `; these node packs failed to load there: ${packs.join(', ')}`;
  for (const id of unknown) {
    const node = workflow[id];
    if (!node || classNames?.has(node.class_type) === true) continue;
    const classType = node.class_type.slice(0, 120);
    const nearest = nearestNames(node.class_type, names);
    if (!exact && classNames === undefined) {
      const text = `${where({ id, node })}: the class ${classType} is not among ${from}; it runs only where its node pack is installed`;
      findings.advise('class_unknown', [id], text, nearest);
      continue;
    }
    findings.error({
      ...place({ id, node }),
      type: 'invalid_prompt',
      message: `Cannot execute because node ${node.class_type} does not exist.`,
      details: `Node ID '#${id}'`,
      extra_info: { node_id: id, class_type: node.class_type, node_title: nodeTitle(node) },
      summary: `the class ${classType} does not exist there${failed}`,
      ...(nearest.length > 0 && { nearest }),
    });
  }
  return unknown;
}

function checkOutputs(
  outputs: readonly string[],
  unknown: readonly string[],
  { exact = true }: ValidateOptions,
  findings: Findings,
): void {
  if (outputs.length > 0) return;
  if (unknown.length > 0) {
    if (!exact)
      findings.advise('no_output', unknown, 'no node is known to be an output; one of an unknown class may be');
    return;
  }
  findings.error({
    type: 'prompt_no_outputs',
    message: 'Prompt has no outputs',
    details: '',
    extra_info: {},
    summary: 'the workflow has no output node, such as SaveImage',
  });
}

function checkCycles(workflow: Workflow, reached: ReadonlySet<string>, sources: Sources, findings: Findings): void {
  for (const cycle of findCycles(reached, sources)) {
    const named = [...cycle, cycle[0] ?? ''].map((id) => `${id} (${workflow[id]?.class_type ?? ''})`);
    const shown = named.length > 12 ? [...named.slice(0, 6), '…', ...named.slice(-5)] : named;
    for (const id of cycle) {
      const node = workflow[id];
      if (!node) continue;
      findings.error({
        ...place({ id, node }),
        type: 'dependency_cycle',
        message: 'Dependency cycle detected',
        details: shown.join(' -> '),
        extra_info: { node_id: id, cycle_nodes: cycle },
        summary: `it feeds itself: ${shown.join(' -> ').slice(0, 300)}`,
      });
    }
  }
}
