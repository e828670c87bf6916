// Validation of a posted graph: classes, output nodes, then every output on its own (ComfyUI protocol notes §1.3.4, §1.3.5).
// Neighbours: validate-node.ts (the recursive check), http/routes/prompt.ts (the caller).
// Invariants: 1. outputs are judged independently; one survivor is enough for acceptance. 2. The order in which outputs are
// judged is a Python set's, hence arbitrary; `orderOutputs` decides it here. 3. What Python cannot iterate or index throws.
import { NodeError } from '../node-definition.ts';
import type { NodeRegistry } from '../node-registry.ts';
import { fakeTraceback, pythonErrorInfo } from '../python-error.ts';
import type { PyDict, PyValue } from '../python-json.ts';
import { pyEquals } from '../python-json.ts';
import { pyStr, pyTypeName } from '../python-repr.ts';
import { cycleErrors } from './dependency-cycle.ts';
import type { NodeErrorEntry, NodeVerdict, PromptGraph, ValidationError, ValidationResult } from './types.ts';
import { type ValidationRun, validateNode } from './validate-node.ts';

/** What validation needs besides the graph. */
export interface ValidationSettings {
  readonly registry: NodeRegistry;
  /** The order of a Python set of node ids. */
  readonly orderOutputs: (ids: readonly string[]) => readonly string[];
  /** Receives the lines ComfyUI logs for refused outputs. */
  readonly log: (line: string) => void;
}

function refused(error: ValidationError): ValidationResult {
  return { error, outputs: [], nodeErrors: new Map() };
}

function title(node: PyDict): string | null {
  const meta = node.get('_meta');
  const found = meta instanceof Map ? meta.get('title') : undefined;
  return typeof found === 'string' ? found : null;
}

function unknownClass(id: string, node: PyDict | undefined, modern: boolean): ValidationError {
  const classType = node?.get('class_type');
  const details = `Node ID '#${id}'`;
  const nodeTitle = node === undefined ? null : title(node);
  if (classType === undefined) {
    return {
      type: modern ? 'missing_node_type' : 'invalid_prompt',
      message: modern
        ? `Node '${nodeTitle ?? `ID #${id}`}' has no class_type. The workflow may be corrupted or a custom node is missing.`
        : 'Cannot execute because a node is missing the class_type property.',
      details,
      extra_info: modern ? { node_id: id, class_type: null, node_title: nodeTitle } : {},
    };
  }
  return {
    type: modern ? 'missing_node_type' : 'invalid_prompt',
    message: modern
      ? `Node '${nodeTitle ?? pyStr(classType)}' not found. The custom node may not be installed.`
      : `Cannot execute because node ${pyStr(classType)} does not exist.`,
    details,
    extra_info: modern ? { node_id: id, class_type: classType, node_title: nodeTitle } : {},
  };
}

/** The graph as a dict; what Python would fail to iterate throws, an empty list or text counts as an empty graph. */
function asGraph(prompt: PyValue): PromptGraph {
  if (prompt instanceof Map) return prompt;
  if ((Array.isArray(prompt) || typeof prompt === 'string') && prompt.length === 0) return new Map();
  throw new NodeError('TypeError', `'${pyTypeName(prompt)}' object cannot be used as a prompt`);
}

function isTarget(id: string, targets: PyValue): boolean {
  if (targets === null) return true;
  if (Array.isArray(targets)) return targets.some((target) => pyEquals(target, id));
  if (targets instanceof Map) return targets.has(id);
  if (typeof targets === 'string') return targets.includes(id);
  throw new NodeError('TypeError', `argument of type '${pyTypeName(targets)}' is not iterable`);
}

async function findOutputs(
  graph: PromptGraph,
  targets: PyValue,
  registry: NodeRegistry,
): Promise<string[] | ValidationError> {
  const modern = registry.declarationContext.profile === 'late-2026';
  const outputs: string[] = [];
  for (const [id, node] of graph) {
    if (typeof node === 'string' || Array.isArray(node)) return unknownClass(id, undefined, modern);
    if (!(node instanceof Map)) {
      throw new NodeError('TypeError', `argument of type '${pyTypeName(node)}' is not iterable`);
    }
    const classType = node.get('class_type');
    if (Array.isArray(classType) || classType instanceof Map) {
      throw new NodeError('TypeError', `unhashable type: '${pyTypeName(classType)}'`);
    }
    if (typeof classType !== 'string' || registry.get(classType) === undefined) return unknownClass(id, node, modern);
    if ((await registry.isOutput(classType)) && isTarget(id, targets)) outputs.push(id);
  }
  return outputs;
}

async function judgeOutput(run: ValidationRun, id: string): Promise<NodeVerdict> {
  try {
    return await validateNode(run, id);
  } catch (error) {
    const info = pythonErrorInfo(error);
    const reason: ValidationError = {
      type: 'exception_during_validation',
      message: 'Exception when validating node',
      details: info.message,
      extra_info: {
        exception_type: info.type,
        traceback: fakeTraceback('execution.py', 1010, 'validate_prompt', 'm = await validate_inputs(…)'),
      },
    };
    const verdict = { valid: false, errors: [reason] };
    run.memo.set(id, verdict);
    return verdict;
  }
}

function logReasons(log: (line: string) => void, heading: string, reasons: readonly ValidationError[]): void {
  log(heading);
  for (const reason of reasons) log(`  - ${reason.message}: ${reason.details}`);
}

function collectNodeErrors(
  run: ValidationRun,
  failedOutput: string,
  nodeErrors: Map<string, NodeErrorEntry>,
  log: (line: string) => void,
): void {
  for (const [id, verdict] of run.memo) {
    if (verdict.valid || verdict.errors.length === 0) continue;
    const node = run.graph.get(id);
    const classType = pyStr(node instanceof Map ? node.get('class_type') : '');
    let entry = nodeErrors.get(id);
    if (entry === undefined) {
      entry = { errors: verdict.errors, dependent_outputs: [], class_type: classType };
      nodeErrors.set(id, entry);
      logReasons(log, `* ${classType} ${id}:`, verdict.errors);
    }
    entry.dependent_outputs.push(failedOutput);
  }
}

/** Validates and coerces `prompt` in place. Rejects for what makes ComfyUI answer 500. */
export async function validatePrompt(
  prompt: PyValue,
  targets: PyValue,
  settings: ValidationSettings,
): Promise<ValidationResult> {
  const graph = asGraph(prompt);
  const found = await findOutputs(graph, targets, settings.registry);
  if (!Array.isArray(found)) return refused(found);
  if (found.length === 0) {
    return refused({ type: 'prompt_no_outputs', message: 'Prompt has no outputs', details: '', extra_info: {} });
  }
  const run: ValidationRun = { graph, registry: settings.registry, memo: new Map(), visiting: new Set() };
  if (settings.registry.declarationContext.profile === 'late-2026') {
    for (const [id, error] of cycleErrors(graph)) run.memo.set(id, { valid: false, errors: [error] });
  }
  const good: string[] = [];
  const bad: ValidationError[] = [];
  const nodeErrors = new Map<string, NodeErrorEntry>();
  for (const id of settings.orderOutputs(found)) {
    const verdict = await judgeOutput(run, id);
    if (verdict.valid) {
      good.push(id);
      continue;
    }
    settings.log(`Failed to validate prompt for output ${id}:`);
    if (verdict.errors.length > 0) logReasons(settings.log, '* (prompt):', verdict.errors);
    bad.push(...verdict.errors);
    collectNodeErrors(run, id, nodeErrors, settings.log);
    settings.log('Output will be ignored');
  }
  if (good.length > 0) return { error: null, outputs: good, nodeErrors };
  const error: ValidationError = {
    type: 'prompt_outputs_failed_validation',
    message: 'Prompt outputs failed validation',
    details: bad.map((reason) => `${reason.message}: ${reason.details}`).join('\n'),
    extra_info: {},
  };
  return { error, outputs: [], nodeErrors };
}
